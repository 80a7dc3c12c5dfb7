package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

const (
	raise         = `UPDATE workspaces SET version = version + 1 WHERE id = ? RETURNING version, fingerprint`
	insertJWK     = `INSERT INTO jwks (workspace, kid, n) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`
	deleteJWK     = `DELETE FROM jwks WHERE workspace = ? AND kid = ?`
	insertChange  = `INSERT INTO changes (workspace, version, added, removed) VALUES (?, ?, ?, ?)`
	selectVersion = `SELECT version FROM workspaces WHERE id = ?`
	selectJWKs    = `SELECT kid, n FROM jwks WHERE workspace = ? ORDER BY kid`
	// selectTombstone finds the only JWK without a record.
	selectTombstone = `SELECT kid, n FROM jwks WHERE workspace = ? AND NOT EXISTS (
		SELECT 1 FROM keys WHERE keys.workspace = jwks.workspace AND keys.kid = jwks.kid) LIMIT 1`
	selectChanges = `SELECT version, added, removed FROM changes WHERE workspace = ? AND version > ?
		ORDER BY version LIMIT ?`
	deleteChanges = `DELETE FROM changes WHERE workspace = ? AND version IN (SELECT version FROM changes
		WHERE workspace = ? AND version <= ? ORDER BY version LIMIT ?)`
	selectVersions = `SELECT id, version, fingerprint FROM workspaces`
	// updateFingerprint comes after all changes of the set: they set it to zero.
	updateFingerprint = `UPDATE workspaces SET fingerprint = ? WHERE id = ?`
)

// writeQueries and readQueries are prepared when the database is opened.
var (
	writeQueries = []string{
		insertWorkspace, updateWorkspace, upsertSettings, upsertLogo, deleteLogo, selectWorkspace, insertKey, updateKey, updateState, selectKey,
		selectKID, countActive, countGrace, raise, insertJWK, deleteJWK, insertChange, updateFingerprint,
		selectVersion, deleteChanges, upsertReport, upsertReporter, deleteSilent, updateUntil, upsertUse, insertSession, selectSession,
		deleteSession, endSessions, pruneSessions, insertAudit, selectEarlier, selectCaller, selectMaker, selectMadeBy,
	}
	readQueries = []string{
		selectWorkspace, selectKey, selectKeyIdempotency, selectVersion, selectChanges, selectDue,
		selectNextDue, selectSession, selectLogo, countActive, countGrace, selectCaller, selectMaker, selectMadeBy,
	}
)

// raiseVersion gives this transaction the workspace's next version.
func raiseVersion(t *tx, workspace string) (version uint64, err error) {
	var print []byte
	if err := t.row(raise, workspace).Scan(&version, &print); err != nil {
		return 0, notFound(err)
	}
	copy(t.fingerprint[:], print)
	return version, nil
}

func publish(t *tx, workspace string, key jwks.Key) error {
	kid := key.KID()
	n, err := t.exec(insertJWK, workspace, kid[:], key.Modulus())
	if err == nil && n == 0 {
		return store.ErrDuplicateKID // the tombstone's: it has no record
	}
	return err
}

func logChange(t *tx, workspace string, version uint64, add []jwks.Key, remove []jwks.KID) error {
	added, removed := encodeChange(add, remove)
	if _, err := t.exec(insertChange, workspace, version, added, removed); err != nil {
		return err
	}
	if version > 1 && t.fingerprint == (jwks.Fingerprint{}) {
		return nil // the set was changed by hand: its fingerprint is unknown
	}
	for _, key := range add {
		kid := key.KID()
		t.fingerprint.Toggle(&kid)
	}
	for i := range remove {
		t.fingerprint.Toggle(&remove[i])
	}
	_, err := t.exec(updateFingerprint, t.fingerprint[:], workspace)
	return err
}

// Published implements store.Store. While it runs, it occupies a reading connection, and the WAL file
// grows by all that is written.
func (s *Store) Published(ctx context.Context, workspace string, yield func(jwks.Key) error) (uint64, error) {
	version, err := s.published(ctx, workspace, yield)
	return version, wrap(ctx, "read published keys", err)
}

