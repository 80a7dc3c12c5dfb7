package jwks

import "net/netip"

// VerifyImported returns the claims that a token of an imported key would have. Errors are ErrAudience, ErrExpired and
// ErrAddress, as for Verify.
func (v *Verifier) VerifyImported(i Imported, from netip.Addr) (*Claims, error) {
	claims := &Claims{Subject: i.key.owner, Audience: i.key.audience, ID: i.key.id, IssuedAt: i.key.at}
	claims.replace(i.key.attributes)
	if err := v.admits(claims, from); err != nil {
		return nil, err
	}
	return claims, nil
}
