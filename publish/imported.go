package publish

import (
	"slices"

	"github.com/burnkey/burnkey/jwks"
)

// imports are the imported keys of a Set, by the first bits of their kids. They are immutable: with and without return
// copies that share everything that a change does not affect.
type imports struct {
	count  int
	print  jwks.Fingerprint // of the kids
	groups [importFan]*importGroup
}

type importGroup [importFan][]importItem

type importItem struct {
	kid jwks.KID
	key *jwks.ImportedKey
}

const importFan = 64

var noImports = new(imports)

func (x *imports) find(kid *jwks.KID) (item importItem, found bool) {
	group := x.groups[kid[0]%importFan]
	if group == nil {
		return importItem{}, false
	}
	for _, item := range group[kid[1]%importFan] {
		if item.kid == *kid {
			return item, true
		}
	}
	return importItem{}, false
}

// replace returns a copy in which a key has the kid, or none if it is nil. It changes the fingerprint of the feed accordingly.
func (x *imports) replace(kid jwks.KID, key *jwks.ImportedKey, feed *jwks.Fingerprint) *imports {
	next, group := *x, new(importGroup)
	at := &next.groups[kid[0]%importFan]
	if *at != nil {
		*group = **at
	}
	*at = group
	bucket := &group[kid[1]%importFan]
	if item, found := x.find(&kid); found {
		toggle(feed, item.key.Print())
		*bucket = slices.DeleteFunc(slices.Clone(*bucket), func(i importItem) bool { return i.kid == kid })
		next.print.Toggle(&kid)
		next.count--
	}
	if key != nil {
		toggle(feed, key.Print())
		*bucket = append(slices.Clip(*bucket), importItem{kid, key})
		next.print.Toggle(&kid)
		next.count++
	}
	return &next
}

// change returns a copy without the keys in drop and with those in put, or ErrNotPublished.
func (x *imports) change(u *jwks.Unsigned, feed *jwks.Fingerprint) (*imports, error) {
	for _, kid := range u.Dropped {
		if _, found := x.find(&kid); !found {
			return nil, jwks.ErrNotPublished
		}
		x = x.replace(kid, nil, feed)
	}
	for i := range u.Imported {
		x = x.replace(u.Imported[i].KID(), &u.Imported[i], feed)
	}
	return x, nil
}

// all yields the keys in any order.
func (x *imports) all(yield func(*jwks.ImportedKey) bool) {
	for _, group := range x.groups {
		if group == nil {
			continue
		}
		for _, bucket := range group {
			for _, item := range bucket {
				if !yield(item.key) {
					return
				}
			}
		}
	}
}

// endsWith reports whether a change can be the last one.
func (x *imports) endsWith(u *jwks.Unsigned) bool {
	for i := range u.Dropped {
		if _, found := x.find(&u.Dropped[i]); found {
			return false
		}
	}
	for i := range u.Imported {
		kid := u.Imported[i].KID()
		if item, found := x.find(&kid); !found || item.key.Print() != u.Imported[i].Print() {
			return false
		}
	}
	return true
}

// Imported returns an imported key. The public forms of the set have none.
func (s *Set) Imported(kid jwks.KID) (key jwks.ImportedKey, ok bool) {
	item, ok := s.imports.find(&kid)
	if ok {
		key = *item.key
	}
	return key, ok
}

// ImportedLen returns the number of imported keys.
func (s *Set) ImportedLen() int { return s.imports.count }

// entries returns the number of keys, also of those that are not public.
func (s *Set) entries() int { return s.Len() + s.imports.count }

// storedPrint is the fingerprint that the store has for the set: that of the keys, including imported ones.
func (s *Set) storedPrint() jwks.Fingerprint {
	print := s.print
	toggle(&print, s.imports.print)
	return print
}

// Import adds an imported key.
func (b *Builder) Import(key jwks.ImportedKey) {
	if b.imports == nil {
		b.imports = noImports
	}
	b.imports = b.imports.replace(key.KID(), &key, &b.feedPrint)
}

// importedTail appends the member with the imported keys, if there are any, and yields full pieces.
func (s *Set) importedTail(piece []byte, yield func([]byte) bool) ([]byte, bool) {
	if s.imports.count == 0 {
		return piece, true
	}
	piece = append(piece, `,"imported":[`...)
	first := true
	for key := range s.imports.all {
		if !first {
			piece = append(piece, ',')
		}
		first = false
		if piece = append(piece, mustJSON(key)...); len(piece) >= feedPage {
			if !yield(piece) {
				return nil, false
			}
			piece = piece[:0]
		}
	}
	return append(piece, ']'), true
}
