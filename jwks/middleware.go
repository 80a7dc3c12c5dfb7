package jwks

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Middleware lets requests pass that carry a good token in their header
// Authorization (RFC 6750 section 2.1), and answers the others as its section 3
// says, with problem details (RFC 9457). It looks at no other place for a token,
// and shows none. Its fields are not to be changed once it is in use.
type Middleware struct {
	Verifier *Verifier
	// Realm names what is protected, to the client (RFC 9110 section 11.5).
	Realm string
	// Scopes, all of which the token must have.
	Scopes []string
	// Unavailable returns an error while tokens cannot be judged: the answer is
	// then 503, which has clients come again, where 401 has them give up. Nil:
	// they always can. Follower.Usable is made for it.
	Unavailable func() error
	// RetryAfter is when to come again after a 503, in whole seconds. 0: one.
	RetryAfter time.Duration
}

// Require returns a copy of m that asks for these scopes, too.
func (m *Middleware) Require(scopes ...string) *Middleware {
	more := *m
	more.Scopes = append(slices.Clone(m.Scopes), scopes...)
	return &more
}

// IssuerIs makes a Verifier.Issuer that accepts one iss.
func IssuerIs(iss string) func(string) bool { return func(s string) bool { return s == iss } }

type claimsKey struct{}

// ClaimsFrom returns the claims of the token with which a request has passed a
// Middleware. They are not to be changed.
func ClaimsFrom(ctx context.Context) (*Claims, bool) {
	claims, ok := ctx.Value(claimsKey{}).(*Claims)
	return claims, ok
}

// Handler returns next behind the Middleware.
func (m *Middleware) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, no := m.judge(r)
		if no != nil {
			m.refuse(w, r, no)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), claimsKey{}, claims)))
	})
}

func (m *Middleware) judge(r *http.Request) (*Claims, *Refusal) {
	token, no := BearerToken(r.Header.Values("Authorization")...)
	if no != nil {
		return nil, no
	}
	if m.Unavailable != nil && m.Unavailable() != nil {
		return nil, NotNow
	}
	claims, err := m.Verifier.Verify(token)
	if err != nil {
		return nil, InvalidToken(err)
	}
	has := claims.Scopes()
	for _, scope := range m.Scopes {
		if !slices.Contains(has, scope) {
			return nil, TooNarrow
		}
	}
	return claims, nil
}

func (m *Middleware) refuse(w http.ResponseWriter, r *http.Request, no *Refusal) {
	body, head := no.Problem(), w.Header()
	head.Set("Content-Type", "application/problem+json")
	head.Set("Content-Length", strconv.Itoa(len(body)))
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	if no == NotNow {
		head.Set("Retry-After", strconv.Itoa(int(max(m.RetryAfter, time.Second)/time.Second)))
	} else {
		head.Set("WWW-Authenticate", no.Challenge(m.Realm, strings.Join(m.Scopes, " ")))
	}
	w.WriteHeader(no.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that went away is nobody to report to
	}
}
