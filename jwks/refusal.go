package jwks

import (
	"errors"
	"net/http"
	"strings"
)

// A Refusal says why a request is refused. Its address is constant, so responses can be cached under the
// address. Refusals must not be changed.
type Refusal struct {
	// Reason is one word, for metrics.
	Reason string
	Status int
	// OAuth is the error code of RFC 6750 section 3.1. It is empty if the client sent no token or is not at
	// fault, or if no code fits.
	OAuth string
	// Detail is valid as an error_description (RFC 6750 section 3) and quotes nothing from the request.
	Detail string
}

// Refusals that do not come from an error of Verifier.Verify.
var (
	NoToken  = &Refusal{"no_token", http.StatusUnauthorized, "", "An API key is required."}
	BadToken = &Refusal{
		"bad_request", http.StatusBadRequest, "invalid_request",
		"The header Authorization must be sent once, as the word Bearer and a token.",
	}
	BadBasic = &Refusal{
		"bad_request", http.StatusBadRequest, "invalid_request",
		"The header Authorization must contain a user name and a password in base64 after the word Basic.",
	}
	BadQuery = &Refusal{
		"bad_request", http.StatusBadRequest, "invalid_request",
		"The query must contain the key without invalid escapes, and at most 1000 parameters.",
	}
	TwoKeys = &Refusal{
		"two_keys", http.StatusBadRequest, "invalid_request", "The request contains two different keys.",
	}
	TooNarrow = &Refusal{"scope", http.StatusForbidden, "insufficient_scope", "The token lacks a scope that is required here."}
	NotNow    = &Refusal{"unavailable", http.StatusServiceUnavailable, "", "Tokens cannot be verified at present."}

	// The package gateway alone uses the rest.
	WrongWorkspace   = invalid("workspace", "The token's workspace is not accepted here.")
	WrongEnvironment = invalid("environment", "The token is for another environment.")
	NeverExpires     = invalid("never_expires", "The token never expires, which is not accepted here.")
	OverLimit        = &Refusal{
		"limit", http.StatusTooManyRequests, "", "The request exceeds a limit; Retry-After says when to try again.",
	}
	Uncounted = &Refusal{"limits_unavailable", http.StatusServiceUnavailable, "", "Limits cannot be checked at present."}
	// Misconfigured refuses every request to a route with an invalid requirement. If such a requirement were
	// ignored, a typo would open the route.
	Misconfigured = &Refusal{
		"configuration", http.StatusInternalServerError, "", "The requirements of this route are invalid.",
	}
)

var tokenErrors = []struct {
	err     error
	refusal *Refusal
}{
	{ErrUnknown, invalid("unknown", "The token was revoked or suspended, or is from another issuer.")},
	{ErrExpired, invalid("expired", "The token has expired.")},
	{ErrIssuer, invalid("issuer", "The token is from another issuer.")},
	{ErrPrefix, invalid("prefix", "The token does not have the prefix of its workspace.")},
	{ErrAudience, invalid("audience", "The token is for another audience.")},
	{ErrSignature, invalid("signature", "The signature of the token does not fit.")},
	{ErrClaims, invalid("claims", "The token is malformed.")},
	// The token is valid, and no code of RFC 6750 says what is wrong.
	{ErrAddress, &Refusal{"address", http.StatusForbidden, "", "The token may not be used from this address."}},
}

var malformed = invalid("malformed", "The token is malformed.")

func invalid(reason, detail string) *Refusal {
	return &Refusal{reason, http.StatusUnauthorized, "invalid_token", detail}
}

// InvalidToken returns the refusal for an error of Verifier.Verify.
func InvalidToken(err error) *Refusal {
	for _, known := range tokenErrors {
		if errors.Is(err, known.err) {
			return known.refusal
		}
	}
	return malformed
}

// BearerToken returns the token in a request's Authorization headers (RFC 6750 section 2.1), or NoToken or
// BadToken as a Refusal. The scheme is case-insensitive (RFC 9110 section 11.1). The syntax of a token
// longer than MaxTokenLen is not checked, since a Verifier refuses it for its length.
func BearerToken(headers ...string) (string, *Refusal) {
	if len(headers) == 0 {
		return "", NoToken
	}
	if len(headers) > 1 {
		return "", BadToken
	}
	return schemeKey("Bearer", headers[0])
}

// schemeKey returns what follows a scheme in the value of the header Authorization.
func schemeKey(scheme, value string) (string, *Refusal) {
	sent, key, _ := strings.Cut(value, " ")
	if !strings.EqualFold(sent, scheme) {
		return "", NoToken
	}
	key = strings.TrimLeft(key, " ")
	if len(key) <= MaxTokenLen && !isToken68(key) {
		return "", BadToken
	}
	return key, nil
}

// isToken68 checks the syntax b64token (RFC 6750 section 2.1).
func isToken68(s string) bool {
	s = strings.TrimRight(s, "=")
	for i := range len(s) {
		if !inToken68[s[i]] {
			return false
		}
	}
	return s != ""
}

var inToken68 = func() (in [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/") {
		in[c] = true
	}
	return in
}()

// Challenge returns the value of WWW-Authenticate, or "" if the server is the cause of the refusal. It has a challenge for
// each scheme of the places, and the first has the error of RFC 6750 section 3. If the token lacks a scope, the value
// contains scopes, separated by spaces.
func (r *Refusal) Challenge(p Protection, scopes string) string {
	if r.Status >= http.StatusInternalServerError {
		return ""
	}
	schemes, realm := p.Places.Schemes(), " realm="+quoted(p.Realm)
	text := schemes[0] + realm
	if p.Metadata != "" {
		text += ", resource_metadata=" + quoted(p.Metadata)
	}
	if r.OAuth != "" {
		text += ", error=" + quoted(r.OAuth) + ", error_description=" + quoted(r.Detail)
	}
	if r == TooNarrow {
		text += ", scope=" + quoted(scopes)
	}
	for _, scheme := range schemes[1:] {
		text += ", " + scheme + realm
	}
	return text
}

// quoted returns a quoted-string (RFC 9110 section 5.6.4). It replaces control characters by spaces, since
// a quoted-string cannot contain control characters.
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
