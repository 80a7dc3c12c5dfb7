package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

// importKey comes after raise. $33 is the digest.
const importKey = `WITH raised AS (
			SELECT version FROM workspaces WHERE id = $1
		), ` + insertBegin + `$33::text` + insertEnd + `
		SELECT FROM raised`

// Import implements store.Store.
func (s *Store) Import(ctx context.Context, workspace string, keys []store.Key, terms store.ImportTerms) (
	results []store.ImportResult, err error,
) {
	if err := rows.CheckImport(keys); err != nil {
		return nil, wrap(ctx, "import keys", err)
	}
	for range tries {
		// Another transaction can store one of the digests in another workspace at the same time.
		if results, err = s.importOnce(ctx, workspace, keys, terms); !isCode(err, uniqueViolation) {
			break
		}
	}
	if err != nil {
		return nil, wrap(ctx, "import keys", err)
	}
	return results, nil
}

func (s *Store) importOnce(ctx context.Context, workspace string, keys []store.Key, terms store.ImportTerms) (
	results []store.ImportResult, err error,
) {
	stored := false
	err = s.write(ctx, workspace, inTx(func(ctx context.Context, t pgx.Tx) error {
		w, err := scanWorkspace(t.QueryRow(ctx, lockWorkspace, workspace))
		if err != nil {
			return err
		}
		deciding := rows.Import{Locked: asLocked(ctx, t, w, nil), CountActive: countActive}
		if results, err = deciding.Decide(keys, w.Version+1, terms); err != nil {
			return err
		}
		stored, err = importAll(ctx, t, results)
		return err
	}))
	if err == nil && stored {
		s.notifier.notify(workspace)
	}
	return results, err
}

// importAll stores the keys of the results that are new.
func importAll(ctx context.Context, t pgx.Tx, results []store.ImportResult) (stored bool, err error) {
	keys, unsigned, entries := rows.Imported(ctx, results)
	if len(keys) == 0 {
		return false, nil
	}
	kids := make([]jwks.KID, len(keys))
	statements := []statement{{logUnsigned, []any{keys[0].Workspace, rows.UnsignedArg(unsigned)}}}
	for i, k := range keys {
		kids[i] = k.KID
		args := keyArgs(entries[i], k, rows.NoJWK, jwks.Unsigned{})
		statements = append(statements, statement{importKey, append(args[:len(args)-1], rows.DigestArg(k.Digest))})
	}
	return true, raising(ctx, t, keys[0].Workspace, kids, func(r pgx.BatchResults) error { _, err := r.Exec(); return err }, statements...)
}

// readImported returns the imported keys that gateways accept.
func readImported(ctx context.Context, t pgx.Tx, workspace string) (list []jwks.ImportedKey, err error) {
	found, _ := t.Query(ctx, rows.SelectImported, workspace) // its error is found.Err
	defer found.Close()
	for found.Next() {
		k, err := scanUsed(workspace, found)
		if err != nil {
			return nil, err
		}
		list = append(list, k.Imported())
	}
	return list, found.Err()
}

// KeyByDigest implements store.Store.
func (s *Store) KeyByDigest(ctx context.Context, d jwks.Digest) (k store.Key, err error) {
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		return rows.NotFound(c.QueryRow(ctx, rows.SelectDigest, rows.DigestArg(&d)).Scan(dialect.ByDigest(&k)...))
	})
	if errors.Is(err, store.ErrNotFound) {
		k = store.Key{}
	}
	return k, wrap(ctx, "read key by digest", err)
}
