package portal

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"golang.org/x/oauth2"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// loginCookie holds the secret of a login under way.
const loginCookie = "__Host-burnkey-login"

// loginError says why somebody was not logged in, in a word for the audit.
type loginError struct {
	reason string
	err    error // more, for the log; or nil
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
)

// failure is what to answer, and whether the producer has to look into it.
func (e *loginError) failure() (f failure, broken bool) {
	switch e.reason {
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
		case v.r.Header.Get("Sec-Purpose") != "" || v.r.Header.Get("Purpose") == "prefetch":
			v.w.WriteHeader(http.StatusServiceUnavailable)
			return nil
		case !visited(v.r.Header) || dest != "" && dest != "document":
			return errNowhere
		}
		return h(v)
	}
}

// logIn sends the browser to the workspace's OpenID provider. By ?other, that is to ask
// again who it is.
func logIn(v *visit) error {
	more := []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("ui_locales", v.language.code)}
	if v.r.URL.Query().Has("other") {
		more = append(more, oauth2.SetAuthURLParam("prompt", "login"))
	}
	cookie, to, err := v.logins.begin(v.r.Context(), &v.workspace, more...)
	if err != nil {
		return err
	}
	v.setLoginCookie(cookie.Reveal(), int(loginLife.Seconds()))
	return v.redirect(to)
}

func (v *visit) setLoginCookie(value string, maxAge int) {
	c := sessionCookie(value, false)
	c.Name, c.MaxAge = loginCookie, maxAge
	http.SetCookie(v.w, c)
}

// comeBack takes the browser back from the provider, and opens a session.
func comeBack(v *visit) error {
	var cookie authz.Secret
	if c, err := v.r.Cookie(loginCookie); err == nil {
		cookie = authz.Secret(c.Value)
	}
	v.setLoginCookie("", -1)
	who, err := v.logins.finish(v.r.Context(), &v.workspace, cookie, v.r.URL.Query())
	if err != nil {
		return v.refuse(who, err)
	}
	secret, session, err := v.service.StartLogin(v.by(who), v.workspace.ID, authz.Login(who))
	if bad := authz.InputError(nil); errors.As(err, &bad) {
		return v.refuse(who, &loginError{"claims", err})
	}
	if err != nil {
		return err
	}
	if err := v.endFormer(); err != nil {
		return err
	}
	v.setCookie(secret, false)
	v.session = session
	return v.redirect(v.home())
}

// by is the context of what somebody does whom a provider has named, or has not yet.
func (v *visit) by(who identity) context.Context {
	begun := store.Session{Role: who.Role, Login: true}
	return store.By(v.r.Context(), store.Actor{Kind: begun.ActorKind(), ID: who.Subject, From: v.from()})
}

// refuse notes who was not logged in, if it was somebody's login at all.
func (v *visit) refuse(who identity, err error) error {
	var bad *loginError
	if !errors.As(err, &bad) || bad.reason == badState || bad.reason == badOP {
		return err
	}
	v.log.LogAttrs(v.r.Context(), slog.LevelInfo, "a login was refused",
		slog.String("request_id", v.requestID()), slog.String("workspace", v.workspace.ID), slog.String("reason", bad.Error()))
	if failed := v.service.LoginRefused(v.by(who), v.workspace.ID, bad.reason); failed != nil {
		return failed
	}
	return err
}

// endFormer ends the session whose cookie the new one's takes the place of.
func (v *visit) endFormer() error {
	err := v.lookUp(func(*store.Session) bool { return true })
	if errors.Is(err, authz.ErrNoSession) {
		return nil
	}
	if err != nil {
		return err
	}
	return v.service.EndSession(v.context(), v.secret)
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
	case !v.canLogIn():
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

// goodbye is the content of the page that follows on a logout.
type goodbye struct {
	Return string // where the session came from, or empty
	Leave  string // where the provider ends its own session, or empty
}

// leave leads on to the provider's logout. It can't be a redirect: what follows on a
// form may lead nowhere else by our own policy (Content Security Policy Level 3 section
// 6.4.2).
func (v *visit) leave(to string) {
	if to != "" {
		v.w.Header().Set("Refresh", "0; url="+to)
	}
}

// loggedOut is where a provider sends the browser back to after its logout.
func loggedOut(v *visit) error { return v.render(http.StatusOK, "out", "out.title", goodbye{}) }
