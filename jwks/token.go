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

// Reasons to refuse a token, for errors.Is. The messages never quote the token.
var (
	ErrMalformed = errors.New("malformed token")
	ErrUnknown   = errors.New("the token's key is not published")
	ErrSignature = errors.New("the signature is invalid")
	ErrClaims    = errors.New("the claims are invalid")
	ErrIssuer    = errors.New("the token is from another issuer")
	ErrAudience  = errors.New("the token is for another audience")
	ErrExpired   = errors.New("the token has expired")
	ErrAddress   = errors.New("the token may not be used from this address")
)

// MaxTokenLen is the maximum length of an accepted token, in bytes.
const MaxTokenLen = 16 << 10

// TokenPrefix is the beginning of every JWT; a workspace's prefix can come before it. A JWT without a kid begins
// differently, but a JWT with an empty kid can begin like this, so a filter in front of Envoy must check more.
const TokenPrefix = "eyJhbGciOiJSUzI1NiIsImtpZCI6I"

// Token is a token as a string that redacts itself in logs and errors. Reveal returns the token itself,
// which only its holder may see.
type Token string

// Reveal returns the text.
func (t Token) Reveal() string { return string(t) }

// String hides the text.
func (t Token) String() string { return "[token]" }

// Format redacts the token for every verb, including verbs that are invalid for a string.
func (t Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// LogValue hides the text.
func (t Token) LogValue() slog.Value { return slog.StringValue("[token]") }

// MarshalText redacts the token in JSON, YAML and XML. Only the response that issues a token contains it.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// Claims are the claims of a token (RFC 7519 section 4.1, RFC 9068 section 2.2), in the order of the payload. A
// Verifier with a Table replaces Expiry and Scope by the attributes of the key if it has any.
type Claims struct {
	Issuer   string         `json:"iss"`
	Subject  string         `json:"sub"`
	Audience []string       `json:"aud"`
	ID       string         `json:"jti"`
	IssuedAt int64          `json:"iat"` // seconds since 1970, as is exp
	Expiry   int64          `json:"exp,omitzero"`
	Scope    string         `json:"scope,omitzero"`
	Extra    jsontext.Value `json:",embed"` // custom claims: an object or nil
	// Attributes are those of the token's key; the zero value if Keys of the Verifier has no Table.
	Attributes Attributes `json:"-"`
}

// RateLimitClaim is the name of the claim with the limit that a plan has signed into its tokens.
const RateLimitClaim = "rate_limit"

// Reserved reports whether a custom claim must not have this name.
func Reserved(claim string) bool {
	switch claim {
	case "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "scope", "client_id", RateLimitClaim:
		return true
	}
	return false
}

// Scopes splits the claim scope at its spaces (RFC 6749 section 3.3).
func (c *Claims) Scopes() []string { return strings.Fields(c.Scope) }

// ExpiresAt returns the time exp, or the time of the attributes, which can have a fraction of a second. It
// returns the zero time for a token that does not expire.
func (c *Claims) ExpiresAt() time.Time {
	if end := c.Attributes.ExpiresAt; !end.IsZero() {
		return end
	}
	if c.Expiry == 0 {
		return time.Time{}
	}
	return time.Unix(c.Expiry, 0).UTC()
}

// Parsed is a token split into its parts. None of them is verified.
type Parsed struct {
	KID     KID
	Payload []byte
	signed  string // header and payload, as signed
	sig     [ModulusLen]byte
}

// The header of every token consists of its kid between headerHead and headerTail.
const (
	headerHead = `{"alg":"RS256","kid":"`
	headerTail = `","typ":"JWT"}`
	headerLen  = len(headerHead) + KIDTextLen + len(headerTail)
)

// Why a token is malformed.
var (
	errTooLarge  = fmt.Errorf("%w: longer than %d bytes", ErrMalformed, MaxTokenLen)
	errParts     = fmt.Errorf("%w: not three parts", ErrMalformed)
	errHeader    = fmt.Errorf("%w: not a header of Burnkey", ErrMalformed)
	errNoKID     = fmt.Errorf("%w: the kid is not a thumbprint", ErrMalformed)
	errSigText   = fmt.Errorf("%w: the signature is not %d bytes of base64url", ErrMalformed, ModulusLen)
	errPayload   = fmt.Errorf("%w: the payload is not base64url", ErrMalformed)
	headTextLen  = b64.EncodedLen(headerLen)
	sigTextLen   = b64.EncodedLen(ModulusLen)
	minPartsLen  = headTextLen + len(".") + len(".") + sigTextLen
	payloadStart = headTextLen + len(".")
)

// Parse splits a token without its prefix (CutPrefix). It accepts only the compact serialization (RFC 7515 section 7.1) in canonical
// base64url, with exactly the header that Burnkey writes. Errors wrap ErrMalformed.
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

// split does the same as Parse but returns the payload encoded. It does not allocate.
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

// KIDOf returns the kid in the header of a verified token. It checks nothing else and does not allocate.
// Errors wrap ErrMalformed.
func KIDOf(token string) (KID, error) {
	_, jwt := CutPrefix(token)
	if len(jwt) < headTextLen {
		return KID{}, errHeader
	}
	var p Parsed
	err := p.readHeader(jwt[:headTextLen])
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

// decodeInto decodes canonical base64url that exactly fills dst. The library would skip line ends, but text
// of the right length has no room for line ends.
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

// digest is the SHA-256 hash of a token.
type digest = [sha256.Size]byte

// hash hashes a text without copying it.
func hash(text string) digest {
	return sha256.Sum256(unsafe.Slice(unsafe.StringData(text), len(text)))
}

// Check returns ErrSignature unless the key verifies the signature (RFC 8017 section 8.2.2).
func (p *Parsed) Check(key Key) error {
	digest := hash(p.signed)
	if key.kid != p.KID || rsa.VerifyPKCS1v15(key.PublicKey(), crypto.SHA256, digest[:], p.sig[:]) != nil {
		return ErrSignature
	}
	return nil
}

// Claims reads the payload: a JSON object without duplicate members, with iss, sub, aud and jti, each claim
// of its type, and without nbf. Errors wrap ErrClaims.
func (p *Parsed) Claims() (*Claims, error) {
	var payload struct {
		Claims
		Expiry    jsontext.Value `json:"exp"` // nil only if absent
		NotBefore jsontext.Value `json:"nbf"` // Burnkey never sets it, but it must not be ignored
	}
	if err := json.Unmarshal(p.Payload, &payload, noNull); err != nil {
		return nil, fmt.Errorf("%w: the payload is not a JSON object with the right types", ErrClaims)
	}
	c := &payload.Claims
	if !c.complete() {
		return nil, fmt.Errorf("%w: iss, sub, aud or jti is missing", ErrClaims)
	}
	if payload.NotBefore != nil {
		return nil, fmt.Errorf("%w: nbf is not supported", ErrClaims)
	}
	if exp := payload.Expiry; exp != nil && (json.Unmarshal(exp, &c.Expiry) != nil || c.Expiry <= 0) {
		return nil, fmt.Errorf("%w: exp is not a number of seconds", ErrClaims)
	}
	return c, nil
}

// complete reports whether the required claims are present.
func (c *Claims) complete() bool {
	return c.Issuer != "" && c.Subject != "" && c.ID != "" && len(c.Audience) > 0
}

// noNull refuses null in JSON, which the library would read as "" or 0.
var noNull = json.WithUnmarshalers(json.JoinUnmarshalers(refuseNull[string](), refuseNull[int64]()))

func refuseNull[T any]() *json.Unmarshalers {
	return json.UnmarshalFromFunc(func(in *jsontext.Decoder, _ *T) error {
		if in.PeekKind() == 'n' {
			return ErrClaims
		}
		return errors.ErrUnsupported // use the default
	})
}
