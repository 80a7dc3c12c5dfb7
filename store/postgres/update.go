package postgres

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

const (
	updateKey = `WITH audited AS (` + recordEntry + `)
		UPDATE keys SET name = $12, metadata = $13, updated_at = $14, expires_at = $15, scopes = $16, allowed_ips = $17,
			plan = $18, limits = $19, signed = $20, ceiling = $21, suspended_at = $22, suspended_reason = $23,
			suspended_by = $24 WHERE workspace = $1 AND id = $8`
	// These statements record a change only if the key's JWK is where it should be. $3 is the version, $4 the
	// attributes, and $5 the unsigned part of the change.
	suspendJWK = `WITH moved AS (
			DELETE FROM jwks WHERE workspace = $1 AND kid = $2 RETURNING kid, n
		), kept AS (
			INSERT INTO suspended_jwks (workspace, kid, n) SELECT $1, kid, n FROM moved
		)
		INSERT INTO changes (workspace, version, added, removed) SELECT $1, $3, '', kid FROM moved`
	resumeJWK = `WITH moved AS (
			DELETE FROM suspended_jwks WHERE workspace = $1 AND kid = $2 RETURNING kid, n
		), published AS (
			INSERT INTO jwks (workspace, kid, n, attributes) SELECT $1, kid, n, $4::text FROM moved
		)
		INSERT INTO changes (workspace, version, added, removed, unsigned) SELECT $1, $3, n, '', $5::text FROM moved`
	selectSuspended = `SELECT kid, n FROM suspended_jwks WHERE workspace = $1 AND kid = $2`
	alterJWK        = `WITH altered AS (
			UPDATE jwks SET attributes = $4 WHERE workspace = $1 AND kid = $2 RETURNING kid
		)
		INSERT INTO changes (workspace, version, added, removed, unsigned) SELECT $1, $3, '', '', $5::text FROM altered`
)

// UpdateKey implements store.Store. While change runs, the workspace is locked against all other changes.
func (s *Store) UpdateKey(ctx context.Context, workspace string, id uuid.UUID,
	change func(*store.Workspace, *store.Key) error,
) (store.Key, error) {
	var k store.Key
	begun, raised := false, false
	err := s.writeUnless(ctx, workspace, &begun, inTx(func(ctx context.Context, t pgx.Tx) error {
		w, err := scanWorkspace(t.QueryRow(ctx, lockWorkspace, workspace))
		if err != nil {
			return err
		}
		if k, err = scanUsed(workspace, t.QueryRow(ctx, lockKey, workspace, [16]byte(id))); err != nil {
			return err
		}
		begun = true
		before := k
		parents := rows.Parents{Locked: asLocked(ctx, t, w, &raised)}
		change, err := parents.Changing(&k, change)
		if err != nil {
			return err
		}
		var plan string
		if k, plan, err = rows.ChangedKey(w, k, change); err != nil {
			return err
		}
		if err := asLocked(ctx, t, w, nil).HasPlan(workspace, plan); err != nil {
			return err
		}
		if err := parents.Follow(&k); err != nil {
			return err
		}
		return parents.Update(before, k)
	}))
	if err != nil {
		return store.Key{}, wrap(ctx, "update key", err)
	}
	if raised {
		s.notifier.notify(workspace)
	}
	return k, nil
}

// SuspendedJWK implements store.Store.
func (s *Store) SuspendedJWK(ctx context.Context, workspace string, kid jwks.KID) (key jwks.Key, err error) {
	if kid.IsImported() {
		return jwks.Key{}, wrap(ctx, "read JWK of a suspended key", store.ErrNotFound)
	}
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		found, _ := c.Query(ctx, selectSuspended, workspace, kid[:]) // its error is found.Err
		key, err = pgx.CollectExactlyOneRow(found, func(row pgx.CollectableRow) (jwks.Key, error) { return scanJWK(row) })
		return rows.NotFound(err)
	})
	return key, wrap(ctx, "read JWK of a suspended key", err)
}

// storeUpdate stores a changed key and publishes what has changed, as the next version.
func storeUpdate(ctx context.Context, t pgx.Tx, next uint64, before, k store.Key) (raised bool, err error) {
	args := append(dialect.EntryArgs(store.KeyUpdated(ctx, before, k)), k.Name, string(k.Metadata), rows.Micros(k.UpdatedAt),
		rows.Micros(k.ExpiresAt), k.Scopes)
	args = append(append(args, rows.IssuedArgs(k)...), rows.SuspensionArgs(k)...)
	p := rows.Republished(before, k)
	if !p.Raises() {
		_, err = t.Exec(ctx, updateKey, args...)
		return false, err
	}
	kids := []jwks.KID{k.KID}
	republish := statement{suspendJWK, []any{k.Workspace, k.KID[:], next}}
	if !p.Leaves {
		republish.args = append(republish.args, rows.AttributesArg(p.Attributes), rows.UnsignedArg(p.Unsigned))
	}
	switch {
	case p.Returns:
		republish.text = resumeJWK
	case p.Alters:
		republish.text, kids = alterJWK, nil
	}
	return true, raising(ctx, t, k.Workspace, kids, func(r pgx.BatchResults) error {
		tag, err := r.Exec()
		if err == nil && tag.RowsAffected() != 1 {
			err = fmt.Errorf("%w: the JWK of key %s is missing", store.ErrDamaged, k.ID)
		}
		return err
	}, republish, statement{updateKey, args})
}
