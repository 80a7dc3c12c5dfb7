package gateway

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/burnkey/burnkey/jwks"
)

// verify finds the workspace that a token says to be of, and has that one's keys
// alone verify it. Errors are those of Verifier.Verify, and of usable.
func (g *Gateway) verify(token string) (*tenant, *jwks.Claims, error) {
	roster := g.roster.Load()
	if roster == nil {
		return nil, nil, jwks.ErrNotReady
	}
	t, err := g.spokenFor.find(roster.tenants, token)
	if errors.Is(err, jwks.ErrIssuer) && roster.unfollowed > 0 {
		return nil, nil, jwks.ErrNotReady // it may be one of those
	}
	if err != nil {
		return nil, nil, err
	}
	if err := g.usable(t); err != nil {
		return nil, nil, err
	}
	claims, err := t.verifier.Verify(token) // which holds iss to this workspace's, too
	if err != nil {
		return nil, nil, err
	}
	return t, claims, nil
}

// An issuer is the beginning of every iss, as tokens have it.
type issuer struct {
	prefix string
	// Tokens of Burnkey's begin their payload with iss, so that a look at its first
	// bytes tells the workspace. Of these, head is base64url and tail what is left
	// over, since base64 goes by three bytes.
	head string
	tail []byte
}

func newIssuer(prefix string) issuer {
	start := []byte(`{"iss":"` + prefix)
	whole := len(start) / 3 * 3
	return issuer{prefix, base64.RawURLEncoding.EncodeToString(start[:whole]), start[whole:]}
}

const idMax = 63

// find returns the tenant that a token's iss names. Nothing of the token is
// verified by that: it chooses who verifies. ErrIssuer, ErrMalformed or ErrClaims.
func (i *issuer) find(tenants map[string]*tenant, token string) (*tenant, error) {
	_, payload, _ := strings.Cut(token, ".")
	if rest, ok := strings.CutPrefix(payload, i.head); ok {
		var text [(2 + idMax + 1) / 3 * 4]byte
		var plain [2 + idMax + 1]byte
		n, _ := base64.RawURLEncoding.Decode(plain[:], text[:copy(text[:], rest)]) // what is odd, the verifier sees
		id, found := bytes.CutPrefix(plain[:n], i.tail)
		if id, _, ended := bytes.Cut(id, []byte{'"'}); found && ended {
			return known(tenants[string(id)])
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
	return known(tenants[id])
}

// lookMax is how much of a payload is looked through for an iss that does not stand
// where Burnkey writes it, in bytes: nobody has signed that yet, and what a stranger
// made up is not to cost more than a good token.
const lookMax = 1023

// readIssuer returns iss of a payload in base64url, which something may follow.
func readIssuer(payload string) (iss string, ok bool) {
	text, _, _ := strings.Cut(payload, ".")
	text = text[:min(len(text), base64.RawURLEncoding.EncodedLen(lookMax))]
	plain, _ := base64.RawURLEncoding.DecodeString(text) // what is odd, the verifier sees
	in := jsontext.NewDecoder(bytes.NewReader(plain))
	if begin, err := in.ReadToken(); err != nil || begin.Kind() != '{' {
		return "", false
	}
	for in.PeekKind() == '"' {
		name, err := in.ReadToken()
		if err != nil {
			return "", false
		}
		isIssuer := name.String() == "iss" // the name is gone with the next token
		value, err := in.ReadToken()
		switch {
		case err != nil || value.Kind() == '{' || value.Kind() == '[': // nor any deeper
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