func (s *Store) published(ctx context.Context, workspace string, yield func(jwks.Key) error) (uint64, error) {
	// A transaction sees one state of the database, however long it takes.
	t, err := s.reader.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return 0, err
	}
	defer t.Rollback()
	var version uint64
	if err := t.QueryRowContext(ctx, selectVersion, workspace).Scan(&version); err != nil {
		return 0, notFound(err)
	}
	rows, err := t.QueryContext(ctx, selectJWKs, workspace)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		key, err := scanJWK(rows)
		if err != nil {
			return 0, err
		}
		if err := yield(key); err != nil {
			return 0, err
		}
	}
	return version, rows.Err()
}

// Tombstone implements store.Store.
func (s *Store) Tombstone(ctx context.Context, workspace string) (jwks.Key, error) {
	key, err := s.tombstone(ctx, workspace)
	return key, wrap(ctx, "read tombstone", err)
}

func (s *Store) tombstone(ctx context.Context, workspace string) (jwks.Key, error) {
	rows, err := s.reader.QueryContext(ctx, selectTombstone, workspace)
	if err != nil {
		return jwks.Key{}, err
	}
	defer rows.Close()
	if !rows.Next() {
		return jwks.Key{}, errors.Join(rows.Err(), store.ErrNotFound)
	}
	return scanJWK(rows)
}

func scanJWK(rows *sql.Rows) (jwks.Key, error) {
	var kid, n sql.RawBytes
	if err := rows.Scan(&kid, &n); err != nil {
		return jwks.Key{}, err
	}
	key, err := jwks.FromModulus(n)
	if err != nil {
		return jwks.Key{}, fmt.Errorf("%w: a JWK: %w", store.ErrDamaged, err)
	}
	if got := key.KID(); string(got[:]) != string(kid) {
		return jwks.Key{}, fmt.Errorf("%w: a JWK's kid is not its thumbprint %s", store.ErrDamaged, got)
	}
	return key, nil
}

// Changes implements store.Store.
func (s *Store) Changes(ctx context.Context, workspace string, after uint64, limit int) ([]jwks.Change, error) {
	list, err := s.changes(ctx, workspace, after, limit)
	switch {
	case err != nil:
	case len(list) == 0:
		var version uint64
		err = notFound(s.reads.row(ctx, s.reader, selectVersion, workspace).Scan(&version))
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
		return nil, errLimit
	}
	rows, err := s.reads.rows(ctx, s.reader, selectChanges, workspace, min(after, math.MaxInt64), limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := []jwks.Change{}
	for rows.Next() {
		var (
			version        uint64
			added, removed sql.RawBytes
		)
		if err := rows.Scan(&version, &added, &removed); err != nil {
			return nil, err
		}
		change, err := decodeChange(version, added, removed)
		if err != nil {
			return nil, err
		}
		list = append(list, change)
	}
	return list, rows.Err()
}

// Versions implements store.Store. While it runs, it occupies a reading connection.
func (s *Store) Versions(ctx context.Context, yield func(workspace string, version uint64, print jwks.Fingerprint) error) error {
	return wrap(ctx, "read versions", s.versions(ctx, yield))
}

func (s *Store) versions(ctx context.Context, yield func(string, uint64, jwks.Fingerprint) error) error {
	rows, err := s.reader.QueryContext(ctx, selectVersions)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			workspace string
			version   uint64
			raw       sql.RawBytes
			print     jwks.Fingerprint
		)
		if err := rows.Scan(&workspace, &version, &raw); err != nil {
			return err
		}
		copy(print[:], raw)
		if err := yield(workspace, version, print); err != nil {
			return err
		}
	}
	return rows.Err()
}

// compactAtOnce bounds how long one Compact delays other writers.
const compactAtOnce = 1000

// Compact implements store.Store.
func (s *Store) Compact(ctx context.Context, workspace string, through uint64) (more bool, err error) {
	err = s.write(ctx, func(t *tx) error {
		var version uint64
		if err := t.row(selectVersion, workspace).Scan(&version); err != nil {
			return notFound(err)
		}
		n, err := t.exec(deleteChanges, workspace, workspace, min(through, version-1), compactAtOnce)
		more = n == compactAtOnce
		return err
	})
	return more, wrap(ctx, "compact changes", err)
}

// Watch implements store.Store. SQLite does not report other processes' commits.
func (s *Store) Watch(ctx context.Context, wake func(workspace string)) error {
	wake("")
	<-ctx.Done()
	return ctx.Err()
}
