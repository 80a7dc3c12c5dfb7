package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

const (
	// raise raises a workspace's version. $2 is the fingerprint of the kids that the version adds or removes.
	raise = `UPDATE workspaces SET version = version + 1, fingerprint = fingerprint # $2::bit(256) WHERE id = $1`
	// removeKey revokes a key; $12 is the time. It is a statement of its own, after the statement raise in the
	// same transaction, so that it sees what was committed while raise waited for the lock. If the key's
	// successor is no longer $13, or if the JWK is missing, the statement computes NULL as the kid of the
	// change. The column does not allow NULL, so nothing is stored. $14 is true if the key was suspended when it
	// was read, so that raise left the fingerprint as it was; if that has changed, the statement corrects it.
	// Otherwise an owner who suspends and resumes a key without end could delay its revocation. $15 is true if there
	// can be keys under it, which were then removed before.
	removeKey = `WITH raised AS (
			SELECT version FROM workspaces WHERE id = $1
		), removed AS (
			UPDATE keys SET revoked_at = $12, revoked_version = (SELECT version FROM raised)
			WHERE workspace = $1 AND id = $8 AND ` + rows.Published + ` AND rotated_to IS NOT DISTINCT FROM $13
				AND coalesce(delegates, false) = $15
			RETURNING ` + rows.KeyColumns + `
		), withdrawn AS (
			DELETE FROM jwks USING removed WHERE jwks.workspace = $1 AND jwks.kid = removed.kid RETURNING jwks.kid
		), dropped AS (
			DELETE FROM suspended_jwks AS jwks USING removed WHERE jwks.workspace = $1 AND jwks.kid = removed.kid RETURNING ''::bytea AS nothing
		), corrected AS (
			UPDATE workspaces SET fingerprint = fingerprint # ('x' || encode(removed.kid, 'hex'))::bit(256)
			FROM removed WHERE workspaces.id = $1 AND (suspended_at IS NOT NULL) <> $14
		), audited AS (
			` + recordEntry + ` FROM raised
		), logged AS (
			INSERT INTO changes (workspace, version, added, removed)
			SELECT $1, version, '', coalesce((SELECT kid FROM withdrawn), (SELECT nothing FROM dropped)) FROM raised
		)
		SELECT ` + rows.KeyColumns + ` FROM removed`
	// revokeExpired is for a key that is no longer published.
	revokeExpired = `WITH revoked AS (
			UPDATE keys SET revoked_at = $12
			WHERE workspace = $1 AND id = $8 AND revoked_at IS NULL AND expired_version IS NOT NULL
			RETURNING ` + rows.KeyColumns + `
		), audited AS (
			` + recordEntry + ` FROM revoked
		)
		SELECT ` + rows.KeyColumns + ` FROM revoked`
)

// errMeanwhile means that a key changed after it was read, so nothing was stored. If the error repeats, the
// key's JWK is missing.
var errMeanwhile = fmt.Errorf("%w: the JWK of a key is missing", store.ErrDamaged)

// tries limits how often a key is read again because it changed before it could be locked. After such a change,
// most often nothing is left to do.
const tries = 4

// Revoke implements store.Store.
func (s *Store) Revoke(ctx context.Context, workspace string, id uuid.UUID, at time.Time) (store.Key, error) {
	if at.IsZero() {
		return store.Key{}, wrap(ctx, "revoke key", rows.ErrTime)
	}
	k, err := s.asRead(ctx, workspace, id, func(k store.Key) (store.Key, error) {
		if !k.RevokedAt.IsZero() {
			return k, errors.Join(s.Standing(ctx), s.confirm(ctx))
		}
		k.RevokedAt = rows.Cut(at)
		if k.Removed() == 0 {
			return s.remove(ctx, k, store.KeyRevoked(ctx, k))
		}
		return s.revokeExpired(ctx, k)
	})
	return k, wrap(ctx, "revoke key", err)
}

