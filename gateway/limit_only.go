package gateway

import (
	"context"
	"net/netip"
	"strings"

	"github.com/burnkey/burnkey/jwks"
)

// A LimitRequest describes a request whose token a proxy has verified itself.
type LimitRequest struct {
	Issuer, KeyID, Owner string // the claims iss, jti and sub
	// KID finds the key's limits and plan. Without a published key, the other limits still hold: the proxy may have
	// newer keys than this Gateway.
	KID     string
	Route   string     // empty: none
	Address netip.Addr // of the client
	N       uint32     // requests; 0 counts nothing
}

// Limit counts a request with its limits alone. The Refusal of its Decision is nil or about limits. Errors are
// jwks.ErrIssuer, if the workspace is not followed, jwks.ErrNotReady and jwks.ErrStale.
func (g *Gateway) Limit(ctx context.Context, r *LimitRequest) (Decision, error) {
	t, err := g.byIssuer(r.Issuer)
	if err != nil {
		return Decision{}, err
	}
	if err := g.usable(t); err != nil {
		return Decision{}, err
	}
	var a jwks.Attributes
	if kid, err := jwks.ParseKID(r.KID); err == nil {
		a, _ = t.verifier.Keys.(keysWithLimits).Attributes(kid)
	}
	headers, violated, no := g.limit(ctx, t, &limited{g.o.Now(), r.KeyID, r.Owner, r.Route, plain(r.Address), &a}, r.N)
	return Decision{Refusal: no, headers: headers, violated: violated, server: g.o.PublicURL, protection: &g.protection}, nil
}

// byIssuer returns the tenant with this issuer.
func (g *Gateway) byIssuer(iss string) (*tenant, error) {
	id, ok := strings.CutPrefix(iss, g.issuer.prefix)
	if !ok {
		return nil, jwks.ErrIssuer
	}
	t := g.roster.of([]byte(id))
	if t == nil && !g.isRosterKnown() {
		return nil, jwks.ErrNotReady // it may not be known yet
	}
	return known(t)
}
