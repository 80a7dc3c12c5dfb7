package sqlite

import (
	"context"
	"database/sql"
	"math"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

const (
	selectNext    = `SELECT version + 1, fingerprint FROM workspaces WHERE id = ?`
	insertJWK     = `INSERT INTO jwks (workspace, kid, n, attributes) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`
	deleteJWK     = `DELETE FROM jwks WHERE workspace = ? AND kid = ?`
	insertChange  = `INSERT INTO changes (workspace, version, added, removed, unsigned) VALUES (?, ?, ?, ?, ?)`
	selectVersion = `SELECT version FROM workspaces WHERE id = ?`
	selectKIDs    = `SELECT workspace, kid FROM jwks WHERE workspace = ?`
	selectJWKs    = `SELECT kid, n, attributes FROM jwks WHERE workspace = ? AND n <> ? ORDER BY kid` // without imported keys: rows.NoJWK
	// selectTombstone finds the tombstone, which is the only JWK without a record or a signer.
	selectTombstone = `SELECT kid, n FROM jwks WHERE workspace = ? AND NOT EXISTS (
		SELECT 1 FROM keys WHERE keys.workspace = jwks.workspace AND keys.kid = jwks.kid) AND NOT EXISTS (
		SELECT 1 FROM signers WHERE signers.workspace = jwks.workspace AND signers.kid = jwks.kid) LIMIT 1`
	selectChanges = `SELECT version, added, removed, unsigned FROM changes WHERE workspace = ? AND version > ?
		ORDER BY version LIMIT ?`
	deleteChanges = `DELETE FROM changes WHERE workspace = ? AND version IN (SELECT version FROM changes
		WHERE workspace = ? AND version <= ? ORDER BY version LIMIT ?)`
	// updateVersion comes after all changes of the set, because their triggers set the fingerprint to zero.
	updateVersion = `UPDATE workspaces SET version = ?, fingerprint = ? WHERE id = ?`
)

// writeQueries and readQueries are prepared when the database is opened.
var (
	writeQueries = []string{
		insertWorkspace, updateWorkspace, upsertSettings, upsertLogo, deleteLogo, selectWorkspace,
		selectFirst, selectEnvironments, insertKey, updateKey, updateState, selectKey,
		rows.SelectPlan, rows.SelectUse,
		rows.SelectOpen, rows.CountOpenOfOwner, rows.CountOpen, rows.SelectRequest, selectKID,
		countActive, countGrace, selectNext, insertJWK, deleteJWK, insertChange, updateVersion,
		selectVersion, deleteChanges, upsertReport, upsertReporter, deleteSilent, updateUntil, upsertUse, insertSession, selectSession,
		deleteSession, endSessions, pruneSessions, insertAudit, selectEarlier,
		rows.SelectDigest, countOwned, insertImported, rows.SelectCaller, rows.SelectMaker, rows.SelectMadeBy,
	}
	readQueries = []string{
		selectWorkspace, selectKey, selectKeyIdempotency, selectVersion, selectChanges, selectDue,
		rows.SelectDigest, selectNextDue, selectForExchange, selectSession, selectLogo, countActive, countGrace,
		rows.SelectCaller, rows.SelectMaker, rows.SelectMadeBy,
	}
)

// raiseVersion returns the workspace's next version, which logChange stores. The transaction holds the write
// lock, so no other call gets the same version.
func raiseVersion(t *tx, workspace string) (version uint64, err error) {
	var print []byte
	if err := t.row(selectNext, workspace).Scan(&version, &print); err != nil {
		return 0, rows.NotFound(err)
	}
	copy(t.fingerprint[:], print)
	return version, nil
}

func publish(t *tx, workspace string, key jwks.Key, attributes jwks.Attributes) error {
	kid := key.KID()
	n, err := t.exec(insertJWK, workspace, kid[:], key.Modulus(), rows.AttributesArg(attributes))
	if err == nil && n == 0 {
		return store.ErrDuplicateKID // the tombstone's: it has no record
	}
	return err
}

func logChange(t *tx, workspace string, c jwks.Change) error {
	added, removed := encodeChange(c.Add, c.Remove)
	if _, err := t.exec(insertChange, workspace, c.Version, added, removed, rows.UnsignedArg(c.Unsigned)); err != nil {
		return err
	}
	print := t.fingerprint
	print.Toggle((*jwks.KID)(&t.entered))
	for _, key := range c.Add {
		kid := key.KID()
		print.Toggle(&kid)
	}
	for i := range c.Remove {
		print.Toggle(&c.Remove[i])
	}
	if c.Version > 1 && t.fingerprint == (jwks.Fingerprint{}) { // after a change by hand: read the set, once
		prints, err := fingerprints(t.ctx, t.Tx, selectKIDs, workspace)
		if err != nil {
			return err
		}
		print = prints[workspace]
	}
	_, err := t.exec(updateVersion, c.Version, print[:], workspace)
	return err
}

// Published implements store.Store. While it runs, it occupies a reading connection, and the WAL file
// grows by all that is written.
func (s *Store) Published(ctx context.Context, workspace string, yield func(jwks.Key, jwks.Attributes) error) (
	version uint64, unsigned jwks.Unsigned, err error,
) {
	version, unsigned, err = s.published(ctx, workspace, yield)
	if err != nil {
		return 0, jwks.Unsigned{}, wrap(ctx, "read published keys", err)
	}
	return version, unsigned, nil
}

func (s *Store) published(ctx context.Context, workspace string, yield func(jwks.Key, jwks.Attributes) error) (
	version uint64, unsigned jwks.Unsigned, err error,
) {
	// A transaction sees one state of the database, however long it takes.
	t, err := s.reader.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return 0, unsigned, err
	}
	defer t.Rollback()
	if err := t.QueryRowContext(ctx, rows.SelectVersioned, workspace).Scan(rows.Versioned(&version, &unsigned)...); err != nil {
		return 0, unsigned, rows.NotFound(err)
	}
	var set jwks.LimitSet
	for err := range each(t.QueryContext(ctx, rows.SelectShared, workspace))(rows.Shared(&set)) {
		if err != nil {
			return 0, unsigned, err
		}
		unsigned.Limits = append(unsigned.Limits, set)
	}
	var kid, n []byte
	var attributes jwks.Attributes
	for err := range each(t.QueryContext(ctx, selectJWKs, workspace, rows.NoJWK))([]any{&kid, &n, rows.Attributes(&attributes)}) {
		if err != nil {
			return 0, unsigned, err
		}
		key, err := rows.JWK(kid, n)
		if err != nil {
			return 0, unsigned, err
		}
		if err := yield(key, attributes); err != nil {
			return 0, unsigned, err
		}
	}
	imported := store.Key{Workspace: workspace}
	for err := range each(t.QueryContext(ctx, rows.SelectImported, workspace))(dialect.UsedKey(&imported)) {
		if err != nil {
			return 0, unsigned, err
		}
		unsigned.Imported = append(unsigned.Imported, imported.Imported())
	}
	return version, unsigned, nil
}

