package portal

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

const (
	// loginPrefix and the beginning of its state name the cookie of a login under way, so
	// that several tabs may have one each. No workspace's cookie is called so.
	loginPrefix = "__Host-burnkey_login."
	// loginsAtOnce is how many of one browser are under way. One more ends the oldest.
	loginsAtOnce = 5
	// loginLife is how long somebody may take at the provider.
	loginLife = 10 * time.Minute
	// clockSkew is what the clocks of two servers may be apart.
	clockSkew = time.Minute
	markLen   = 8 // of a state's hash, in a cookie's name
)

// login is one under way. All that it needs is derived from its secret and its beginning, so
// that nothing of it is kept here, and another server can finish it.
type login struct {
	secret authz.Secret // of the browser's cookie
	begun  time.Time    // in whole seconds
}

func newLogin(now time.Time) login {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	return login{authz.Secret(base64.RawURLEncoding.EncodeToString(random)), now.Truncate(time.Second)}
}

// state names the login to the provider: when it began, for it to be refused for its age,
// and a hash.
func (l login) state(w *store.Workspace) string {
	return strconv.FormatInt(l.begun.Unix(), 36) + "." + l.derive("state", w)
}

// derive makes one value of a login out of its secret. None tells of another, and none
// is of use to a login of another workspace or by another provider.
func (l login) derive(purpose string, w *store.Workspace) string {
	o := w.Portal.OIDC
	sum := sha256.Sum256([]byte(strings.Join([]string{
		"burnkey login", purpose, w.ID, o.Issuer, o.ClientID, strconv.FormatInt(l.begun.Unix(), 36), l.secret.Reveal(),
	}, "\x00")))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// loginName is the name of the cookie of a state, and when its login began.
func loginName(state string) (name string, begun time.Time, ok bool) {
	at, hash, _ := strings.Cut(state, ".")
	seconds, err := strconv.ParseInt(at, 36, 64)
	if err != nil || len(hash) < markLen {
		return "", time.Time{}, false
	}
	return loginPrefix + at + "." + hash[:markLen], time.Unix(seconds, 0), true
}

// underWay finds the login of this browser that a state is of. Errors: a *loginError.
func (v *visit) underWay(states []string) (login, error) {
	bad := &loginError{reason: badState}
	if len(states) != 1 { // RFC 6749 section 3.1
		return login{}, bad
	}
	name, begun, ok := loginName(states[0])
	if age := v.now().Sub(begun); !ok || age < -clockSkew || age >= loginLife {
		return login{}, bad
	}
	for _, c := range v.shownAs(name) {
		if l := (login{c.secret, begun}); equal(states[0], l.state(&v.workspace)) {
			return l, nil
		}
	}
	return login{}, bad
}

// setLogin gives the browser the cookie of a login, and takes away that of the oldest where
// there are too many.
func (v *visit) setLogin(l login) {
	name, _, _ := loginName(l.state(&v.workspace))
	c := sessionCookie(name, l.secret.Reveal(), false)
	c.MaxAge = int(loginLife.Seconds())
	http.SetCookie(v.w, c)
	others := v.loginsShown()
	for _, old := range others[:max(0, len(others)-loginsAtOnce+1)] {
		v.dropLoginCookie(old)
	}
}

// loginsShown are the names of the cookies of logins, the oldest first.
func (v *visit) loginsShown() (names []string) {
	for _, c := range v.r.Cookies() {
		state, is := strings.CutPrefix(c.Name, loginPrefix)
		if _, _, ok := loginName(state); is && ok {
			names = append(names, c.Name)
		}
	}
	slices.Sort(names) // by time: it is of one length until 2038
	return slices.Compact(names)
}

// hasLogin reports whether a login may be under way.
func (v *visit) hasLogin() bool { return len(v.shownAs(v.loginsShown()...)) > 0 }

func (v *visit) dropLogin(l login) {
	name, _, _ := loginName(l.state(&v.workspace))
	v.dropLoginCookie(name)
}

func (v *visit) dropLoginCookie(name string) {
	gone := sessionCookie(name, "", false)
	gone.MaxAge = -1
	http.SetCookie(v.w, gone)
}
