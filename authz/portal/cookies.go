package portal

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// Each workspace has its own cookie, so that sessions in different workspaces do not affect one another.
// Browsers ensure that only this host can set cookies with the prefix __Host- (RFC 6265bis section
// 4.1.3.2).
const (
	// The name of a session cookie is sessionPrefix followed by the workspace's id.
	sessionPrefix = "__Host-burnkey-"
	// formerCookie is the only cookie of earlier releases; sessions from then still use it.
	formerCookie = "__Host-burnkey"
	// cookiesAtOnce is how many cookies with one name are read: a browser may send one set in a frame and
	// one set outside.
	cookiesAtOnce = 4
	// maxSessions limits a browser's sessions, so that its requests stay within the header limits of
	// proxies. Another session ends the oldest.
	maxSessions = 16
)

func cookieOf(workspace string) string { return sessionPrefix + workspace }

func sessionCookie(name, value string, framed bool) *http.Cookie {
	c := &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode}
	if framed {
		c.SameSite, c.Partitioned = http.SameSiteNoneMode, true
	}
	return c
}

// dropCookie deletes both cookies with a name: the one set in a frame and the one set outside. The
// parameter framed decides the order.
func (v *visit) dropCookie(name string, framed bool) {
	v.unset(name, framed)
	v.unset(name, !framed)
}

func (v *visit) unset(name string, framed bool) {
	gone := sessionCookie(name, "", framed)
	gone.MaxAge = -1
	http.SetCookie(v.w, gone)
}

// shown is a cookie sent by the browser whose value may be a session's secret.
type shown struct {
	name   string
	secret authz.Secret
}

// shownAs returns the cookies with these names, in the order of the parameter names.
func (v *visit) shownAs(names ...string) (found []shown) {
	for _, name := range names {
		cookies := v.r.CookiesNamed(name)
		for _, c := range cookies[:min(len(cookies), cookiesAtOnce)] {
			if authz.CanBeSecret(c.Value) {
				found = append(found, shown{name, authz.Secret(c.Value)})
			}
		}
	}
	return found
}

// shownHere returns the cookies that may identify a person in the path's workspace: first the workspace's
// own cookies, last those of a global operator.
func (v *visit) shownHere() []shown {
	return v.shownAs(slices.Compact([]string{cookieOf(v.workspace.ID), formerCookie, cookieOf(authz.Home)})...)
}

// shownAll returns the cookies of all workspaces, up to a limit that only forged requests exceed.
func (v *visit) shownAll() []shown {
	var names []string
	for _, c := range v.r.Cookies() {
		id, of := strings.CutPrefix(c.Name, sessionPrefix)
		if c.Name != formerCookie && (!of || authz.CheckWorkspaceID("", id) != nil) || slices.Contains(names, c.Name) {
			continue
		}
		if names = append(names, c.Name); len(names) == 2*maxSessions {
			break
		}
	}
	return v.shownAs(names...)
}

// open returns the session of a cookie. The session must belong to the workspace in the cookie's name.
// Errors: authz.ErrNoSession.
func (v *visit) open(c shown) (store.Session, error) {
	if session, known := v.opened[c.secret]; known {
		return session, noSession(&session, c.name)
	}
	session, err := v.service.Session(v.r.Context(), c.secret)
	if err != nil && !errors.Is(err, authz.ErrNoSession) {
		return store.Session{}, err
	}
	if v.opened == nil {
		v.opened = make(map[authz.Secret]store.Session)
	}
	v.opened[c.secret] = session
	return session, noSession(&session, c.name)
}

func noSession(s *store.Session, name string) error {
	if s.Workspace == "" || name != formerCookie && name != cookieOf(s.Workspace) {
		return authz.ErrNoSession
	}
	return nil
}

