package authz

import (
	"context"
	"errors"
	"slices"
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

// KeyOfImported returns the first imported key in a pasted text, even if it was revoked or has expired. `may` reports whether the
// caller may see a workspace's keys. Errors: ErrNotFound, *CrowdedError.
func (s *Service) KeyOfImported(ctx context.Context, text jwks.Token, may func(workspace string) bool) (k store.Key, err error) {
	err = s.reads.turn(ctx, "", func() error {
		k, err = preferred(s.importedIn(ctx, text, may))
		return err
	})
	return k, err
}

// importedIn returns all records of the first imported key in a pasted text. Errors are those of importedKeys.
func (s *Service) importedIn(ctx context.Context, text jwks.Token, may func(workspace string) bool) (all []store.Key, err error) {
	err = ErrNotFound
	for _, secret := range OpaqueIn(text) {
		if all, err = s.importedKeys(ctx, secret, may); !errors.Is(err, ErrNotFound) {
			break
		}
	}
	return all, err
}

// maxOpaque limits the lookups for one text.
const maxOpaque = 16

// OpaqueIn returns the parts of a pasted text that could be an imported key: all of it, each word without quotes and brackets
// around it, and what follows a colon or an equals sign.
func OpaqueIn(text jwks.Token) (list []jwks.Token) {
	const around = "\"'`,;.()[]{}<>\u201c\u201d\u201e"
	add := func(secret string) {
		if t := jwks.Token(secret); t != "" && len(list) < maxOpaque && !slices.Contains(list, t) {
			list = append(list, t)
		}
	}
	all := strings.TrimSpace(strings.TrimPrefix(text.Reveal(), "\ufeff"))
	add(all)
	for word := range strings.FieldsSeq(all) {
		word = strings.Trim(word, around)
		add(word)
		for _, separator := range []string{":", "="} {
			if _, value, ok := strings.Cut(word, separator); ok {
				add(strings.Trim(value, around))
			}
		}
	}
	return list
}

// digested returns the imported key with a digest, if the caller may see its workspace's keys. Errors: ErrNotFound.
func (s *Service) digested(ctx context.Context, d jwks.Digest, may func(workspace string) bool) (store.Key, error) {
	k, err := s.store.KeyByDigest(ctx, d)
	if err == nil && !may(k.Workspace) {
		return store.Key{}, ErrNotFound
	}
	return k, err
}

// KeyNamed returns the key whose id, kid or digest is in a string, by one index lookup. Errors: InputError if the string has no
// such name, ErrNotFound.
func (s *Service) KeyNamed(ctx context.Context, workspace, text string) (store.Key, error) {
	if d, err := jwks.ParseDigest(strings.TrimSpace(text)); err == nil {
		return s.digested(ctx, d, only(workspace))
	}
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
