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
	"unsafe"
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

// TokenType is the member typ of a token's header.
type TokenType string

// A token has one of these types.
const (
	TypeJWT         TokenType = "JWT"
	TypeAccessToken TokenType = "at+jwt" // RFC 9068 section 2.1
)

// Parsed is a token split into its parts. None of them is verified.
type Parsed struct {
	Type    TokenType
	KID     KID
	Payload []byte
	signed  string // header and payload, as signed
	sig     [ModulusLen]byte
}

// The header of every token consists of its kid between headerHead and the tail of its type.
const (
	headerHead = `{"alg":"RS256","kid":"`
	headerTail = `","typ":"` + string(TypeJWT) + `"}`
	accessTail = `","typ":"` + string(TypeAccessToken) + `"}`
	headerLen  = len(headerHead) + KIDTextLen + len(headerTail)
	accessLen  = len(headerHead) + KIDTextLen + len(accessTail)
)

// Why a token is malformed.
var (
	errTooLarge   = fmt.Errorf("%w: longer than %d bytes", ErrMalformed, MaxTokenLen)
	errParts      = fmt.Errorf("%w: not three parts", ErrMalformed)
	errHeader     = fmt.Errorf("%w: not a header of Burnkey", ErrMalformed)
	errNoKID      = fmt.Errorf("%w: the kid is not a thumbprint", ErrMalformed)
	errSigText    = fmt.Errorf("%w: the signature is not %d bytes of base64url", ErrMalformed, ModulusLen)
	errPayload    = fmt.Errorf("%w: the payload is not base64url", ErrMalformed)
	headTextLen   = b64.EncodedLen(headerLen)
	accessTextLen = b64.EncodedLen(accessLen)
	sigTextLen    = b64.EncodedLen(ModulusLen)
)

// SigningInput returns the header and the payload of a token in the form that the key with this kid signs (RFC 7515
// section 5.1).
func SigningInput(typ TokenType, kid KID, payload []byte) string {
	head := append(make([]byte, 0, accessLen), headerHead...)
	head = b64.AppendEncode(head, kid[:])
	if typ == TypeAccessToken {
		head = append(head, accessTail...)
	} else {
		head = append(head, headerTail...)
	}
	text := make([]byte, 0, accessTextLen+len(".")+b64.EncodedLen(len(payload)))
	text = append(b64.AppendEncode(text, head), '.')
	return string(b64.AppendEncode(text, payload))
}

// NewToken returns the token with this signing input and signature.
func NewToken(input string, signature []byte) Token {
	return Token(input + "." + b64.EncodeToString(signature))
}

// Parse splits a token without its prefix (CutPrefix). It accepts only the compact serialization (RFC 7515 section 7.1) in canonical
// base64url, with exactly one of the two headers that Burnkey writes. Errors wrap ErrMalformed.
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
	head, _, _ := strings.Cut(token, ".")
	if err := p.readHeader(head); err != nil {
		return "", err
	}
	end := strings.LastIndexByte(token, '.')
	if len(token)-end-len(".") != sigTextLen || !decodeInto(p.sig[:], token[end+len("."):]) {
		return "", errSigText
	}
	p.signed = token[:end]
	return p.signed[len(head)+len("."):], nil
}

// KIDOf returns the kid in the header of a verified token. It checks nothing else and does not allocate.
// Errors wrap ErrMalformed.
func KIDOf(token string) (KID, error) {
	_, jwt := CutPrefix(token)
	head, _, _ := strings.Cut(jwt, ".")
	var p Parsed
	err := p.readHeader(head)
	return p.KID, err
}

func (p *Parsed) readHeader(text string) error {
	var space [accessLen]byte
	head, tail := space[:headerLen], headerTail
	p.Type = TypeJWT
	if len(text) == accessTextLen {
		head, tail, p.Type = space[:], accessTail, TypeAccessToken
	}
	if len(text) != b64.EncodedLen(len(head)) || !decodeInto(head, text) || string(head[:len(headerHead)]) != headerHead ||
		string(head[len(headerHead)+KIDTextLen:]) != tail {
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
