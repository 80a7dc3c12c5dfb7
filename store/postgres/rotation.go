package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

const (
	// inGrace counts an owner's keys in their grace, up to a limit.
	inGrace = `SELECT count(*) AS n FROM (SELECT FROM keys WHERE workspace = $1 AND owner = $9 AND ` + rows.Published + `
		AND grace_ends_at > $36 LIMIT $37) AS k`
	// rotateKey comes after raise, as removeKey does, and fails in the same way. The audit entry is that of the
	// old key. $35 is NULL if there is a grace; $37 is 0 without a limit. The old key's lifetime and scopes must
	// still be $38 and $39, and its attributes those of the successor. $40 has its attributes in the grace. $41 is true if there
	// can be keys under it, which are then under the successor already.
	rotateKey = `WITH raised AS (
			SELECT version FROM workspaces WHERE id = $1
		), grace AS (
			` + inGrace + `
		), old AS (
			UPDATE keys SET rotated_to = $12, grace_ends_at = $34, revoked_at = $35,
				revoked_version = CASE WHEN $35::bigint IS NOT NULL THEN (SELECT version FROM raised) END
			WHERE workspace = $1 AND id = $25 AND ` + rows.Published + ` AND rotated_to IS NULL AND suspended_at IS NULL
				AND expires_at IS NOT DISTINCT FROM $38 AND scopes = $39 AND allowed_ips IS NOT DISTINCT FROM $27
				AND plan IS NOT DISTINCT FROM $28 AND limits IS NOT DISTINCT FROM $29 AND ceiling IS NOT DISTINCT FROM $31
				AND coalesce(delegates, false) = $41
			RETURNING ` + rows.KeyColumns + `
		), ` + insertKey + `, withdrawn AS (
			DELETE FROM jwks USING old WHERE old.revoked_at IS NOT NULL AND jwks.workspace = $1 AND jwks.kid = old.kid
			RETURNING jwks.kid
		), altered AS (
			UPDATE jwks SET attributes = $40 FROM old WHERE old.revoked_at IS NULL AND jwks.workspace = $1 AND jwks.kid = old.kid
			RETURNING jwks.kid
		), logged AS (
			INSERT INTO changes (workspace, version, added, removed, unsigned)
			SELECT $1, version, CASE WHEN EXISTS (SELECT FROM old) AND ($37 = 0 OR n < $37)
					AND ($35::bigint IS NOT NULL OR EXISTS (SELECT FROM altered)) THEN $24::bytea END,
				CASE WHEN $35::bigint IS NULL THEN '' ELSE (SELECT kid FROM withdrawn) END, $33::text
			FROM raised, grace
		)
		SELECT (SELECT version FROM raised), ` + rows.KeyColumns + ` FROM old`
	selectInGrace = `SELECT count(*) FROM (SELECT FROM keys WHERE workspace = $1 AND owner = $2 AND ` + rows.Published + `
		AND grace_ends_at > $3 LIMIT $4) AS k`
	// undoRotation comes after raise, too. $8 is the old key and $12 its successor. The old key must still have the
	// lifetime, scopes, networks, plan and limits that $19, its attributes without the grace, were made from.
	undoRotation = `WITH raised AS (
			SELECT version FROM workspaces WHERE id = $1
		), undone AS (
			UPDATE keys SET rotated_to = NULL, grace_ends_at = NULL,
				revoked_at = CASE WHEN id = $12 THEN $13::bigint END,
				revoked_version = CASE WHEN id = $12 THEN (SELECT version FROM raised) END
			WHERE workspace = $1 AND id IN ($8, $12)
				AND EXISTS (SELECT FROM keys WHERE workspace = $1 AND id = $8 AND ` + rows.Published + ` AND rotated_to = $12
					AND suspended_at IS NULL AND expires_at IS NOT DISTINCT FROM $14 AND scopes = $15
					AND allowed_ips IS NOT DISTINCT FROM $16 AND plan IS NOT DISTINCT FROM $17 AND limits IS NOT DISTINCT FROM $18)
				AND EXISTS (SELECT FROM keys WHERE workspace = $1 AND id = $12 AND ` + rows.Published + ` AND rotated_to IS NULL
					AND coalesce(delegates, false) = $21
					AND suspended_at IS NULL
					AND ceiling IS NOT DISTINCT FROM (SELECT ceiling FROM keys WHERE workspace = $1 AND id = $8))
			RETURNING ` + rows.KeyColumns + `
		), withdrawn AS (
			DELETE FROM jwks USING undone WHERE undone.id = $12 AND jwks.workspace = $1 AND jwks.kid = undone.kid
			RETURNING jwks.kid
		), altered AS (
			UPDATE jwks SET attributes = $19 FROM undone WHERE undone.id = $8 AND jwks.workspace = $1 AND jwks.kid = undone.kid
			RETURNING jwks.kid
		), audited AS (
			` + recordEntry + ` FROM raised
		), logged AS (
			INSERT INTO changes (workspace, version, added, removed, unsigned)
			SELECT $1, version, '', (SELECT withdrawn.kid FROM withdrawn, altered), $20::text FROM raised
		)
		SELECT ` + rows.KeyColumns + ` FROM undone`
)

