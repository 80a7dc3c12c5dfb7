package jwks

import (
	"context"
	"encoding/json"
	"errors"
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

// refusal is why a request does not pass. Its detail fits an error_description
// (RFC 6750 section 3) and quotes nothing of the request.
type refusal struct {
	status int
	code   string // RFC 6750 section 3.1; empty where the client sent no token
	detail string
}

var (
	noToken = &refusal{http.StatusUnauthorized, "", "A bearer token is required."}
	badForm = &refusal{
		http.StatusBadRequest, "invalid_request",
		"The header Authorization must be sent once, as the word Bearer and a token.",
	}
	tooNarrow = &refusal{http.StatusForbidden, "insufficient_scope", "The token lacks a scope that is required here."}
	notNow    = &refusal{http.StatusServiceUnavailable, "", "Tokens cannot be verified at present."}
)

func (m *Middleware) judge(r *http.Request) (*Claims, *refusal) {
	token, no := bearer(r.Header.Values("Authorization"))
	if no != nil {
		return nil, no
	}
	if m.Unavailable != nil && m.Unavailable() != nil {
		return nil, notNow
	}
	claims, err := m.Verifier.Verify(token)
	if err != nil {
		return nil, &refusal{http.StatusUnauthorized, "invalid_token", whyInvalid(err)}
	}
	has := claims.Scopes()
	for _, scope := range m.Scopes {
		if !slices.Contains(has, scope) {
			return nil, tooNarrow
		}
	}
	return claims, nil
}

// bearer returns the token of a request that has one (RFC 6750 section 2.1). The
// scheme's case does not matter (RFC 9110 section 11.1).
func bearer(headers []string) (string, *refusal) {
	if len(headers) == 0 {
		return "", noToken
	}
	if len(headers) > 1 {
		return "", badForm
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", noToken
	}
	token = strings.TrimLeft(token, " ")
	if !isToken68(token) {
		return "", badForm
	}
	return token, nil
}

// isToken68 checks the syntax b64token (RFC 6750 section 2.1).
func isToken68(s string) bool {
	s = strings.TrimRight(s, "=")
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("-._~+/", c) < 0:
			return false
		}
	}
	return s != ""
}

func whyInvalid(err error) string {
	switch {
	case errors.Is(err, ErrUnknown):
		return "The token was revoked, or is not of this issuer."
	case errors.Is(err, ErrExpired):
		return "The token has expired."
	case errors.Is(err, ErrIssuer):
		return "The token is of another issuer."
	case errors.Is(err, ErrAudience):
		return "The token is for another audience."
	case errors.Is(err, ErrSignature):
		return "The signature of the token does not fit."
	}
	return "The token is malformed."
}

func (m *Middleware) refuse(w http.ResponseWriter, r *http.Request, no *refusal) {
	body, err := json.Marshal(struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{"about:blank", http.StatusText(no.status), no.status, no.detail})
	if err != nil {
		panic(err) // strings and a number
	}
	head := w.Header()
	head.Set("Content-Type", "application/problem+json")
	head.Set("Content-Length", strconv.Itoa(len(body)))
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	if no == notNow {
		head.Set("Retry-After", strconv.Itoa(int(max(m.RetryAfter, time.Second)/time.Second)))
	} else {
		head.Set("WWW-Authenticate", m.challenge(no))
	}
	w.WriteHeader(no.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that went away is nobody to report to
	}
}

func (m *Middleware) challenge(no *refusal) string {
	text := "Bearer realm=" + quoted(m.Realm)
	if no.code == "" {
		return text
	}
	text += ", error=" + quoted(no.code) + ", error_description=" + quoted(no.detail)
	if no == tooNarrow {
		text += ", scope=" + quoted(strings.Join(m.Scopes, " "))
	}
	return text
}

// quoted writes a quoted-string (RFC 9110 section 5.6.4). A control character,
// which has no place in one, becomes a space.
func quoted(s string) string {
	out := []byte{'"'}
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ' || c == 0x7f:
			out = append(out, ' ')
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		default:
			out = append(out, c)
		}
	}
	return string(append(out, '"'))
}
