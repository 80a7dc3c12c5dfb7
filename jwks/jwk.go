package jwks

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// wireKey contains the members of a JWK that are checked (RFC 7517 section 4, RFC 7518 section 6.3); all
// other members are ignored.
type wireKey struct {
	KeyType   string         `json:"kty"`
	Use       string         `json:"use"`
	Algorithm string         `json:"alg"`
	KID       string         `json:"kid"`
	N         string         `json:"n"`
	E         string         `json:"e"`
	D         jsontext.Value `json:"d"` // only in a private key

	// Of these, only the type is checked.
	Operations []string `json:"key_ops"`
	X5C        []string `json:"x5c"`
	X5U        string   `json:"x5u"`
	X5T        string   `json:"x5t"`
	X5TS256    string   `json:"x5t#S256"`
}

// ParseKey parses one JWK (RFC 7517 section 4). It refuses a private or symmetric key, a kid that is not
// the key's thumbprint, and duplicate members. Errors wrap ErrKey.
func ParseKey(data []byte) (Key, error) {
	if _, deep := TooDeep(data, MaxDepth); deep {
		return Key{}, fmt.Errorf("%w: nested deeper than %d levels", ErrKey, MaxDepth)
	}
	var j wireKey
	if err := json.Unmarshal(data, &j); err != nil {
		return Key{}, fmt.Errorf("%w: invalid JWK: %w", ErrKey, err)
	}
	return j.key()
}

func (j *wireKey) key() (Key, error) {
	switch {
	case j.KeyType != "RSA" || j.D != nil:
		return Key{}, fmt.Errorf("%w: not an RSA public key", ErrKey)
	case j.Algorithm != "" && j.Algorithm != "RS256":
		return Key{}, fmt.Errorf("%w: alg must be RS256", ErrKey)
	case j.Use != "" && j.Use != "sig":
		return Key{}, fmt.Errorf("%w: use must be sig", ErrKey)
	}
	// Comparing the bytes also refuses an exponent with leading zeros (RFC 7518 section 6.3.1.2).
	if e, err := decodeUint(j.E); err != nil || string(e) != "\x01\x00\x01" {
		return Key{}, fmt.Errorf("%w: e must be %d", ErrKey, Exponent)
	}
	n, err := decodeUint(j.N)
	if err != nil {
		return Key{}, fmt.Errorf("%w: n is not base64url", ErrKey)
	}
	key, err := FromModulus(n)
	if err != nil {
		return Key{}, err
	}
	if j.KID != "" && j.KID != key.kid.String() {
		return Key{}, fmt.Errorf("%w: the kid is not the key's thumbprint", ErrKey)
	}
	return key, nil
}

// decodeUint decodes a number, also with padding or in the standard alphabet, which some programs write.
func decodeUint(text string) ([]byte, error) {
	encoding := base64.RawURLEncoding
	if strings.ContainsAny(text, "+/") {
		encoding = base64.RawStdEncoding
	}
	if strings.HasSuffix(text, "=") {
		encoding = encoding.WithPadding(base64.StdPadding)
	}
	return encoding.DecodeString(text)
}

// ParseSet parses a JWK set (RFC 7517 section 5) into memory. It refuses a set with a key of any other kind,
// and JSON that is not a set: treating that as an empty set would revoke every key. Errors wrap ErrKey.
func ParseSet(data []byte) ([]Key, error) {
	var set struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if _, deep := TooDeep(data, MaxDepth); deep || json.Unmarshal(data, &set) != nil || set.Keys == nil {
		return nil, fmt.Errorf("%w: not a JWK set", ErrKey)
	}
	keys := make([]Key, 0, len(set.Keys))
	for i, text := range set.Keys {
		key, err := ParseKey(text)
		if err != nil {
			return nil, fmt.Errorf("key %d of the set: %w", i, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// All JWKs have the same members in the same order and differ only in kid and n.
const (
	jwkHead  = `{"kty":"RSA","use":"sig","alg":"RS256","kid":"`
	jwkMid   = `","n":"`
	jwkTail  = `","e":"AQAB"}`
	modText  = (ModulusLen*8 + 5) / 6
	kidStart = len(jwkHead)
	modStart = kidStart + KIDTextLen + len(jwkMid)
)

// JWKLen is the length of each key's JWK in bytes: 451.
const JWKLen = modStart + modText + len(jwkTail)

// AppendJWK appends the key's JWK to dst.
func (k Key) AppendJWK(dst []byte) []byte {
	dst = append(dst, jwkHead...)
	dst = b64.AppendEncode(dst, k.kid[:])
	dst = append(dst, jwkMid...)
	dst = b64.AppendEncode(dst, k.n[:])
	return append(dst, jwkTail...)
}

// MarshalJSON returns the key's JWK.
func (k Key) MarshalJSON() ([]byte, error) { return k.AppendJWK(make([]byte, 0, JWKLen)), nil }

// UnmarshalJSON reads a JWK like ParseKey.
func (k *Key) UnmarshalJSON(data []byte) error {
	key, err := ParseKey(data)
	if err != nil {
		return err
	}
	*k = key
	return nil
}

// readKey parses one JWK that is known to be valid JSON. It reads the form of AppendJWK without a parser,
// which would take many times as long.
func readKey(text jsontext.Value) (Key, error) {
	if key, ok := readOwn(text); ok {
		return key, nil
	}
	return ParseKey(text)
}

// readOwn reads a JWK in exactly the form that AppendJWK writes.
func readOwn(text []byte) (Key, bool) {
	if len(text) != JWKLen || string(text[:kidStart]) != jwkHead ||
		string(text[kidStart+KIDTextLen:modStart]) != jwkMid || string(text[modStart+modText:]) != jwkTail {
		return Key{}, false
	}
	var n [ModulusLen]byte
	if size, err := b64.Decode(n[:], text[modStart:modStart+modText]); err != nil || size != len(n) {
		return Key{}, false
	}
	key, err := FromModulus(n[:])
	if err != nil {
		return Key{}, false
	}
	var kid [KIDTextLen]byte
	b64.Encode(kid[:], key.kid[:])
	return key, string(text[kidStart:kidStart+KIDTextLen]) == string(kid[:])
}

// MaxDepth is the maximum nesting of objects and lists in any JSON, whatever its source: parsers recurse,
// and the length of indented JSON grows with the square of the depth.
const MaxDepth = 32

// TooDeep reports whether JSON is nested deeper than limit levels, and in which member of the outermost object
// ("" if the outermost value is not an object). It stops there, or at a syntax error.
func TooDeep(text []byte, limit int) (member string, deep bool) {
	in := jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	object := in.PeekKind() == '{'
	for {
		if _, err := in.ReadToken(); err != nil {
			return "", false
		}
		if in.StackDepth() > limit {
			break
		}
	}
	if object {
		member, _, _ = strings.Cut(strings.TrimPrefix(string(in.StackPointer()), "/"), "/")
		member = strings.NewReplacer("~1", "/", "~0", "~").Replace(member)
	}
	return member, true
}