// Rotate implements store.Store.
func (s *Store) Rotate(ctx context.Context, workspace string, id uuid.UUID, successor store.Key, pub jwks.Key, graceEnds time.Time,
	terms store.Terms,
) (old, issued store.Key, err error) {
	if successor.CreatedAt.IsZero() {
		return store.Key{}, store.Key{}, wrap(ctx, "rotate key", rows.ErrTime)
	}
	if err := rows.Storable(successor); err != nil {
		return store.Key{}, store.Key{}, wrap(ctx, "rotate key", err)
	}
	successor = rows.NewKey(successor, pub)
	successor.Workspace, successor.RotatedFrom, successor.Parent = workspace, id, uuid.Nil
	old, err = s.asRead(ctx, workspace, id, func(k store.Key) (store.Key, error) {
		issued = store.Inherited(successor, k)
		at := issued.CreatedAt
		if k.Status(at) == store.Active && k.Parent != uuid.Nil {
			return k, store.ErrChild
		}
		if k.Status(at) == store.Active {
			var refused *refusedError
			old, limit, err := s.rotate(ctx, store.Rotated(k, issued, rows.Cut(graceEnds)), &issued, pub, terms)
			switch {
			case errors.As(err, &refused):
				return old, s.whyNotRotated(ctx, k, issued, 0, err)
			case !isCode(err, uniqueViolation) && !isCode(err, notNullViolation):
				return old, err
			}
			return old, s.whyNotRotated(ctx, k, issued, limit, fmt.Errorf("%w: %w", errMeanwhile, err))
		}
		return k, s.whyNotRotated(ctx, k, issued, 0, errMeanwhile)
	})
	if errors.Is(err, store.ErrIdempotencyKey) {
		err = s.sure(ctx, err)
	}
	if err != nil {
		return store.Key{}, store.Key{}, wrap(ctx, "rotate key", err)
	}
	s.notifier.notify(workspace)
	return old, issued, nil
}

// rotate stores old as given and issues its successor. held is the limit that applied.
func (s *Store) rotate(ctx context.Context, old store.Key, issued *store.Key, pub jwks.Key,
	terms store.Terms,
) (stored store.Key, held int, err error) {
	at, used, given := issued.CreatedAt, old.LastUsedAt, old
	do := onTerms(old.Workspace, "", terms, func(ctx context.Context, c conn, limit int) error {
		kids := []jwks.KID{issued.KID}
		if held = max(limit, 0); !given.RevokedAt.IsZero() {
			held = 0 // without a grace, no limit applies
			kids = append(kids, given.KID)
		}
		args := append(keyArgs(store.KeyRotated(ctx, given, at), *issued, pub.Modulus(), store.RotationUnsigned(given, *issued)),
			rows.Micros(given.GraceEndsAt), rows.Micros(given.RevokedAt), at.UnixMicro(), held,
			rows.Micros(given.ExpiresAt), given.Scopes, rows.AttributesArg(given.Attributes()), given.Delegates)
		return raising(ctx, c, old.Workspace, kids, func(r pgx.BatchResults) (err error) {
			old, err = scanKey(old.Workspace, r.QueryRow(), &issued.Version)
			old.LastUsedAt = used
			return err
		}, statement{rotateKey, args}, statement{recordEntry, dialect.EntryArgs(store.KeyIssued(ctx, *issued))})
	})
	err = s.write(ctx, old.Workspace, movingChildren(&given, issued, do))
	return old, held, err
}

