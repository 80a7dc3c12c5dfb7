package gateway

import (
	"net/netip"
	"strings"

	"github.com/burnkey/burnkey/jwks"
)

// MinPepperLen is the minimum length of Options.Pepper in bytes.
const MinPepperLen = 16

// mayBeImported reports whether a credential can be an imported key: it is not a token of Burnkey, and there are imported
// keys, or it is not known yet whether there are any.
func (g *Gateway) mayBeImported(token string) bool {
	if g.feed == nil || g.feed.ImportedLen() == 0 && g.started.Load() || len(token) > jwks.MaxTokenLen {
		return false
	}
	_, jwt := jwks.CutPrefix(token)
	return !strings.HasPrefix(jwt, jwks.TokenPrefix)
}

// verifyImported does the same as verify for an imported key, which one look-up finds in all workspaces.
func (g *Gateway) verifyImported(key string, from netip.Addr) (*tenant, *jwks.Claims, error) {
	found, ok := g.feed.FindImported(jwks.SHA256Digest(key))
	if !ok && len(g.o.Pepper) > 0 {
		found, ok = g.feed.FindImported(jwks.HMACDigest(g.o.Pepper, key))
	}
	if !ok {
		return nil, nil, g.unknown()
	}
	t := g.roster.of([]byte(found.Workspace))
	if t == nil { // it is gone
		return nil, nil, jwks.ErrUnknown
	}
	if err := g.usable(t); err != nil {
		return nil, nil, err
	}
	claims, err := t.verifier.VerifyImported(found, from)
	if err != nil {
		return nil, nil, err
	}
	return t, claims, nil
}

// unknown returns jwks.ErrUnknown, or why the key can't be known yet. Unlike a token, it does not name its workspace.
func (g *Gateway) unknown() error {
	switch {
	case !g.started.Load():
		return jwks.ErrNotReady
	case g.o.MaxStaleness > 0 && !g.o.ServeStale && g.feed.Age() > g.o.MaxStaleness:
		return jwks.ErrStale
	}
	return jwks.ErrUnknown
}