// Tombstone implements store.Store.
func (s *Store) Tombstone(ctx context.Context, workspace string) (jwks.Key, error) {
	key, err := scanJWK(s.reader.QueryRowContext(ctx, selectTombstone, workspace))
	return key, wrap(ctx, "read tombstone", err)
}

func scanJWK(row scanner) (jwks.Key, error) {
	var kid, n []byte
	if err := row.Scan(&kid, &n); err != nil {
		return jwks.Key{}, rows.NotFound(err)
	}
	return rows.JWK(kid, n)
}

// Changes implements store.Store.
func (s *Store) Changes(ctx context.Context, workspace string, after uint64, limit int) ([]jwks.Change, error) {
	list, err := s.changes(ctx, workspace, after, limit)
	switch {
	case err != nil:
	case len(list) == 0:
		var version uint64
		err = rows.NotFound(s.reads.row(ctx, s.reader, selectVersion, workspace).Scan(&version))
	case list[0].Version != after+1:
		err = store.ErrCompacted
	}
	if err != nil {
		return nil, wrap(ctx, "read changes", err)
	}
	return list, nil
}

func (s *Store) changes(ctx context.Context, workspace string, after uint64, limit int) ([]jwks.Change, error) {
	if limit < 1 {
		return nil, rows.ErrLimit
	}
	list := []jwks.Change{}
	var version uint64
	var added, removed sql.RawBytes
	var unsigned jwks.Unsigned
	into := []any{&version, &added, &removed, rows.Unsigned(&unsigned)}
	for err := range s.query(ctx)(into, selectChanges, workspace, min(after, math.MaxInt64), limit) {
		if err != nil {
			return nil, err
		}
		change, err := rows.Change(version, added, removed, unsigned)
		if err != nil {
			return nil, err
		}
		list = append(list, change)
	}
	return list, nil
}

// compactAtOnce limits the changes that one Compact drops, because other writers wait for it.
const compactAtOnce = 1000

// Compact implements store.Store.
func (s *Store) Compact(ctx context.Context, workspace string, through uint64) (more bool, err error) {
	err = s.write(ctx, func(t *tx) error {
		var version uint64
		if err := t.row(selectVersion, workspace).Scan(&version); err != nil {
			return rows.NotFound(err)
		}
		n, err := t.exec(deleteChanges, workspace, workspace, min(through, version-1), compactAtOnce)
		more = n == compactAtOnce
		return err
	})
	return more, wrap(ctx, "compact changes", err)
}

// Watch implements store.Store. SQLite does not report other processes' commits, so Watch only waits.
func (s *Store) Watch(ctx context.Context, wake func(workspace string)) error {
	wake("")
	<-ctx.Done()
	return ctx.Err()
}