// whyNotRotated returns the error for what prevented the rotation of old, in the contract's order, or the error
// `otherwise` if nothing prevents it any more.
func (s *Store) whyNotRotated(ctx context.Context, old, issued store.Key, limit int, otherwise error) error {
	return s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		taken := conflict(ctx, c, issued, nil)
		if errors.Is(taken, store.ErrIdempotencyKey) {
			return taken
		}
		now, err := scanUsed(old.Workspace, c.QueryRow(ctx, selectKey, old.Workspace, [16]byte(old.ID)))
		switch {
		case err != nil:
			return err
		case now.Status(issued.CreatedAt) != store.Active:
			return store.ErrNotActive
		case taken != nil:
			return taken
		case limit > 0:
			var n int
			err := c.QueryRow(ctx, selectInGrace, old.Workspace, old.Owner, issued.CreatedAt.UnixMicro(), limit).Scan(&n)
			if err == nil && n >= limit {
				err = store.ErrTooMany
			}
			if err != nil {
				return err
			}
		}
		return otherwise
	})
}

// UndoRotation implements store.Store.
func (s *Store) UndoRotation(ctx context.Context, workspace string, id, to uuid.UUID, at time.Time) (old, successor store.Key, err error) {
	if at.IsZero() {
		return store.Key{}, store.Key{}, wrap(ctx, "undo rotation", rows.ErrTime)
	}
	old, err = s.asRead(ctx, workspace, id, func(k store.Key) (store.Key, error) {
		if !k.InGrace(to, at) || !k.SuspendedAt.IsZero() {
			return k, store.ErrNotActive
		}
		var err error
		if successor, err = s.key(ctx, workspace, k.RotatedTo); err != nil {
			return k, err
		}
		if successor.Status(at) != store.Active || !successor.Ceiling.Equal(&k.Ceiling) {
			return k, store.ErrNotActive
		}
		successor.RevokedAt = rows.Cut(at)
		return k, s.undoRotation(ctx, &k, &successor)
	})
	if err != nil {
		return store.Key{}, store.Key{}, wrap(ctx, "undo rotation", err)
	}
	s.notifier.notify(workspace)
	return old, successor, nil
}

// undoRotation undoes a rotation and revokes the successor, whose RevokedAt is set, or returns errMeanwhile.
func (s *Store) undoRotation(ctx context.Context, old, successor *store.Key) error {
	at := successor.RevokedAt
	undone := *old
	undone.RotatedTo, undone.GraceEndsAt = uuid.Nil, time.Time{}
	args := append(dialect.EntryArgs(store.RotationUndone(ctx, *old, successor.ID, at)), [16]byte(successor.ID), rows.Micros(at),
		rows.Micros(old.ExpiresAt), old.Scopes)
	args = append(append(args, rows.IssuedArgs(*old)[:3]...), rows.AttributesArg(undone.Attributes()),
		rows.UnsignedArg(store.UndoneUnsigned(undone)), successor.Delegates)
	return meanwhile(s.write(ctx, old.Workspace, returningChildren(successor, &undone, func(ctx context.Context, c conn) error {
		return raising(ctx, c, old.Workspace, []jwks.KID{successor.KID}, func(r pgx.BatchResults) error {
			found, _ := r.Query() // its error is found.Err
			keys, err := pgx.CollectRows(found, func(row pgx.CollectableRow) (store.Key, error) { return scanKey(old.Workspace, row) })
			for _, k := range keys {
				of := successor
				if k.ID == old.ID {
					of = old
				}
				k.LastUsedAt = of.LastUsedAt
				*of = k
			}
			return err
		}, statement{undoRotation, args}, statement{recordEntry, dialect.EntryArgs(store.KeyRevoked(ctx, *successor))})
	})))
}