// lookUp selects, among the cookies whose session satisfies fits, the first whose session also satisfies
// wanted, or else the first. Errors: authz.ErrNoSession.
func (v *visit) lookUp(cookies []shown, fits, wanted func(*store.Session) bool) error {
	err := authz.ErrNoSession
	for _, c := range cookies {
		session, none := v.open(c)
		if none != nil {
			if !errors.Is(none, authz.ErrNoSession) {
				return none
			}
			continue
		}
		if !fits(&session) {
			continue
		}
		is := wanted(&session)
		if is || err != nil {
			v.session, v.secret, err = session, c.secret, nil
		}
		if is {
			break
		}
	}
	return err
}

func anybody(*store.Session) bool { return true }

// identify finds the person in the path's workspace: the session of the first cookie that satisfies
// wanted, or else the first valid session. Errors: authz.ErrNoSession.
func (v *visit) identify(cookies []shown, wanted func(*store.Session) bool) error {
	return v.lookUp(cookies, func(s *store.Session) bool { return v.isHere(s) || authz.OperatesAll(s) }, wanted)
}

func (v *visit) isHere(s *store.Session) bool { return s.Workspace == v.workspace.ID }

// anySession finds a session for a path without a workspace.
func (v *visit) anySession(wanted func(*store.Session) bool) error {
	if err := v.lookUp(v.shownAll(), wanted, anybody); err != nil {
		return err
	}
	w, err := v.service.Workspace(v.r.Context(), v.session.Workspace)
	if err != nil {
		return err
	}
	v.settleIn(w)
	return nil
}

// begin logs the browser in to the workspaces of one or more sessions, and ends its earlier sessions there. If framed,
// the cookies are partitioned: in a frame of another site, browsers accept no others.
func (v *visit) begin(framed bool, first authz.Opened, further ...authz.Opened) error {
	var names []string
	for _, opened := range append([]authz.Opened{first}, further...) {
		name := cookieOf(opened.Session.Workspace)
		names = append(names, name)
		http.SetCookie(v.w, sessionCookie(name, opened.Secret.Reveal(), framed))
		same := func(s *store.Session) bool { return s.Workspace == opened.Session.Workspace }
		for _, c := range v.shownAs(name, formerCookie) {
			if err := v.end(c, same); err != nil {
				return err
			}
		}
		if len(v.shownAs(name)) > 1 {
			v.unset(name, !framed) // the cookie that was just set stays
		}
	}
	if err := v.makeRoom(names); err != nil {
		return err
	}
	v.session, v.secret = first.Session, first.Secret
	return nil
}

// end ends a cookie's session if it satisfies fits. The audit names the session's person as the actor.
// The cookie of an earlier release is also deleted.
func (v *visit) end(c shown, fits func(*store.Session) bool) error {
	session, err := v.open(c)
	switch {
	case errors.Is(err, authz.ErrNoSession) || err == nil && !fits(&session):
		return nil
	case err != nil:
		return err
	}
	if c.name == formerCookie {
		v.dropCookie(c.name, session.Embedded)
	}
	v.opened[c.secret] = store.Session{}
	return v.service.EndSession(v.as(&session), c.secret)
}

// makeRoom deletes cookies other than the new ones if there are too many: first those of ended sessions, then
// the oldest.
func (v *visit) makeRoom(fresh []string) error {
	all := slices.DeleteFunc(v.shownAll(), func(c shown) bool { return slices.Contains(fresh, c.name) })
	excess := len(all) + len(fresh) - maxSessions
	if excess <= 0 {
		return nil
	}
	began := func(c shown) store.Session { return v.opened[c.secret] }
	for _, c := range all {
		if _, err := v.open(c); err != nil && !errors.Is(err, authz.ErrNoSession) {
			return err
		}
	}
	slices.SortStableFunc(all, func(a, b shown) int { // ended sessions have a zero time, so they come first
		x, y := began(a), began(b)
		return cmp.Compare(x.CreatedAt.UnixNano(), y.CreatedAt.UnixNano())
	})
	for _, c := range all[:min(excess, len(all))] {
		session := began(c)
		if err := v.end(c, anybody); err != nil {
			return err
		}
		v.dropCookie(c.name, session.Embedded)
	}
	return nil
}
