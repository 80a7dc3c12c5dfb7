package gateway

import (
	"errors"
	"net/http"

	"github.com/burnkey/burnkey/jwks"
)

// A Request contains the parts of a request that a decision depends on.
type Request struct {
	// Authorization holds the values of all Authorization headers. A proxy that joins
	// repeated headers with a comma may pass the result: no token contains one.
	Authorization []string
	// Requirements are the route's requirements, by name: audience, scopes and workspace.
	Requirements map[string]string
	// Host and Path identify the route in the log if its requirements are invalid.
	Host, Path string
}

// A Decision says whether a request may pass, and what the API learns about its key.
type Decision struct {
	// Refusal is the reason why the request must not pass. If nil, the request may pass.
	Refusal *jwks.Refusal
	// Remove lists headers to remove from a request that may pass.
	Remove []string

	scopes string // required by the route
	fields [4]Field
	set    int // fields in use
}

// A Field is a property of the key of a request that may pass.
type Field struct {
	Header string // for the API; replaces a header of this name that the client sent
	Name   string // for the gateway's own metadata
	Value  string
}

// Fields returns the properties of the key of a request that may pass. Many APIs treat an underscore in a header's
// name as a hyphen: the proxy must remove such headers of the client.
func (d *Decision) Fields() []Field { return d.fields[:d.set] }

func (d *Decision) add(header, name, value string) {
	d.fields[d.set] = Field{header, name, value}
	d.set++
}

// Decide verifies a request's key and checks it against the route's requirements. It calls no server.
func (g *Gateway) Decide(r Request) Decision {
	need, err := readRequirement(r.Requirements)
	if err != nil {
		g.logRouteFault(err, r.Host, r.Path)
		return Decision{Refusal: misconfigured}
	}
	token, no := jwks.BearerToken(r.Authorization...)
	if no != nil {
		return Decision{Refusal: no}
	}
	t, claims, no := g.accept(token, &need)
	if no != nil {
		return Decision{Refusal: no, scopes: need.scopes}
	}
	g.recordUse(t, token)
	return g.allow(t, claims)
}

// accept returns the workspace and the claims of a token that satisfies the route's requirement.
func (g *Gateway) accept(token string, need *requirement) (*tenant, *jwks.Claims, *jwks.Refusal) {
	t, claims, err := g.verify(token)
	switch {
	case errors.Is(err, jwks.ErrNotReady), errors.Is(err, jwks.ErrStale):
		return nil, nil, jwks.NotNow
	case err != nil:
		return nil, nil, jwks.InvalidToken(err)
	case g.o.RequireExpiration && claims.ExpiresAt().IsZero():
		return nil, nil, neverExpires
	}
	if no := need.check(t.id, claims); no != nil {
		return nil, nil, no
	}
	if !isHeaderValue(claims.ID) || !isHeaderValue(claims.Subject) || !isHeaderValue(claims.Scope) {
		return nil, nil, jwks.InvalidToken(jwks.ErrClaims)
	}
	return t, claims, nil
}

// isHeaderValue reports whether a header transmits s unchanged. Control characters are not allowed (RFC 9110
// section 5.5), and a space at either end would be trimmed.
func isHeaderValue(s string) bool {
	if s != "" && (s[0] == ' ' || s[len(s)-1] == ' ') {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

const (
	headerScopes = "x-burnkey-scopes"
	// headerIssuer is set by jwt_authn if Envoy verifies tokens itself. An API that was once behind such an
	// Envoy may still trust the header.
	headerIssuer = "x-burnkey-issuer"
)

func (g *Gateway) allow(t *tenant, claims *jwks.Claims) Decision {
	d := Decision{Remove: g.removeWithScopes}
	d.add("x-burnkey-key-id", "key_id", claims.ID)
	d.add("x-burnkey-owner", "owner", claims.Subject)
	d.add("x-burnkey-workspace", "workspace", t.id)
	if claims.Scope == "" {
		d.Remove = g.remove
	} else {
		d.add(headerScopes, "scopes", claims.Scope)
	}
	return d
}

// setRemove prepares the two values of Decision.Remove: for tokens with scopes and for tokens without.
func (g *Gateway) setRemove() {
	g.removeWithScopes = []string{headerIssuer}
	if g.o.StripAuthorization {
		g.removeWithScopes = append(g.removeWithScopes, "authorization")
	}
	g.remove = append(append([]string{}, g.removeWithScopes...), headerScopes)
}

const realm = "api"

// Refusals in addition to those of package jwks.
var (
	// misconfigured is the refusal of every request to a route with an invalid requirement. If such a
	// requirement were ignored, a typo would open the route.
	misconfigured  = &jwks.Refusal{Reason: "configuration", Status: 500, Detail: "The requirements of this route are invalid."}
	otherWorkspace = &jwks.Refusal{
		Reason: "workspace", Status: 401, Code: "invalid_token", Detail: "The token's workspace is not accepted here.",
	}
	neverExpires = &jwks.Refusal{
		Reason: "never_expires", Status: 401, Code: "invalid_token", Detail: "The token never expires, which is not accepted here.",
	}
)

// A Header is one header of a response.
type Header struct{ Name, Value string }

// ResponseHeaders returns the headers of the response to a refused request. Its body is Refusal.Problem.
func (d *Decision) ResponseHeaders() []Header {
	headers := append(make([]Header, 0, 5),
		Header{"content-type", "application/problem+json"},
		Header{"cache-control", "no-store"},
		Header{"x-content-type-options", "nosniff"})
	if challenge := d.Refusal.Challenge(realm, d.scopes); challenge != "" {
		headers = append(headers, Header{"www-authenticate", challenge})
	}
	if d.Refusal.Status == http.StatusServiceUnavailable {
		headers = append(headers, Header{"retry-after", "1"})
	}
	return headers
}
