package postgres

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

const (
	selectDue = `SELECT due_at, workspace, id FROM keys WHERE due_at IS NOT NULL
		AND (due_at, workspace, id) > ($1, $2, $3) AND due_at <= $4 ORDER BY due_at, workspace, id LIMIT $5`
	selectThese = `SELECT ` + rows.KeyColumns + ` FROM keys WHERE workspace = $1 AND id = ANY ($2)`
	// retireKeys comes after raise, as removeKey does. It fails in the same way if one of the keys $2 changed
	// after it was read: its successor is no longer $3, or it does not expire at $7. $4 is true for a key to
	// revoke at the time $5, and false for a key that has expired. $6 says whether a key was suspended when it
	// was read; as in removeKey, the statement corrects the fingerprint if that has changed.
	retireKeys = `WITH raised AS (
			SELECT version FROM workspaces WHERE id = $1
		), due AS (
			SELECT * FROM unnest($2::uuid[], $3::uuid[], $4::boolean[], $6::boolean[], $7::bigint[])
				AS due (key, successor, revoked, suspended, expires)
		), removed AS (
			UPDATE keys SET revoked_at = CASE WHEN revoked THEN $5::bigint END,
				revoked_version = CASE WHEN revoked THEN (SELECT version FROM raised) END,
				expired_version = CASE WHEN NOT revoked THEN (SELECT version FROM raised) END
			FROM due WHERE workspace = $1 AND id = due.key AND ` + rows.Published + ` AND rotated_to IS NOT DISTINCT FROM successor
				AND expires_at IS NOT DISTINCT FROM expires
			RETURNING ` + rows.KeyColumns + `
		), withdrawn AS (
			DELETE FROM jwks USING removed WHERE jwks.workspace = $1 AND jwks.kid = removed.kid RETURNING jwks.kid
		), dropped AS (
			DELETE FROM suspended_jwks AS jwks USING removed WHERE jwks.workspace = $1 AND jwks.kid = removed.kid RETURNING 1
		), corrected AS (
			UPDATE workspaces SET fingerprint = fingerprint # print FROM (
				SELECT bit_xor(('x' || encode(kid, 'hex'))::bit(256)) AS print FROM removed JOIN due ON key = id
				WHERE (suspended_at IS NOT NULL) <> suspended
			) AS wrong WHERE workspaces.id = $1 AND print IS NOT NULL
		), logged AS (
			INSERT INTO changes (workspace, version, added, removed)
			SELECT $1, version, '', (SELECT coalesce(string_agg(kid, ''::bytea), '') FROM withdrawn
				HAVING count(*) + (SELECT count(*) FROM dropped) = cardinality($2::uuid[]))
			FROM raised
		)
		SELECT ` + rows.KeyColumns + ` FROM removed`
	selectNextDue = `SELECT (SELECT due_at FROM keys WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1)`
)

// Retire implements store.Store.
func (s *Store) Retire(ctx context.Context, workspace string, ids []uuid.UUID, at time.Time) ([]store.Key, error) {
	var (
		retired []store.Key
		err     error
	)
	for range tries {
		if retired, err = s.retire(ctx, workspace, ids, at); !errors.Is(err, errMeanwhile) {
			break
		}
	}
	return retired, wrap(ctx, "retire keys", err)
}

// retire removes the keys that are due, or returns errMeanwhile if one of them changed after it was read.
func (s *Store) retire(ctx context.Context, workspace string, ids []uuid.UUID, at time.Time) ([]store.Key, error) {
	var keys []store.Key
	scan := func(row pgx.CollectableRow) (store.Key, error) { return scanKey(workspace, row) }
	err := s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) (err error) {
		found, _ := c.Query(ctx, selectThese, workspace, uuids(ids)) // its error is found.Err
		keys, err = pgx.CollectRows(found, scan)
		return err
	})
	if err != nil {
		return nil, err
	}
	keys = slices.DeleteFunc(keys, func(k store.Key) bool { return !k.IsDue(at) })
	if len(keys) == 0 {
		return []store.Key{}, nil
	}
	statements := retirement(workspace, keys, rows.Cut(at))
	kids := published(keys...)
	err = s.write(ctx, workspace, func(ctx context.Context, c conn) error {
		return raising(ctx, c, workspace, kids, func(r pgx.BatchResults) (err error) {
			found, _ := r.Query() // its error is found.Err
			keys, err = pgx.CollectRows(found, scan)
			return err
		}, statements...)
	})
	if err != nil {
		return nil, meanwhile(err)
	}
	s.notifier.notify(workspace)
	return keys, nil
}

// retirement returns the statements that remove due keys and add their audit entries.
func retirement(workspace string, keys []store.Key, at time.Time) []statement {
	var (
		ids, successors = make([][16]byte, len(keys)), make([]pgtype.UUID, len(keys))
		revoked         = make([]bool, len(keys))
		suspended       = make([]bool, len(keys))
		expires         = make([]pgtype.Int8, len(keys))
		statements      = make([]statement, 1, 1+len(keys))
	)
	for i, k := range keys {
		k = store.Retired(k, at, 0) // the database knows the version
		ids[i], revoked[i] = k.ID, !k.RevokedAt.IsZero()
		suspended[i] = !k.SuspendedAt.IsZero()
		expires[i] = pgtype.Int8{Int64: k.ExpiresAt.UnixMicro(), Valid: !k.ExpiresAt.IsZero()}
		successors[i] = pgtype.UUID{Bytes: k.RotatedTo, Valid: k.RotatedTo != uuid.Nil}
		statements = append(statements, statement{recordEntry, dialect.EntryArgs(store.KeyRetired(k, at))})
	}
	statements[0] = statement{retireKeys, []any{workspace, ids, successors, revoked, at.UnixMicro(), suspended, expires}}
	return statements
}

func uuids(ids []uuid.UUID) [][16]byte {
	array := make([][16]byte, len(ids))
	for i, id := range ids {
		array[i] = id
	}
	return array
}

// Due implements store.Store.
func (s *Store) Due(ctx context.Context, after store.DuePlace, until time.Time, limit int) ([]store.DuePlace, error) {
	if limit < 1 {
		return nil, wrap(ctx, "list due keys", rows.ErrLimit)
	}
	var list []store.DuePlace
	err := s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) (err error) {
		found, _ := c.Query(ctx, selectDue, after.At.UnixMicro(), after.Workspace, [16]byte(after.ID),
			until.UnixMicro(), limit) // its error is found.Err
		list, err = pgx.CollectRows(found, func(row pgx.CollectableRow) (d store.DuePlace, err error) {
			err = row.Scan(rows.Time(&d.At), &d.Workspace, dialect.IDInto(&d.ID))
			return d, err
		})
		return err
	})
	return list, wrap(ctx, "list due keys", err)
}

// NextDue implements store.Store.
func (s *Store) NextDue(ctx context.Context) (time.Time, error) {
	var at time.Time
	err := s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		return c.QueryRow(ctx, selectNextDue).Scan(rows.Time(&at))
	})
	return at, wrap(ctx, "read when a key is due", err)
}
