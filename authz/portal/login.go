package portal

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// loginError says why somebody was not logged in, in a word for the audit.
type loginError struct {
	reason string
	err    error         // details for the log, or nil
	retry  time.Duration // with tooMany: time until a retry
}

func (e *loginError) Error() string {
	if e.err == nil {
		return "login: " + e.reason
	}
	return "login: " + e.reason + ": " + e.err.Error()
}

func (e *loginError) Unwrap() error { return e.err }

// Reasons that the answer or the audit distinguishes.
const (
	badState = "state"    // nobody can say which login it was
	badOP    = "provider" // it is down, or set up wrongly
	denied   = "denied"   // by the provider or by the person
	noOwner  = "owner"    // the provider says nothing of an owner
	noStaff  = "operator" // nor of an operator, where there are no others
	tooMany  = "many"     // too many logins at once: the state and the code stay valid
)

// failure is what to answer, and whether the producer has to look into it.
func (e *loginError) failure() (f failure, broken bool) {
	switch e.reason {
	case tooMany:
		return failure{status: http.StatusTooManyRequests, name: "login.many", retry: e.retry}, false
	case badOP:
		return failure{status: http.StatusServiceUnavailable, name: "login.provider", retry: failureLife}, true
	case badState, denied, noOwner, noStaff:
		return failure{status: http.StatusForbidden, name: "login." + e.reason}, false
	}
	return failure{status: http.StatusForbidden, name: "login.unproved"}, false
}

// errNoLogin: the workspace has no provider.
var errNoLogin = errors.New("the workspace has no login")

// alone is a handler for who goes to a page of their own, in a window: not for what a
// browser loads ahead of a click or into another's page.
func alone(h handler) handler {
	return func(v *visit) error {
		dest := v.r.Header.Get("Sec-Fetch-Dest")
		switch {
		case v.r.Method == http.MethodHead:
			return nil
		case ahead(v.r.Header):
			v.w.WriteHeader(http.StatusServiceUnavailable)
			return nil
		case !mayGo(v.r.Header) || dest != "" && dest != "document":
			return errNowhere
		}
		return h(v)
	}
}

// mayGo reports whether a person navigates to a page, rather than another page loading it, say
// as a picture. Browsers without Sec-Fetch-Mode are let through: beginning a login uses nothing
// up.
func mayGo(h http.Header) bool {
	mode := h.Get("Sec-Fetch-Mode")
	return mode == "" || mode == "navigate"
}

// logIn sends the browser to the workspace's OpenID provider, or a person who is logged in
// already to their start page. With ?other, the provider has to ask for credentials again.
func logIn(v *visit) error {
	if v.workspace.Portal.OIDC == nil {
		return errNoLogin
	}
	more := []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("ui_locales", v.language.code)}
	if v.r.URL.Query().Has("other") {
		more = append(more, oauth2.SetAuthURLParam("prompt", "login"))
	} else if err := v.identify(v.shownHere(), v.isHere); err == nil && v.isHere(&v.session) {
		return v.redirect(v.home())
	} else if err != nil && !errors.Is(err, authz.ErrNoSession) {
		return err
	}
	l, to, err := v.logins.begin(v.r.Context(), &v.workspace, more...)
	if err != nil {
		return err
	}
	v.setLogin(l)
	return v.redirect(to)
}

// comeBack handles the browser's return from the provider and opens a session. An answer that
// belongs to no login of this browser does not affect logins in progress.
func comeBack(v *visit) error {
	if v.workspace.Portal.OIDC == nil {
		return errNoLogin
	}
	l, err := v.underWay(v.r.URL.Query()["state"])
	if err != nil {
		return v.orHome(err)
	}
	who, err := v.logins.finish(v.r.Context(), &v.workspace, l, v.from(), v.r.URL.Query())
	if err != nil {
		return v.refuse(who, l, err)
	}
	v.dropLogin(l)
	if same, err := v.isAlready(who, l); same || err != nil {
		return cmp.Or(err, v.redirect(v.home()))
	}
	secret, session, err := v.service.StartLogin(v.by(who), v.workspace.ID, authz.Login(who))
	if bad := authz.InputError(nil); errors.As(err, &bad) {
		return v.refuse(who, l, &loginError{reason: "claims", err: err})
	}
	if err != nil {
		return err
	}
	if err := v.begin(secret, session, false); err != nil {
		return err
	}
	return v.redirect(v.home())
}

// orHome leads a person who is logged in to their start page, since the answer may be an old
// one, for example of the back button. Others see the error.
func (v *visit) orHome(bad error) error {
	switch err := v.identify(v.shownHere(), v.isHere); {
	case err == nil:
		return v.redirect(v.home())
	case !errors.Is(err, authz.ErrNoSession):
		return err
	}
	return bad
}

// isAlready reports whether this person has logged in since the login began, for example in
// another tab: that session, and its open pages, stay.
func (v *visit) isAlready(who identity, l login) (bool, error) {
	err := v.identify(v.shownHere(), v.isHere)
	if errors.Is(err, authz.ErrNoSession) {
		return false, nil
	}
	s := &v.session
	return err == nil && v.isHere(s) && s.Login && s.Role == who.Role && s.Owner == who.Owner && s.Subject == who.Subject &&
		!s.CreatedAt.Before(l.begun), err
}

// by is the context of what somebody does whom a provider has named, or has not yet.
func (v *visit) by(who identity) context.Context {
	begun := store.Session{Role: who.Role, Login: true}
	return store.By(v.r.Context(), store.Actor{Kind: begun.ActorKind(), ID: who.Subject, From: v.from()})
}

// refuse ends a login and records who was refused, if the answer belongs to a login at all. A
// login deferred by tooMany stays in progress.
func (v *visit) refuse(who identity, l login, err error) error {
	var bad *loginError
	if !errors.As(err, &bad) || bad.reason == tooMany {
		return err
	}
	v.dropLogin(l)
	if bad.reason == badState {
		return v.orHome(err)
	}
	if bad.reason == badOP {
		return err
	}
	v.log.LogAttrs(v.r.Context(), slog.LevelInfo, "a login was refused",
		slog.String("request_id", v.requestID()), slog.String("workspace", v.workspace.ID), slog.String("reason", bad.Error()))
	if failed := v.service.LoginRefused(v.by(who), v.workspace.ID, bad.reason); failed != nil {
		return failed
	}
	return err
}

// canLogIn reports whether the workspace has a provider, and the page is one by itself:
// in another's frame, the provider would show nothing.
func (v *visit) canLogIn() bool {
	dest := v.r.Header.Get("Sec-Fetch-Dest")
	return v.workspace.Portal.OIDC != nil && (dest == "" || dest == "document")
}

// CanLogIn says whether to offer a login.
func (p *view) CanLogIn() bool { return p.visit.canLogIn() }

// loginAfter is what to call the way to the login on a failure's page, if there is one.
func (v *visit) loginAfter(f failure) string {
	switch {
	case !v.canLogIn(), f.name == "login."+tooMany: // reloading the page continues the login
		return ""
	case f.name == "session", f.name == "nobody":
		return "login.do"
	case f.name == "forbidden", f.name == "login."+noOwner, f.name == "login."+noStaff:
		return "login.else"
	case strings.HasPrefix(f.name, "login."):
		return "login.again"
	}
	return ""
}
