package sqlite

import (
	"context"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

const (
	countOwned     = ownersKeys + ` AND rotated_to IS NULL AND (expires_at IS NULL OR expires_at > ?) LIMIT ?)`
	insertImported = `INSERT INTO jwks (workspace, kid, n, attributes) VALUES (?, ?, ?, ?)`
)

// Import implements store.Store.
func (s *Store) Import(ctx context.Context, workspace string, keys []store.Key, terms store.ImportTerms) (
	results []store.ImportResult, err error,
) {
	if err := rows.CheckImport(keys); err != nil {
		return nil, wrap(ctx, "import keys", err)
	}
	err = s.write(ctx, func(t *tx) error {
		w, err := scanWorkspace(t.row(selectWorkspace, workspace))
		if err != nil {
			return err
		}
		deciding := rows.Import{Locked: t.locked(w), CountActive: countOwned}
		if results, err = deciding.Decide(keys, w.Version+1, terms); err != nil {
			return err
		}
		return importAll(t, results)
	})
	if err != nil {
		return nil, wrap(ctx, "import keys", err)
	}
	return results, nil
}

// importAll stores the keys of the results that are new.
func importAll(t *tx, results []store.ImportResult) error {
	keys, unsigned, entries := rows.Imported(t.ctx, results)
	if len(keys) == 0 {
		return nil
	}
	version, err := raiseVersion(t, keys[0].Workspace)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if err := storeRecord(t, k); err != nil {
			return err
		}
		if _, err := t.exec(insertImported, k.Workspace, k.KID[:], rows.NoJWK, rows.AttributesArg(k.Attributes())); err != nil {
			return err
		}
		t.enters(k.KID)
	}
	if err := logChange(t, keys[0].Workspace, jwks.Change{Version: version, Unsigned: unsigned}); err != nil {
		return err
	}
	return record(t, entries...)
}

// KeyByDigest implements store.Store.
func (s *Store) KeyByDigest(ctx context.Context, d jwks.Digest) (k store.Key, err error) {
	err = rows.NotFound(s.reads.row(ctx, s.reader, rows.SelectDigest, rows.DigestArg(&d)).Scan(dialect.ByDigest(&k)...))
	return orZero(k, wrap(ctx, "read key by digest", err))
}