// EndGrace implements store.Store.
func (s *Store) EndGrace(ctx context.Context, workspace string, id, to uuid.UUID, at time.Time) (store.Key, error) {
	if at.IsZero() {
		return store.Key{}, wrap(ctx, "end grace", rows.ErrTime)
	}
	k, err := s.asRead(ctx, workspace, id, func(k store.Key) (store.Key, error) {
		if !k.InGrace(to, at) {
			return k, store.ErrNotActive
		}
		k.RevokedAt = rows.Cut(at)
		return s.remove(ctx, k, store.KeyRevoked(ctx, k)) // if the rotation is still the same
	})
	return k, wrap(ctx, "end grace", err)
}

// asRead reads a key and calls change with it, and does so again if change returns errMeanwhile.
func (s *Store) asRead(ctx context.Context, workspace string, id uuid.UUID,
	change func(store.Key) (store.Key, error),
) (k store.Key, err error) {
	for range tries {
		if k, err = s.key(ctx, workspace, id); err != nil {
			return store.Key{}, err
		}
		if k, err = change(k); !errors.Is(err, errMeanwhile) {
			break
		}
	}
	if err != nil {
		return store.Key{}, err
	}
	return k, nil
}

// remove removes a published or suspended key, whose RevokedAt is set, or returns errMeanwhile.
func (s *Store) remove(ctx context.Context, k store.Key, e store.Entry) (store.Key, error) {
	do := func(ctx context.Context, c conn) (err error) {
		k, err = removeKeyIn(ctx, c, k, e)
		return err
	}
	if k.Delegates {
		do = inTx(func(ctx context.Context, t pgx.Tx) error { return removeFamily(ctx, t, &k, e) })
	}
	err := s.write(ctx, k.Workspace, do)
	if err != nil {
		return store.Key{}, meanwhile(err)
	}
	s.notifier.notify(k.Workspace)
	return k, nil
}

// removeKeyIn removes a key, whose RevokedAt is set.
func removeKeyIn(ctx context.Context, c conn, k store.Key, e store.Entry) (removed store.Key, err error) {
	args := append(dialect.EntryArgs(e), rows.Micros(k.RevokedAt), dialect.IDOrNull(k.RotatedTo), !k.SuspendedAt.IsZero(), k.Delegates)
	err = raising(ctx, c, k.Workspace, published(k), func(r pgx.BatchResults) (err error) {
		removed, err = scanKey(k.Workspace, r.QueryRow())
		removed.LastUsedAt = k.LastUsedAt
		return err
	}, statement{removeKey, args})
	if err != nil {
		return k, err // to be removed again
	}
	return removed, nil
}

// published returns the kids of those of the keys, which are not removed, that are in the set.
func published(keys ...store.Key) (kids []jwks.KID) {
	for _, k := range keys {
		if k.SuspendedAt.IsZero() {
			kids = append(kids, k.KID)
		}
	}
	return kids
}

func meanwhile(err error) error {
	if isCode(err, notNullViolation) {
		return fmt.Errorf("%w: %w", errMeanwhile, err)
	}
	return err
}

func (s *Store) revokeExpired(ctx context.Context, k store.Key) (store.Key, error) {
	args := append(dialect.EntryArgs(store.KeyRevoked(ctx, k)), rows.Micros(k.RevokedAt))
	used := k.LastUsedAt
	err := s.write(ctx, k.Workspace, func(ctx context.Context, c conn) (err error) {
		k, err = scanKey(k.Workspace, c.QueryRow(ctx, revokeExpired, args...))
		k.LastUsedAt = used
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		err = errMeanwhile
	}
	return k, err
}

type statement struct {
	text string
	args []any
}

// raising sends raise, for the kids to add or remove, and the statements in one batch, which is one
// transaction: the lock is held for only one round trip. `read` reads the rows of the first statement.
func raising(ctx context.Context, c conn, workspace string, kids []jwks.KID, read func(pgx.BatchResults) error,
	statements ...statement,
) error {
	var print jwks.Fingerprint
	for i := range kids {
		print.Toggle(&kids[i])
	}
	var batch pgx.Batch
	batch.Queue(raise, workspace, pgtype.Bits{Bytes: print[:], Len: int32(8 * len(print)), Valid: true})
	for _, s := range statements {
		batch.Queue(s.text, s.args...)
	}
	results := c.SendBatch(ctx, &batch)
	_, err := results.Exec()
	if err == nil {
		err = read(results)
	}
	if errClose := results.Close(); err == nil {
		err = errClose
	}
	return err
}
