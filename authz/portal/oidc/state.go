package oidc

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

const (
	// Life is how long a person can take to log in at the provider.
	Life = 10 * time.Minute
	// clockSkew is the largest tolerated difference between two servers' clocks.
	clockSkew = time.Minute
	markLen   = 8 // characters of the state's hash in a mark
)

// Login is a login in progress. All its values are derived from its secret and its start time, so the
// server stores nothing, and another server can finish the login.
type Login struct {
	Secret jwks.Token // from the browser's cookie
	Begun  time.Time  // in whole seconds
}

func newLogin(now time.Time) Login {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	return Login{jwks.Token(base64.RawURLEncoding.EncodeToString(random)), now.Truncate(time.Second)}
}

// State returns the state parameter, which identifies the login: its start time, so that an old state can
// be refused, and a hash.
func (l Login) State(c *Client) string {
	return strconv.FormatInt(l.Begun.Unix(), 36) + "." + l.derive("state", c)
}

// Until is how long the server must remember that the login was used. After that time, Resume refuses the
// login as too old.
func (l Login) Until() time.Time { return l.Begun.Add(Life + 2*clockSkew) }

// derive derives a value for one purpose from the login's secret. No value reveals another, and none is
// valid in another workspace or at another provider.
func (l Login) derive(purpose string, c *Client) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{
		"burnkey login", purpose, c.Workspace, c.Issuer, c.ClientID, strconv.FormatInt(l.Begun.Unix(), 36), l.Secret.Reveal(),
	}, "\x00")))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Mark returns the prefix of a state that distinguishes a browser's logins. Marks sort by time until
// 2038, when the start time gets another digit.
func Mark(state string) (mark string, ok bool) {
	mark, _, ok = split(state)
	return mark, ok
}

func split(state string) (mark string, begun time.Time, ok bool) {
	at, hash, _ := strings.Cut(state, ".")
	seconds, err := strconv.ParseInt(at, 36, 64)
	if err != nil || len(hash) < markLen {
		return "", time.Time{}, false
	}
	return at + "." + hash[:markLen], time.Unix(seconds, 0), true
}

// Resume returns the login with this secret, if the state belongs to it and the login is not too old.
func Resume(secret jwks.Token, state string, c *Client, now time.Time) (l Login, ok bool) {
	_, begun, ok := split(state)
	l = Login{secret, begun}
	age := now.Sub(begun)
	return l, ok && age >= -clockSkew && age < Life && equal(state, l.State(c))
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
