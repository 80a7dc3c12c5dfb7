package portal

import (
	"net/http"
	"slices"
	"strings"

	"github.com/burnkey/burnkey/authz/portal/oidc"
)

const (
	// The name of a login's cookie is loginPrefix followed by the login's mark, so that several tabs can
	// log in. No workspace's cookie has such a name.
	loginPrefix = "__Host-burnkey_login."
	// loginsAtOnce is how many logins of one browser can be in progress. Another one ends the oldest.
	loginsAtOnce = 5
)

// underWay returns the login of this browser that the state belongs to. Errors: *oidc.Error.
func (v *visit) underWay(states []string) (oidc.Login, error) {
	bad := &oidc.Error{Reason: oidc.BadState}
	if len(states) != 1 { // RFC 6749 section 3.1
		return oidc.Login{}, bad
	}
	mark, _ := oidc.Mark(states[0])
	for _, c := range v.shownAs(loginPrefix + mark) {
		if l, ok := oidc.Resume(c.secret, states[0], v.client(), v.now()); ok {
			return l, nil
		}
	}
	return oidc.Login{}, bad
}

// setLogin sets the cookie of a login, and deletes the oldest login cookies if there are too many.
func (v *visit) setLogin(l oidc.Login) {
	c := sessionCookie(v.loginName(l), l.Secret.Reveal(), false)
	c.MaxAge = int(oidc.Life.Seconds())
	http.SetCookie(v.w, c)
	others := v.loginsShown()
	for _, old := range others[:max(0, len(others)-loginsAtOnce+1)] {
		v.unset(old, false)
	}
}

// loginsShown returns the names of the login cookies sent, the oldest first.
func (v *visit) loginsShown() (names []string) {
	for _, c := range v.r.Cookies() {
		state, is := strings.CutPrefix(c.Name, loginPrefix)
		if _, ok := oidc.Mark(state); is && ok {
			names = append(names, c.Name)
		}
	}
	slices.Sort(names) // by time
	return slices.Compact(names)
}

// hasLogin reports whether a login of this browser may be in progress.
func (v *visit) hasLogin() bool { return len(v.shownAs(v.loginsShown()...)) > 0 }

func (v *visit) dropLogin(l oidc.Login) { v.unset(v.loginName(l), false) }

func (v *visit) loginName(l oidc.Login) string {
	mark, _ := oidc.Mark(l.State(v.client()))
	return loginPrefix + mark
}
