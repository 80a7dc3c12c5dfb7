package jwks

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// imported is an imported key as a Table stores it. It is never changed, only replaced.
type imported struct {
	kid        KID
	digest     Digest
	id, owner  string
	audience   []string
	at         int64
	attributes string // in their compact form
	print      Fingerprint
}

func (k *ImportedKey) compact() (*imported, error) {
	if err := k.Check(); err != nil {
		return nil, err
	}
	attributes, err := k.Attributes.appendBinary(nil)
	if err != nil {
		return nil, err
	}
	return &imported{
		kid: k.KID(), digest: k.Digest, id: k.ID, owner: k.Owner, audience: slices.Clone(k.Audience), at: k.ImportedAt,
		attributes: string(attributes), print: k.Print(),
	}, nil
}

func (k *imported) key() ImportedKey {
	key := ImportedKey{ID: k.id, Owner: k.owner, Digest: k.digest, Audience: k.audience, ImportedAt: k.at}
	key.Attributes.readBinary(k.attributes)
	return key
}

func compactImported(keys []ImportedKey) ([]*imported, error) {
	all := make([]*imported, len(keys))
	for i := range keys {
		var err error
		if all[i], err = keys[i].compact(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// imports are the imported keys of a Table, whose lock guards them.
type imports struct {
	workspace string
	index     *importIndex // of all workspaces of a Feed; nil: none
	keys      map[KID]*imported
	audience  []string // of the key before; most keys have the same
}

// put adds a key or replaces it. The caller holds the Table's lock.
func (x *imports) put(k *imported) {
	if slices.Equal(x.audience, k.audience) {
		k.audience = x.audience
	} else {
		x.audience = k.audience
	}
	if x.keys == nil {
		x.keys = make(map[KID]*imported)
	}
	x.index.replace(x.keys[k.kid], k, x.workspace)
	x.keys[k.kid] = k
}

// drop removes a key. The caller holds the Table's lock.
func (x *imports) drop(kid KID) {
	x.index.replace(x.keys[kid], nil, x.workspace)
	delete(x.keys, kid)
}

func (x *imports) clear() {
	for kid := range x.keys {
		x.drop(kid)
	}
	x.keys = nil
}

// canDrop returns ErrNotPublished unless there are keys with all these kids.
func (x *imports) canDrop(kids []KID) error {
	for i, kid := range kids {
		if x.keys[kid] == nil || slices.Contains(kids[:i], kid) {
			return fmt.Errorf("an imported key: %w", ErrNotPublished)
		}
	}
	return nil
}

// change drops and puts keys, and toggles their prints.
func (x *imports) change(drop []KID, put []*imported, print *Fingerprint) {
	for _, kid := range drop {
		print.Toggle((*KID)(&x.keys[kid].print))
		x.drop(kid)
	}
	for _, k := range put {
		if before := x.keys[k.kid]; before != nil {
			print.Toggle((*KID)(&before.print))
		}
		print.Toggle((*KID)(&k.print))
		x.put(k)
	}
}

// all returns the keys in any order.
func (x *imports) all() []*imported { return slices.Collect(maps.Values(x.keys)) }

// Imported returns an imported key. Only the Tables of a Feed have any.
func (t *Table) Imported(kid KID) (key ImportedKey, ok bool) {
	t.mu.RLock()
	k := t.imports.keys[kid]
	t.mu.RUnlock()
	if k == nil {
		return ImportedKey{}, false
	}
	return k.key(), true
}

// importedAttributes returns the attributes of an imported key in their compact form.
func (t *Table) importedAttributes(kid KID) (attributes string, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	k := t.imports.keys[kid]
	if k == nil {
		return "", false
	}
	return k.attributes, true
}

// ImportedLen returns the number of imported keys.
func (t *Table) ImportedLen() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.imports.keys)
}

// forgetImported makes the Feed find none of the keys, since the workspace is gone.
func (t *Table) forgetImported() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range t.imports.keys {
		t.imports.index.replace(k, nil, t.imports.workspace)
	}
	t.imports.index = nil
}

// importIndex finds the imported keys of all workspaces of a Feed by their digests. It is safe for concurrent use.
type importIndex struct {
	mu   sync.RWMutex
	keys map[Digest]Imported // a workspace must not take another's place by the same sum with another algorithm
}

// Imported is an imported key that a Feed has found.
type Imported struct {
	Workspace string
	key       *imported
}

// KID returns the key's kid.
func (i Imported) KID() KID { return i.key.kid }

// replace replaces a key by another. Either can be nil. A key of another workspace stays.
func (x *importIndex) replace(before, after *imported, workspace string) {
	if x == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if before != nil && x.keys[before.digest].key == before {
		delete(x.keys, before.digest)
	}
	if after == nil {
		return
	}
	if x.keys == nil {
		x.keys = make(map[Digest]Imported)
	}
	if other, taken := x.keys[after.digest]; !taken || other.Workspace == workspace {
		x.keys[after.digest] = Imported{workspace, after}
	}
}

func (x *importIndex) find(d *Digest) (found Imported, ok bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	found, ok = x.keys[*d]
	return found, ok
}

func (x *importIndex) len() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.keys)
}

// FindImported returns the imported key with a digest, in any workspace. Its cost does not depend on the number of keys.
func (f *Feed) FindImported(d Digest) (found Imported, ok bool) { return f.imports.find(&d) }

// ImportedLen returns the number of imported keys of all workspaces.
func (f *Feed) ImportedLen() int { return f.imports.len() }

// Import adds an imported key to a new set. It returns ErrAttributes for an invalid key or one that comes twice.
func (r *refresh) Import(key ImportedKey) error {
	k, err := key.compact()
	if err != nil {
		return err
	}
	if r.imported == nil {
		r.imported = make(map[KID]*imported)
	}
	if r.imported[k.kid] != nil {
		return fmt.Errorf("%w: an imported key comes twice", ErrAttributes)
	}
	r.imported[k.kid] = k
	r.unsigned.Toggle((*KID)(&k.print))
	return nil
}

func (r *refresh) importsDiffer() bool {
	return !maps.EqualFunc(r.imported, r.t.imports.keys, func(a, b *imported) bool { return a.print == b.print })
}

// installImported replaces the imported keys, removals first.
func (r *refresh) installImported() {
	var gone []KID
	for kid := range r.t.imports.keys {
		if r.imported[kid] == nil {
			gone = append(gone, kid)
		}
	}
	for piece := range slices.Chunk(gone, installPiece) {
		r.locked(func() {
			for _, kid := range piece {
				r.t.imports.drop(kid)
			}
		})
	}
	for piece := range slices.Chunk(slices.Collect(maps.Values(r.imported)), installPiece) {
		r.locked(func() {
			for _, k := range piece {
				if before := r.t.imports.keys[k.kid]; before == nil || before.print != k.print {
					r.t.imports.put(k)
				}
			}
		})
	}
}
