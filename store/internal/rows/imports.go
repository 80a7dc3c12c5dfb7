package rows

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// NoJWK is in the place of the modulus of an imported key. Rows of imported keys move between the tables of JWKs as those
// of others, so a key is published, suspended and removed by the same statements.
var NoJWK = append([]byte("imported"), make([]byte, jwks.ModulusLen-len("imported"))...)

const (
	// SelectImported selects the imported keys that gateways accept.
	SelectImported = `SELECT ` + UsedKeyColumns + ` FROM keys WHERE workspace = $1 AND digest IS NOT NULL AND ` + Published +
		` AND suspended_at IS NULL`
	// SelectDigest finds the key with a digest in any workspace.
	SelectDigest = `SELECT workspace, ` + UsedKeyColumns + ` FROM keys WHERE digest = $1`
)

func digest(d **jwks.Digest) Column {
	return func(value any) error {
		*d = nil
		if value == nil {
			return nil
		}
		text, _ := value.(string)
		read, err := jwks.ParseDigest(text)
		*d = &read
		return err
	}
}

// DigestArg returns the argument for a digest.
func DigestArg(d *jwks.Digest) any {
	if d == nil {
		return nil
	}
	return d.String()
}

// ByDigest returns the destinations of SelectDigest.
func (d *Dialect) ByDigest(k *store.Key) []any { return append([]any{&k.Workspace}, d.UsedKey(k)...) }

// newImported returns a new imported key in the form in which the store will return it.
func newImported(k store.Key) store.Key {
	digest := *k.Digest
	k = NewKey(k, jwks.Key{})
	k.KID, k.Digest, k.IdempotencyKey, k.RequestDigest, k.Signed = jwks.ImportedKID(k.ID.String()), &digest, "", nil, nil
	return k
}

// Import decides which keys of an import to store.
type Import struct {
	Locked
	CountActive string // counts an owner's active keys; its arguments are the workspace, the owner, a time and a limit
}

// Decide returns the results, of which the backend stores those that New reports, in the version `next`.
func (i *Import) Decide(keys []store.Key, next uint64, terms store.ImportTerms) ([]store.ImportResult, error) {
	var (
		results  = make([]store.ImportResult, len(keys))
		seen     = map[jwks.Digest]int{}
		held     = map[string]int{}
		perOwner int
		check    = func(*store.Key) error { return nil }
		err      error
	)
	if terms != nil {
		if check, perOwner, err = terms(&i.Workspace); err != nil {
			return nil, err
		}
	}
	for at, k := range keys {
		r := &results[at]
		k.Workspace = i.Workspace.ID
		if earlier, twice := seen[*k.Digest]; twice {
			*r = repeated(results[earlier], k.Owner)
			continue
		}
		if *r, err = i.existing(k); err != nil {
			return nil, err
		}
		if r.Err == nil && !r.Exists {
			if r.Err = check(&k); r.Err == nil {
				r.Key = newImported(k)
				r.Err, err = i.refusal(r.Key, perOwner, held)
			}
			if err != nil {
				return nil, err
			}
			if r.Err == nil {
				r.Key.Version, r.New = next, true
			}
		}
		seen[*k.Digest] = at
	}
	return results, nil
}

// repeated returns the result for a digest that an earlier key of the same call has.
func repeated(earlier store.ImportResult, owner string) store.ImportResult {
	switch {
	case earlier.Err != nil:
		return store.ImportResult{Err: earlier.Err}
	case earlier.Key.Owner != owner:
		return store.ImportResult{Err: store.ErrDigest}
	}
	return store.ImportResult{Key: earlier.Key, Exists: true}
}

// existing looks for a key with the digest.
func (i *Import) existing(k store.Key) (store.ImportResult, error) {
	var found store.Key
	err := NotFound(i.Row(i.ByDigest(&found), SelectDigest, DigestArg(k.Digest)))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return store.ImportResult{}, nil
	case err != nil:
		return store.ImportResult{}, err
	case found.Workspace != k.Workspace || found.Owner != k.Owner:
		return store.ImportResult{Err: store.ErrDigest}, nil
	}
	return store.ImportResult{Key: found, Exists: true}, nil
}

// refusal returns why a new key can't be stored: its plan, its id or its owner's limit.
func (i *Import) refusal(k store.Key, perOwner int, held map[string]int) (refused, err error) {
	if err := Storable(k); err != nil {
		return err, nil
	}
	err = i.HasPlan(k.Workspace, k.Plan)
	if errors.Is(err, store.ErrNoPlan) {
		return err, nil
	}
	if err != nil || perOwner <= 0 {
		return nil, err
	}
	n, counted := held[k.Owner]
	if !counted {
		if err := i.Row([]any{&n}, i.CountActive, k.Workspace, k.Owner, k.CreatedAt.UnixMicro(), perOwner); err != nil {
			return nil, err
		}
	}
	if held[k.Owner] = n; n >= perOwner {
		return store.ErrTooMany, nil
	}
	held[k.Owner]++
	return nil, nil
}

// Imported returns the keys of the results that are new, the unsigned part of their change, and their audit entries.
func Imported(ctx context.Context, results []store.ImportResult) (keys []store.Key, u jwks.Unsigned, entries []store.Entry) {
	for _, r := range results {
		if r.New {
			keys, entries = append(keys, r.Key), append(entries, store.KeyImported(ctx, r.Key))
			r.Key.SetIn(&u)
		}
	}
	return keys, u, entries
}

// CheckImport returns an error for keys that no store can have.
func CheckImport(keys []store.Key) error {
	if slices.ContainsFunc(keys, func(k store.Key) bool { return k.Digest == nil || k.ID == uuid.Nil || k.CreatedAt.IsZero() }) {
		return errors.New("an imported key without a digest, an id or a time")
	}
	return nil
}
