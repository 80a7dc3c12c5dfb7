package authz

import (
	"context"
	"strings"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// KeyOfToken returns the record of the key with a token's kid, even if that key was revoked or has expired. It
// does not verify the token, so a forged token finds the key, too. Errors never contain the token: InputError
// if it is not a token of Burnkey, ErrNotFound.
func (s *Service) KeyOfToken(ctx context.Context, workspace string, token jwks.Token) (store.Key, error) {
	parsed, err := readPasted(token)
	if err != nil {
		return store.Key{}, err
	}
	return s.store.KeyByKID(ctx, workspace, parsed.KID)
}

// WorkspaceOfToken returns the workspace in a token's iss, which may not exist. The URL before it is ignored,
// since the public URL can have changed after the token was issued. The token is not verified. Errors:
// InputError.
func WorkspaceOfToken(token jwks.Token) (string, error) {
	parsed, err := readPasted(token)
	if err != nil {
		return "", err
	}
	bad := Invalid("token", RuleNotToken)
	claims, err := parsed.Claims()
	if err != nil {
		return "", bad
	}
	at := strings.LastIndex(claims.Issuer, jwks.IssuerPath)
	if at < 0 || CheckWorkspaceID("token", claims.Issuer[at+len(jwks.IssuerPath):]) != nil {
		return "", bad
	}
	return claims.Issuer[at+len(jwks.IssuerPath):], nil
}

// readPasted parses the token in a string that a person pasted, ignoring everything around it.
func readPasted(text jwks.Token) (*jwks.Parsed, error) {
	token, err := jwks.ReadPasted(text.Reveal())
	if err != nil {
		return nil, Invalid("token", RuleNotToken)
	}
	_, jwt := jwks.CutPrefix(token.Reveal())
	return jwks.Parse(jwt)
}

// KeyNamed returns the key whose id or kid is in a string, by one index lookup. Errors: InputError if there is
// neither, ErrNotFound.
func (s *Service) KeyNamed(ctx context.Context, workspace, text string) (store.Key, error) {
	name, _ := NameIn(text)
	if kid, err := jwks.ParseKID(name); err == nil {
		return s.store.KeyByKID(ctx, workspace, kid)
	}
	id, ok := store.ParseID(name)
	if !ok {
		return store.Key{}, Invalid("key", RuleNotIDOrKID)
	}
	return s.store.Key(ctx, workspace, id)
}

// NameIn returns the only id in a string that a person pasted or, without an id, the only kid. It ignores
// quotes, brackets, a label, an address or a JSON member around it. Use it only for input of people, like
// jwks.ReadPasted.
func NameIn(text string) (name string, ok bool) {
	text = strings.ReplaceAll(text, "\x00", "") // left over from UTF-16
	words := strings.FieldsFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
	isID := func(word string) bool { _, ok := store.ParseID(word); return ok }
	isKID := func(word string) bool { _, err := jwks.ParseKID(word); return err == nil }
	for _, is := range []func(string) bool{isID, isKID} {
		for _, word := range words {
			switch {
			case !is(word) || name == word:
			case name != "":
				return "", false // ambiguous
			default:
				name = word
			}
		}
		if name != "" {
			return name, true
		}
	}
	return "", false
}
