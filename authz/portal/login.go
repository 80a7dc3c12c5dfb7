package portal

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/portal/oidc"
	"github.com/burnkey/burnkey/store"
)

// loginFailure returns the failure to show for a login error, and whether the producer has to
// investigate.
func loginFailure(e *oidc.Error) (f *failure, broken bool) {
	switch e.Reason {
	case oidc.BadProvider:
		return &failure{status: http.StatusServiceUnavailable, name: "login.provider", retry: oidc.FailureLife}, true
	case oidc.BadState, oidc.Denied, oidc.NoOwner, oidc.NoOperator:
		return &failure{status: http.StatusForbidden, name: "login." + e.Reason}, false
	}
	return &failure{status: http.StatusForbidden, name: "login.unproved"}, false
}

// alone wraps a handler for a page that is refused in a frame and not prefetched.
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

// mayGo reports whether the request is a navigation, and not that of a page that loads this one, say, as
// a picture. Browsers without Sec-Fetch-Mode are accepted: starting a login uses nothing up.
func mayGo(h http.Header) bool {
	mode := h.Get("Sec-Fetch-Mode")
	return mode == "" || mode == "navigate"
}

// logIn sends the browser to the workspace's OpenID provider. A person who is already logged in goes to
// the start page instead. With the parameter other, the provider has to ask for credentials again.
func logIn(v *visit) error {
	if v.workspace.Portal.OIDC == nil {
		return errNowhere
	}
	other := v.r.URL.Query().Has("other")
	if !other {
		if err := v.identify(v.shownHere(), v.isHere); err == nil && v.isHere(&v.session) {
			return v.redirect(v.home())
		} else if err != nil && !errors.Is(err, authz.ErrNoSession) {
			return err
		}
	}
	l, to, err := v.providers.Begin(v.r.Context(), v.client(), v.language.Code, other)
	if err != nil {
		return err
	}
	v.setLogin(l)
	return v.redirect(to)
}

// client returns the workspace's registration at its OpenID provider.
func (v *visit) client() *oidc.Client {
	at := v.publicURL + authz.PortalPath + "/" + v.workspace.ID
	secret, own := v.clientSecrets[v.workspace.ID]
	if !own && v.workspace.InheritsPart(store.PartPortal) {
		secret = v.clientSecrets[v.workspace.EnvironmentOf]
	}
	c := &oidc.Client{
		OIDC: *v.workspace.Portal.OIDC, Workspace: v.workspace.ID, Secret: secret,
		CallbackURL: at + "/callback", LogoutURL: at + "/loggedout",
	}
	if v.workspace.ID == authz.Home {
		c.OwnerClaim = "" // it has no owners
	}
	return c
}

// admit counts a call to the provider against the budget and marks the login as used: it succeeds once
// across all servers. Errors: *failure, *oidc.Error.
func (v *visit) admit(l oidc.Login) error {
	if err := v.logins.take(v.workspace.ID, v.from(), v.now()); err != nil {
		return err
	}
	err := v.service.SpendLogin(v.r.Context(), v.workspace.ID, l.State(v.client()), l.Until())
	if errors.Is(err, authz.ErrExists) {
		return &oidc.Error{Reason: oidc.BadState, Err: errors.New("used before")}
	}
	return err
}

// comeBack handles the browser's return from the provider and opens a session. An answer that belongs to
// no login of this browser does not affect logins in progress.
func comeBack(v *visit) error {
	if v.workspace.Portal.OIDC == nil {
		return errNowhere
	}
	l, err := v.underWay(v.r.URL.Query()["state"])
	if err != nil {
		return v.orHome(err)
	}
	who, err := v.providers.Finish(v.r.Context(), v.client(), l, v.r.URL.Query(), func() error { return v.admit(l) })
	if err != nil {
		return v.refuse(who, l, err)
	}
	v.dropLogin(l)
	if same, err := v.isAlready(who, l); same || err != nil {
		return cmp.Or(err, v.redirect(v.home()))
	}
	secret, session, err := v.service.StartLogin(v.by(who), v.workspace.ID, authz.Login(who))
	if bad := authz.InputError(nil); errors.As(err, &bad) {
		return v.refuse(who, l, &oidc.Error{Reason: "claims", Err: err})
	}
	if err != nil {
		return err
	}
	if err := v.begin(false, authz.Opened{Secret: secret, Session: session}); err != nil {
		return err
	}
	return v.redirect(v.home())
}

// orHome redirects a person who is logged in to the start page, since the answer may be an old one,
// reached by the back button. Others get the error `bad`.
func (v *visit) orHome(bad error) error {
	switch err := v.identify(v.shownHere(), v.isHere); {
	case err == nil:
		return v.redirect(v.home())
	case !errors.Is(err, authz.ErrNoSession):
		return err
	}
	return bad
}

// isAlready reports whether this person has logged in since the login began, for example in another tab.
// That session then stays, so that its open pages keep working.
func (v *visit) isAlready(who oidc.Identity, l oidc.Login) (bool, error) {
	err := v.identify(v.shownHere(), v.isHere)
	if errors.Is(err, authz.ErrNoSession) {
		return false, nil
	}
	s := &v.session
	return err == nil && v.isHere(s) && s.Login && s.Role == who.Role && s.Owner == who.Owner && s.Subject == who.Subject &&
		!s.CreatedAt.Before(l.Begun), err
}

// by returns a context that records the person as the actor, with the subject if the provider has named
// one.
func (v *visit) by(who oidc.Identity) context.Context {
	begun := store.Session{Role: who.Role, Login: true}
	return store.By(v.r.Context(), store.Actor{Kind: begun.ActorKind(), ID: who.Subject, From: v.from()})
}

// refuse ends a login and records the refusal in the audit if the answer belongs to a login. A deferred
// login stays in progress.
func (v *visit) refuse(who oidc.Identity, l oidc.Login, err error) error {
	var bad *oidc.Error
	if !errors.As(err, &bad) {
		return err
	}
	v.dropLogin(l)
	if bad.Reason == oidc.BadState {
		return v.orHome(err)
	}
	if bad.Reason == oidc.BadProvider {
		return err
	}
	v.log.LogAttrs(v.r.Context(), slog.LevelInfo, "a login was refused",
		slog.String("request_id", v.requestID()), slog.String("workspace", v.workspace.ID), slog.String("reason", bad.Error()))
	if failed := v.service.LoginRefused(v.by(who), v.workspace.ID, bad.Reason); failed != nil {
		return failed
	}
	return err
}

// canLogIn reports whether the workspace has a provider and the page is not in a frame, where the
// provider would refuse to show its page.
func (v *visit) canLogIn() bool {
	dest := v.r.Header.Get("Sec-Fetch-Dest")
	return v.workspace.Portal.OIDC != nil && (dest == "" || dest == "document")
}

// CanLogIn reports whether to offer a login.
func (p *view) CanLogIn() bool { return p.visit.canLogIn() }

// loginAfter returns the message key of the login link on a failure's page, or an empty string.
func (v *visit) loginAfter(f *failure) string {
	switch {
	case !v.canLogIn(), f.name == "login.many": // reloading the page continues the login
		return ""
	case f.name == "session", f.name == "nobody":
		return "login.do"
	case f.name == "forbidden", f.name == "login."+oidc.NoOwner, f.name == "login."+oidc.NoOperator:
		return "login.else"
	case strings.HasPrefix(f.name, "login."):
		return "login.again"
	}
	return ""
}
