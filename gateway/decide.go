package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// A Request contains the parts of a request that a decision depends on.
type Request struct {
	// Headers must contain every header that Gateway.HeaderNames names; others are ignored. A proxy that joins repeated
	// headers with a comma may pass the result: no key contains one.
	Headers []jwks.HeaderField
	// Requirements are the route's requirements, by name: audience, scopes and workspace; route is the name by which
	// limits know it.
	Requirements map[string]string
	// Address is the client's, as the proxy determined it; the zero Addr if it is unknown. Keys that can only be used
	// from some networks are then refused. It must not come from a header that clients can set.
	Address netip.Addr
	// Path is the path and query, as the API receives them. Host and Path also identify the route in the log if its
	// requirements are invalid.
	Host, Path string
}

// A Decision says whether a request may pass, and what the API learns about its key.
type Decision struct {
	// Refusal is the reason why the request must not pass. If nil, the request may pass.
	Refusal *jwks.Refusal
	// Remove lists headers to remove from a request that may pass.
	Remove []string
	// Path replaces the path and query of a request that may pass, unless it is empty: its query contained the key.
	Path string

	scopes     string // required by the route
	fields     [4]Field
	set        int      // fields in use
	headers    []Header // about limits and, if the request may pass, the key's life
	violated   []string // names of limits
	server     string   // its public URL
	protection *jwks.Protection
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

// Decide verifies a request's key, checks it against the route's requirements, and counts the request with its limits.
// It calls no server, except that Options.Counter may.
func (g *Gateway) Decide(ctx context.Context, r Request) Decision {
	d := g.decide(ctx, &r)
	d.server, d.protection = g.o.PublicURL, &g.protection
	return d
}

func (g *Gateway) decide(ctx context.Context, r *Request) Decision {
	need, err := readRequirement(r.Requirements)
	if err != nil {
		g.logRouteFault(err, r.Host, r.Path)
		return Decision{Refusal: jwks.Misconfigured}
	}
	target := g.target(r)
	found, no := g.find(r.Headers, target)
	if no != nil {
		return Decision{Refusal: no}
	}
	token := found.Key
	from := plain(r.Address)
	t, claims, no := g.accept(token, from, &need)
	if no != nil {
		return Decision{Refusal: no, scopes: need.scopes}
	}
	now := g.o.Now()
	headers, violated, no := g.limit(ctx, t, &limited{now, claims.RecordID(), claims.Subject, need.route, from, &claims.Attributes}, 1)
	if no != nil {
		return Decision{Refusal: no, headers: headers, violated: violated}
	}
	g.recordUse(t, token, claims)
	d := g.allow(t, claims)
	if d.headers = g.life(claims, now); headers != nil {
		d.headers = append(headers, d.headers...)
	}
	g.strip(&d, found, target)
	return d
}

// plain returns an address without its zone, and an IPv4-mapped one as IPv4. It shares no memory with a, or the
// caller's Request would escape to the heap.
func plain(a netip.Addr) netip.Addr {
	if !a.IsValid() {
		return netip.Addr{}
	}
	return netip.AddrFrom16(a.As16()).Unmap()
}

// accept returns the workspace and the claims of a token that satisfies the route's requirement.
func (g *Gateway) accept(token string, from netip.Addr, need *requirement) (*tenant, *jwks.Claims, *jwks.Refusal) {
	t, claims, err := g.verify(token, from)
	switch {
	case errors.Is(err, jwks.ErrNotReady), errors.Is(err, jwks.ErrStale):
		return nil, nil, jwks.NotNow
	case err != nil:
		return nil, nil, jwks.InvalidToken(err)
	case g.o.RequireExpiration && claims.ExpiresAt().IsZero():
		return nil, nil, jwks.NeverExpires
	}
	if !g.acceptsEnvironment(t) {
		return nil, nil, jwks.WrongEnvironment
	}
	if no := need.check(t.id, claims); no != nil {
		return nil, nil, no
	}
	if !isHeaderValue(claims.RecordID()) || !isHeaderValue(claims.Subject) || !isHeaderValue(claims.Scope) {
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
	d.add("x-burnkey-key-id", "key_id", claims.RecordID())
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
	if g.o.StripAuthorization && g.o.Places.OnlyBearer() {
		g.removeWithScopes = append(g.removeWithScopes, "authorization")
	}
	g.remove = append(append([]string{}, g.removeWithScopes...), headerScopes)
}

const realm = "api"

// A Header is one header of a response.
type Header struct{ Name, Value string }

// ResponseHeaders returns the headers of the response to the request: about limits and the key's life if it may pass.
// Otherwise, the body of the response is Problem.
func (d *Decision) ResponseHeaders() []Header {
	if d.Refusal == nil {
		return d.headers
	}
	headers := append(make([]Header, 0, 8),
		Header{"content-type", "application/problem+json"},
		Header{"cache-control", "no-store"},
		Header{"x-content-type-options", "nosniff"})
	switch d.Refusal.Status {
	case http.StatusTooManyRequests:
		return append(headers, d.headers...)
	case http.StatusServiceUnavailable:
		return append(headers, Header{"retry-after", "1"})
	}
	if challenge := d.Refusal.Challenge(*d.protection, d.scopes); challenge != "" {
		headers = append(headers, Header{"www-authenticate", challenge})
	}
	return headers
}

// IsCommon reports whether all refusals with the same Refusal have the same response.
func (d *Decision) IsCommon() bool { return d.Refusal != jwks.TooNarrow && d.Refusal != jwks.OverLimit }

// Problem returns the body of the response to a refused request.
func (d *Decision) Problem() []byte { return d.Refusal.Problem(d.server, d.violated...) }

// life returns the headers about a key's life.
func (g *Gateway) life(claims *jwks.Claims, now time.Time) []Header {
	life := claims.Lifecycle(now, g.o.ExpiryNotice)
	if life.Status == jwks.KeyActive {
		return active
	}
	headers := make([]Header, 0, 3)
	life.Headers(func(name, value string) { headers = append(headers, Header{strings.ToLower(name), value}) })
	return headers
}

// active are the headers about a key that is neither rotated nor expiring. They must not be changed.
var active = []Header{{"x-key-status", jwks.KeyActive}}
