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
	// loginPrefix followed by the beginning of the state is the name of a login's cookie, so
	// that several tabs may each have one. No workspace's cookie can have such a name.
	loginPrefix = "__Host-burnkey_login."
	// loginsAtOnce is how many logins of one browser may be in progress. A further one ends the
	// oldest.
	loginsAtOnce = 5
	// loginLife is how long a person may take at the provider.
	loginLife = 10 * time.Minute
	// clockSkew is the largest assumed difference between two servers' clocks.
	clockSkew = time.Minute
	markLen   = 8 // characters of the state's hash in a cookie's name
)

// login is a login in progress. All of its values are derived from its secret and start time,
// so the server stores nothing, and another server can finish it.
type login struct {
	secret authz.Secret // from the browser's cookie
	begun  time.Time    // in whole seconds
}

func newLogin(now time.Time) login {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	return login{authz.Secret(base64.RawURLEncoding.EncodeToString(random)), now.Truncate(time.Second)}
}

// state identifies the login to the provider: its start time, so that an old one can be
// refused, and a hash.
func (l login) state(w *store.Workspace) string {
	return strconv.FormatInt(l.begun.Unix(), 36) + "." + l.derive("state", w)
}

// derive derives a value of the login from its secret. No value reveals another, and none is
// valid for another workspace or provider.
func (l login) derive(purpose string, w *store.Workspace) string {
	o := w.Portal.OIDC
	sum := sha256.Sum256([]byte(strings.Join([]string{
		"burnkey login", purpose, w.ID, o.Issuer, o.ClientID, strconv.FormatInt(l.begun.Unix(), 36), l.secret.Reveal(),
	}, "\x00")))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// loginName returns the name of the cookie for a state, and when its login began.
func loginName(state string) (name string, begun time.Time, ok bool) {
	at, hash, _ := strings.Cut(state, ".")
	seconds, err := strconv.ParseInt(at, 36, 64)
	if err != nil || len(hash) < markLen {
		return "", time.Time{}, false
	}
	return loginPrefix + at + "." + hash[:markLen], time.Unix(seconds, 0), true
}

// underWay returns this browser's login that a state belongs to. Errors: *loginError.
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

// setLogin sets the cookie of a login, and deletes the oldest ones if there are too many.
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

// loginsShown returns the names of the login cookies, the oldest first.
func (v *visit) loginsShown() (names []string) {
	for _, c := range v.r.Cookies() {
		state, is := strings.CutPrefix(c.Name, loginPrefix)
		if _, _, ok := loginName(state); is && ok {
			names = append(names, c.Name)
		}
	}
	slices.Sort(names) // by time, which has a constant number of digits until 2038
	return slices.Compact(names)
}

// hasLogin reports whether a login may be in progress.
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
