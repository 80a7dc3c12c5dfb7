package jwks

import (
	"context"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Middleware passes requests with a valid token in the Authorization header (RFC 6750 section 2.1), or in other Places. It
// answers others according to RFC 6750 section 3, with problem details (RFC 9457). It ignores tokens
// elsewhere in a request. The fields must not change after the first use.
type Middleware struct {
	Verifier *Verifier
	// Realm is the protection space that the header WWW-Authenticate names (RFC 9110 section 11.5).
	Realm string
	// ResourceMetadata is the URL of the API's metadata as a protected resource (RFC 9728), which the API itself must serve.
	// If it is empty, refusals do not refer to metadata.
	ResourceMetadata string
	// Scopes are the required scopes: a token must have all of them.
	Scopes []string
	// Places are the places of a request from which a key is read. A query parameter among them is removed before the
	// next handler, but an access log outside of the Middleware still contains it.
	Places Places
	// StripAuthorization also removes the headers that contain the key.
	StripAuthorization bool
	// ClientAddr returns the client's address, for keys that can only be used from some networks. If nil, it is
	// that of the connection. After a proxy, take it from a header that this proxy overwrites: the client itself writes
	// the beginning of X-Forwarded-For. The zero Addr means unknown, and such keys are then refused.
	ClientAddr func(*http.Request) netip.Addr
	// Unavailable, unless nil, returns an error while tokens cannot be verified, usually the error of
	// Follower.Usable. The response is then 503: clients retry after a 503 but give up after a 401.
	Unavailable func() error
	// RetryAfter is sent with a 503, in whole seconds. The default is one second.
	RetryAfter time.Duration
	// Server is the server's public URL. It has a page about each refusal, to which the type of a problem then leads.
	// If empty, the type is about:blank.
	Server string
	// ExpiryNotice is the time before the end of a key during which the headers Deprecation and Sunset announce it,
	// usually DefaultExpiryNotice. 0: only the end of a rotated key's grace is announced.
	ExpiryNotice time.Duration
}

// Require returns a copy of m that also requires these scopes.
func (m *Middleware) Require(scopes ...string) *Middleware {
	more := *m
	more.Scopes = append(slices.Clone(m.Scopes), scopes...)
	return &more
}

// IssuerIs returns a function for Verifier.Issuer that accepts one issuer.
func IssuerIs(iss string) func(string) bool { return func(s string) bool { return s == iss } }

type claimsKey struct{}

// ClaimsFrom returns the claims of the token in a request that passed a Middleware. Do not change the claims.
func ClaimsFrom(ctx context.Context) (*Claims, bool) {
	claims, ok := ctx.Value(claimsKey{}).(*Claims)
	return claims, ok
}

// Handler wraps next.
func (m *Middleware) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, found, no := m.judge(r)
		if no != nil {
			m.refuse(w, r, no)
			return
		}
		life := claims.Lifecycle(m.Verifier.now(), m.ExpiryNotice)
		life.Headers(w.Header().Set)
		r = r.WithContext(context.WithValue(r.Context(), claimsKey{}, claims))
		m.strip(r, found)
		next.ServeHTTP(w, r)
	})
}

// strip removes the key from a request, which must be a copy.
func (m *Middleware) strip(r *http.Request, found Found) {
	if query := m.Places.StripQuery(r.URL.RawQuery); query != r.URL.RawQuery {
		u := *r.URL
		u.RawQuery = query
		r.URL, r.RequestURI = &u, m.Places.StripTarget(r.RequestURI)
	}
	if m.StripAuthorization {
		r.Header = maps.Clone(r.Header)
		for _, name := range m.Places.HeadersWith(found) {
			r.Header.Del(name)
		}
	}
}

func (m *Middleware) judge(r *http.Request) (*Claims, Found, *Refusal) {
	var some [4]HeaderField
	found, no := m.Places.Find(m.Places.Fields(some[:0], r.Header), r.URL.RawQuery)
	if no != nil {
		return nil, found, no
	}
	claims, no := m.accept(r, found.Key)
	return claims, found, no
}

func (m *Middleware) accept(r *http.Request, token string) (*Claims, *Refusal) {
	if m.Unavailable != nil && m.Unavailable() != nil {
		return nil, NotNow
	}
	claims, err := m.Verifier.VerifyFrom(token, m.clientAddr(r))
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

func (m *Middleware) clientAddr(r *http.Request) netip.Addr {
	if m.ClientAddr != nil {
		return m.ClientAddr(r)
	}
	at, _ := netip.ParseAddrPort(r.RemoteAddr) // unknown on a Unix socket, for example
	return at.Addr()
}

func (m *Middleware) refuse(w http.ResponseWriter, r *http.Request, no *Refusal) {
	body, head := no.Problem(m.Server), w.Header()
	head.Set("Content-Type", "application/problem+json")
	head.Set("Content-Length", strconv.Itoa(len(body)))
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	if no == NotNow {
		head.Set("Retry-After", strconv.Itoa(int(max(m.RetryAfter, time.Second)/time.Second)))
	} else {
		head.Set("WWW-Authenticate", no.Challenge(Protection{m.Places, m.Realm, m.ResourceMetadata}, strings.Join(m.Scopes, " ")))
	}
	w.WriteHeader(no.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client has gone
	}
}
