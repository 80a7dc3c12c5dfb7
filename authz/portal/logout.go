package portal

import (
	"errors"
	"net/http"
	"slices"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// logOut ends the session that the form belongs to, and the browser's other sessions in the same
// workspace. If that session has already ended, only its cookie is deleted. Without any valid session,
// all cookies are deleted.
func logOut(v *visit) error {
	if err := v.receive(maxForm); err != nil {
		return err
	}
	cookies, sent := v.shownAll(), v.r.PostForm.Get("csrf")
	i := slices.IndexFunc(cookies, func(c shown) bool { return equal(sent, deriveFrom(c.secret, "csrf")) })
	if i < 0 {
		return v.logOutNobody(cookies)
	}
	session, err := v.open(cookies[i])
	if errors.Is(err, authz.ErrNoSession) {
		v.dropCookie(cookies[i].name, false)
		return v.sayGoodbye(goodbye{})
	}
	if err != nil {
		return err
	}
	return v.logOutOf(session, cookies)
}

// logOutOf ends the browser's sessions in the workspace of this session.
func (v *visit) logOutOf(session store.Session, cookies []shown) error {
	w, err := v.service.Workspace(v.r.Context(), session.Workspace)
	if err != nil {
		return err
	}
	v.settleIn(w)
	name := cookieOf(w.ID)
	for _, c := range cookies {
		if c.name != name && c.name != formerCookie {
			continue
		}
		if err := v.end(c, v.isHere); err != nil {
			return err
		}
	}
	v.dropCookie(name, session.Embedded)
	v.session = session
	if err := v.logOutElsewhere(cookies); err != nil {
		return err
	}
	bye := goodbye{Return: session.ReturnURL}
	if session.Login && w.Portal.OIDC != nil {
		bye.Leave = v.providers.EndSessionURL(v.r.Context(), v.client())
	}
	return v.sayGoodbye(bye)
}

// logOutElsewhere ends the person's sessions in the other environments.
func (v *visit) logOutElsewhere(cookies []shown) error {
	others, err := v.linkedEnvironments()
	for _, w := range others {
		for _, c := range cookies {
			if c.name != cookieOf(w.ID) || err != nil {
				continue
			}
			if err = v.end(c, v.isSamePerson); err == nil {
				v.dropCookie(c.name, v.session.Embedded)
			}
		}
	}
	return err
}

// logOutNobody handles a logout form that belongs to none of the browser's sessions.
func (v *visit) logOutNobody(cookies []shown) error {
	err := v.anySession(anybody)
	if err == nil {
		return errForeign
	}
	if !errors.Is(err, authz.ErrNoSession) {
		return err
	}
	names := []string{formerCookie}
	for _, c := range cookies {
		names = append(names, c.name)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		v.dropCookie(name, false)
	}
	return v.sayGoodbye(goodbye{})
}

// goodbye is the data of the page that is shown after a logout.
type goodbye struct {
	Return string // where the session came from, or empty
	Leave  string // where the provider ends its own session, or empty
}

func (v *visit) sayGoodbye(bye goodbye) error {
	v.leave(bye.Leave)
	v.session, v.secret = store.Session{}, ""
	return v.render(http.StatusOK, "out", "out.title", bye)
}

// leave makes the browser go to the provider's logout. It can't redirect: the portal's policy forbids
// redirects of forms to other sites (Content Security Policy Level 3 section 6.4.2).
func (v *visit) leave(to string) {
	if to != "" {
		v.w.Header().Set("Refresh", "0; url="+to)
	}
}

// loggedOut shows the page to which a provider sends the browser after its own logout.
func loggedOut(v *visit) error { return v.render(http.StatusOK, "out", "out.title", goodbye{}) }
