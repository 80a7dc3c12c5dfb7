package gateway

import (
	"bytes"
	"encoding/base64"
	"errors"
	"net/netip"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/burnkey/burnkey/jwks"
)

// verify verifies a token, using only the keys of the workspace that the token names as its issuer, or finds an imported
// key. Errors are those of Verifier.Verify and of usable.
func (g *Gateway) verify(token string, from netip.Addr) (*tenant, *jwks.Claims, error) {
	if g.mayBeImported(token) {
		return g.verifyImported(token, from)
	}
	_, jwt := jwks.CutPrefix(token)
	t, err := g.issuer.find(&g.roster, jwt)
	if errors.Is(err, jwks.ErrIssuer) && !g.isRosterKnown() {
		return nil, nil, jwks.ErrNotReady // the token may belong to a workspace that is not known yet
	}
	if err != nil {
		return nil, nil, err
	}
	if err := g.usable(t); err != nil {
		return nil, nil, err
	}
	claims, err := t.verifier.VerifyFrom(token, from) // checks that iss is this workspace's, too
	if err != nil {
		return nil, nil, err
	}
	return t, claims, nil
}

// An issuer is the common prefix of the issuers of all workspaces.
type issuer struct {
	prefix string
	// The payload of Burnkey's tokens starts with iss, so its first bytes identify the workspace. head is the
	// start of such a payload as base64url. Since base64 encodes groups of three bytes, tail is the one or two
	// bytes that are left over.
	head string
	tail []byte
}

func newIssuer(prefix string) issuer {
	start := []byte(`{"iss":"` + prefix)
	whole := len(start) / 3 * 3
	return issuer{prefix, base64.RawURLEncoding.EncodeToString(start[:whole]), start[whole:]}
}

const idMax = 63

// find returns the tenant that the iss of a token without its prefix names, or ErrIssuer, ErrMalformed or ErrClaims. It verifies
// nothing: its result selects the keys that verify the token.
func (i *issuer) find(tenants *roster, token string) (*tenant, error) {
	_, payload, _ := strings.Cut(token, ".")
	if rest, ok := strings.CutPrefix(payload, i.head); ok {
		var text [(2 + idMax + 1) / 3 * 4]byte
		var plain [2 + idMax + 1]byte
		n, _ := base64.RawURLEncoding.Decode(plain[:], text[:copy(text[:], rest)]) // the verifier reports errors
		id, found := bytes.CutPrefix(plain[:n], i.tail)
		if id, _, ended := bytes.Cut(id, []byte{'"'}); found && ended {
			return known(tenants.of(id))
		}
	}
	if !strings.HasPrefix(token, jwks.TokenPrefix) {
		return nil, jwks.ErrMalformed
	}
	iss, ok := readIssuer(payload)
	if !ok {
		return nil, jwks.ErrClaims
	}
	id, ok := strings.CutPrefix(iss, i.prefix)
	if !ok {
		return nil, jwks.ErrIssuer
	}
	return known(tenants.of([]byte(id)))
}

// lookMax limits, in bytes, the search for an iss that is not the first claim. The payload is not yet verified,
// and a forged payload must not cost more than a valid one.
const lookMax = 1023

// readIssuer returns the iss of a payload, given the start of the payload as base64url.
func readIssuer(payload string) (iss string, ok bool) {
	text, _, _ := strings.Cut(payload, ".")
	text = text[:min(len(text), base64.RawURLEncoding.EncodedLen(lookMax))]
	plain, _ := base64.RawURLEncoding.DecodeString(text) // the verifier reports errors
	in := jsontext.NewDecoder(bytes.NewReader(plain))
	if begin, err := in.ReadToken(); err != nil || begin.Kind() != '{' {
		return "", false
	}
	for in.PeekKind() == '"' {
		name, err := in.ReadToken()
		if err != nil {
			return "", false
		}
		isIssuer := name.String() == "iss" // name is valid until the next ReadToken only
		value, err := in.ReadToken()
		switch {
		case err != nil || value.Kind() == '{' || value.Kind() == '[': // nested values are not searched
			return "", false
		case isIssuer:
			return value.String(), value.Kind() == '"'
		}
	}
	return "", false
}

func known(t *tenant) (*tenant, error) {
	if t == nil {
		return nil, jwks.ErrIssuer
	}
	return t, nil
}
