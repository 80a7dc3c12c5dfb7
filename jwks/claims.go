package jwks

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Claims are the claims of a token (RFC 7519 section 4.1, RFC 9068 section 2.2), in the order of the payload. A
// Verifier with a Table replaces Expiry and Scope by the attributes of the key if it has any. If the token has a parent,
// the attributes of the parent narrow them.
type Claims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience []string `json:"aud"`
	ID       string   `json:"jti"`
	IssuedAt int64    `json:"iat"` // seconds since 1970, as is exp
	Expiry   int64    `json:"exp,omitzero"`
	Scope    string   `json:"scope,omitzero"`
	// ClientID is the owner (RFC 9068 section 2.2). This and the next three claims are only in tokens of TypeAccessToken.
	ClientID string `json:"client_id,omitzero"`
	// KeyID and KeyKID name the parent, the key for which the exchange issued the token. They are zero if the token is a key.
	KeyID  string `json:"key_id,omitzero"`
	KeyKID KID    `json:"key_kid,omitzero"`
	// KeyImported reports whether the parent is an imported key, which has no JWK.
	KeyImported bool           `json:"key_imported,omitzero"`
	Extra       jsontext.Value `json:",embed"` // custom claims: an object or nil
	// Attributes are those of the token's key, or of its parent; the zero value if Keys of the Verifier has no Table.
	Attributes Attributes `json:"-"`
}

// RateLimitClaim is the name of the claim with the limit that a plan has signed into its tokens.
const RateLimitClaim = "rate_limit"

// Reserved reports whether a custom claim must not have this name.
func Reserved(claim string) bool {
	switch claim {
	case "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "scope", RateLimitClaim,
		"client_id", "key_id", "key_kid", "key_imported", "act":
		return true
	}
	return false
}

// Scopes splits the claim scope at its spaces (RFC 6749 section 3.3).
func (c *Claims) Scopes() []string { return strings.Fields(c.Scope) }

// ExpiresAt returns the time exp, or the time of the key's attributes, which can have a fraction of a second. It
// returns the zero time for a token that does not expire.
func (c *Claims) ExpiresAt() time.Time {
	if end := c.Attributes.ExpiresAt; !end.IsZero() && !c.HasParent() {
		return end
	}
	if c.Expiry == 0 {
		return time.Time{}
	}
	return time.Unix(c.Expiry, 0).UTC()
}

// keyClaims are Claims of a token of TypeJWT. The claims that only access tokens have are custom claims here: their names
// were not always reserved.
type keyClaims struct {
	Issuer      string         `json:"iss"`
	Subject     string         `json:"sub"`
	Audience    []string       `json:"aud"`
	ID          string         `json:"jti"`
	IssuedAt    int64          `json:"iat"`
	Expiry      int64          `json:"exp"`
	Scope       string         `json:"scope"`
	ClientID    string         `json:"-"`
	KeyID       string         `json:"-"`
	KeyKID      KID            `json:"-"`
	KeyImported bool           `json:"-"`
	Extra       jsontext.Value `json:",embed"`
	Attributes  Attributes     `json:"-"`
}

type payload[C Claims | keyClaims] struct {
	Claims    C              `json:",embed"`
	Expiry    jsontext.Value `json:"exp"` // nil only if absent
	NotBefore jsontext.Value `json:"nbf"` // Burnkey never sets it, but it must not be ignored
}

// Claims reads the payload: a JSON object without duplicate members, with iss, sub, aud and jti, each claim
// of its type, and without nbf. An access token also has exp and client_id. Errors wrap ErrClaims.
func (p *Parsed) Claims() (*Claims, error) {
	c := new(Claims)
	var err error
	if p.Type == TypeAccessToken {
		err = readPayload[Claims](p.Payload, c)
	} else {
		err = readPayload[keyClaims](p.Payload, c)
	}
	switch {
	case err != nil:
		return nil, err
	case !c.complete():
		return nil, fmt.Errorf("%w: iss, sub, aud or jti is missing", ErrClaims)
	case p.Type == TypeAccessToken && !c.completeAccess():
		return nil, fmt.Errorf("%w: not the claims of an access token", ErrClaims)
	}
	return c, nil
}

func readPayload[C Claims | keyClaims](text []byte, c *Claims) error {
	var read payload[C]
	if err := json.Unmarshal(text, &read, noNull); err != nil {
		return fmt.Errorf("%w: the payload is not a JSON object with the right types", ErrClaims)
	}
	*c = Claims(read.Claims)
	if read.NotBefore != nil {
		return fmt.Errorf("%w: nbf is not supported", ErrClaims)
	}
	if exp := read.Expiry; exp != nil && (json.Unmarshal(exp, &c.Expiry) != nil || c.Expiry <= 0) {
		return fmt.Errorf("%w: exp is not a number of seconds", ErrClaims)
	}
	return nil
}

// complete reports whether the required claims are present.
func (c *Claims) complete() bool {
	return c.Issuer != "" && c.Subject != "" && c.ID != "" && len(c.Audience) > 0
}

// completeAccess reports whether the other claims that an access token requires are present (RFC 9068 section 2.2), and
// those of a parent either complete or absent.
func (c *Claims) completeAccess() bool {
	return c.ClientID != "" && c.Expiry != 0 && (c.KeyID != "") == c.HasParent() && c.KeyImported == c.KeyKID.IsImported()
}

// noNull refuses null in JSON, which the library would read as "", 0 or false.
var noNull = json.WithUnmarshalers(json.JoinUnmarshalers(
	refuseNull[string](), refuseNull[int64](), refuseNull[bool](), refuseNull[KID]()))

func refuseNull[T any]() *json.Unmarshalers {
	return json.UnmarshalFromFunc(func(in *jsontext.Decoder, _ *T) error {
		if in.PeekKind() == 'n' {
			return ErrClaims
		}
		return errors.ErrUnsupported // use the default
	})
}
