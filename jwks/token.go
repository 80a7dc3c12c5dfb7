package jwks

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"
	"unsafe"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Reasons for which a token is refused, for errors.Is. They never quote it.
var (
	ErrMalformed = errors.New("not a token of Burnkey's form")
	ErrUnknown   = errors.New("the token's key is not published")
	ErrSignature = errors.New("the signature does not fit")
	ErrClaims    = errors.New("the claims are not of the expected form")
	ErrIssuer    = errors.New("the token is another issuer's")
	ErrAudience  = errors.New("the token is for another audience")
	ErrExpired   = errors.New("the token has expired")
)

// MaxTokenLen is the longest text that is looked at as a token, in bytes.
const MaxTokenLen = 16 << 10

// TokenPrefix begins every token of Burnkey's and none whose header names no kid,
// but also some whose kid is empty: a filter in front of Envoy must look further.
const TokenPrefix = "eyJhbGciOiJSUzI1NiIsImtpZCI6I"

// Token is a token's text. It shows itself in no log and no error: print it
// with Reveal, to its holder alone.
type Token string

// Reveal returns the text.
func (t Token) Reveal() string { return string(t) }

// String hides the text.
func (t Token) String() string { return "[token]" }

// Format hides the text under every verb, also those that do not fit a string.
func (t Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// LogValue hides the text.
func (t Token) LogValue() slog.Value { return slog.StringValue("[token]") }

// MarshalText hides the text from JSON, YAML and XML: only the answer that issues
// may carry it, and does so on purpose.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// Claims of a token (RFC 7519 section 4.1, RFC 9068 section 2.2), in the order
// in which they are signed.
type Claims struct {
	Issuer   string         `json:"iss"`
	Subject  string         `json:"sub"`
	Audience []string       `json:"aud"`
	ID       string         `json:"jti"`
	IssuedAt int64          `json:"iat"` // seconds since 1970, as is exp
	Expiry   int64          `json:"exp,omitzero"`
	Scope    string         `json:"scope,omitzero"`
	Extra    jsontext.Value `json:",embed"` // the caller's own, an object or nil
}

// Reserved reports whether a claim's name is not the caller's to set.
func Reserved(claim string) bool {
	switch claim {
	case "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "scope", "client_id":
		return true
	}
	return false
}

// Scopes returns the space-separated scope as a list (RFC 6749 section 3.3).
func (c *Claims) Scopes() []string { return strings.Fields(c.Scope) }

// ExpiresAt returns exp, or the zero time for a token that does not expire.
func (c *Claims) ExpiresAt() time.Time {
	if c.Expiry == 0 {
		return time.Time{}
	}
	return time.Unix(c.Expiry, 0).UTC()
}

// Parsed is a token taken apart, nothing of it verified.
type Parsed struct {
	KID     KID
	Payload []byte
	signed  string // header and payload as they were signed
	sig     [ModulusLen]byte
}

// The header of every token is these bytes around its kid.
const (
	headerHead = `{"alg":"RS256","kid":"`
	headerTail = `","typ":"JWT"}`
	headerLen  = len(headerHead) + KIDTextLen + len(headerTail)
)

// Why a token is malformed.
var (
	errTooLarge  = fmt.Errorf("%w: longer than %d bytes", ErrMalformed, MaxTokenLen)
	errParts     = fmt.Errorf("%w: not three parts", ErrMalformed)
	errHeader    = fmt.Errorf("%w: not Burnkey's header", ErrMalformed)
	errNoKID     = fmt.Errorf("%w: the kid is not a thumbprint", ErrMalformed)
	errSigText   = fmt.Errorf("%w: the signature is not %d bytes of base64url", ErrMalformed, ModulusLen)
	errPayload   = fmt.Errorf("%w: the payload is not base64url", ErrMalformed)
	headTextLen  = b64.EncodedLen(headerLen)
	sigTextLen   = b64.EncodedLen(ModulusLen)
	minPartsLen  = headTextLen + len(".") + len(".") + sigTextLen
	payloadStart = headTextLen + len(".")
)

// Parse takes a token apart, accepting one spelling alone: the compact
// serialization (RFC 7515 section 7.1) in canonical base64url, with exactly the
// header that Burnkey writes. Errors wrap ErrMalformed.
func Parse(token string) (*Parsed, error) {
	p := new(Parsed)
	payload, err := p.split(token)
	if err != nil {
		return nil, err
	}
	if p.Payload, err = decodePayload(payload); err != nil {
		return nil, err
	}
	return p, nil
}

// split is Parse but for the payload, whose text it returns. It allocates nothing.
func (p *Parsed) split(token string) (payload string, err error) {
	if len(token) > MaxTokenLen {
		return "", errTooLarge
	}
	if strings.Count(token, ".") != 2 {
		return "", errParts
	}
	if len(token) < minPartsLen || token[headTextLen] != '.' {
		return "", errHeader
	}
	if err := p.readHeader(token[:headTextLen]); err != nil {
		return "", err
	}
	end := strings.LastIndexByte(token, '.')
	if len(token)-end-len(".") != sigTextLen || !decodeInto(p.sig[:], token[end+len("."):]) {
		return "", errSigText
	}
	p.signed = token[:end]
	return p.signed[payloadStart:], nil
}

// KIDOf returns the kid in a token's header. It looks at nothing else and allocates
// nothing: it is for a token that was verified. Errors wrap ErrMalformed.
func KIDOf(token string) (KID, error) {
	if len(token) < headTextLen {
		return KID{}, errHeader
	}
	var p Parsed
	err := p.readHeader(token[:headTextLen])
	return p.KID, err
}

func (p *Parsed) readHeader(text string) error {
	var head [headerLen]byte
	if !decodeInto(head[:], text) || string(head[:len(headerHead)]) != headerHead ||
		string(head[len(headerHead)+KIDTextLen:]) != headerTail {
		return errHeader
	}
	if n, err := b64.Decode(p.KID[:], head[len(headerHead):len(headerHead)+KIDTextLen]); err != nil || n != len(p.KID) {
		return errNoKID
	}
	return nil
}

// decodeInto reads canonical base64url that fills dst. The library skips line
// ends, which a text of the right length has no room for.
func decodeInto(dst []byte, text string) bool {
	n, err := b64.Decode(dst, []byte(text))
	return err == nil && n == len(dst)
}

func decodePayload(text string) ([]byte, error) {
	payload := make([]byte, b64.DecodedLen(len(text)))
	if len(text)%4 == 1 || !decodeInto(payload, text) {
		return nil, errPayload
	}
	return payload, nil
}

// digest is the SHA-256 hash of a text.
type digest = [sha256.Size]byte

// hash hashes a text where it lies: as a slice, it would be copied.
func hash(text string) digest {
	return sha256.Sum256(unsafe.Slice(unsafe.StringData(text), len(text)))
}

// Check verifies the signature by the key (RFC 8017 section 8.2.2); ErrSignature.
func (p *Parsed) Check(key Key) error {
	digest := hash(p.signed)
	if key.kid != p.KID || rsa.VerifyPKCS1v15(key.PublicKey(), crypto.SHA256, digest[:], p.sig[:]) != nil {
		return ErrSignature
	}
	return nil
}

// Claims reads the payload: one JSON object, no member twice, iss, sub, aud and
// jti present, every claim of its own type, no nbf. Errors wrap ErrClaims.
func (p *Parsed) Claims() (*Claims, error) {
	var payload struct {
		Claims
		Expiry    jsontext.Value `json:"exp"` // nil if absent, which null is not
		NotBefore jsontext.Value `json:"nbf"` // never Burnkey's; not to be ignored either
	}
	if err := json.Unmarshal(p.Payload, &payload, noNull); err != nil {
		return nil, fmt.Errorf("%w: the payload does not read", ErrClaims)
	}
	c := &payload.Claims
	if !c.complete() {
		return nil, fmt.Errorf("%w: iss, sub, aud or jti is missing", ErrClaims)
	}
	if payload.NotBefore != nil {
		return nil, fmt.Errorf("%w: nbf", ErrClaims)
	}
	if exp := payload.Expiry; exp != nil && (json.Unmarshal(exp, &c.Expiry) != nil || c.Expiry <= 0) {
		return nil, fmt.Errorf("%w: exp is not a time", ErrClaims)
	}
	return c, nil
}

// complete reports whether there is what every token says.
func (c *Claims) complete() bool {
	return c.Issuer != "" && c.Subject != "" && c.ID != "" && len(c.Audience) > 0
}

// noNull refuses null where the library reads it as "" or 0.
var noNull = json.WithUnmarshalers(json.JoinUnmarshalers(refuseNull[string](), refuseNull[int64]()))

func refuseNull[T any]() *json.Unmarshalers {
	return json.UnmarshalFromFunc(func(in *jsontext.Decoder, _ *T) error {
		if in.PeekKind() == 'n' {
			return ErrClaims
		}
		return errors.ErrUnsupported // as without this function
	})
}
