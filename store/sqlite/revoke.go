package sqlite

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

// updateState stores all columns that determine whether a key is published.
const updateState = `UPDATE keys SET rotated_to = ?, grace_ends_at = ?, revoked_at = ?, revoked_version = ?,
	expired_version = ? WHERE workspace = ? AND id = ?`

// Revoke implements store.Store.
func (s *Store) Revoke(ctx context.Context, workspace string, id uuid.UUID, at time.Time) (store.Key, error) {
	if at.IsZero() {
		return store.Key{}, wrap(ctx, "revoke key", rows.ErrTime)
	}
	var k store.Key
	err := s.write(ctx, func(t *tx) (err error) {
		k, err = readKey(t, workspace, id)
		if err != nil || !k.RevokedAt.IsZero() {
			return err
		}
		return revoke(t, &k, at)
	})
	return orZero(k, wrap(ctx, "revoke key", err))
}

// revoke revokes a key that is not revoked yet, after the keys under it.
func revoke(t *tx, k *store.Key, at time.Time) (err error) {
	children, err := t.parents(k.Workspace).Children(k)
	if err != nil {
		return err
	}
	for i := range children {
		if err := revoke(t, &children[i], at); err != nil {
			return err
		}
	}
	k.RevokedAt = rows.Cut(at)
	if k.Removed() != 0 { // it has expired
		err = storeState(t, *k)
	} else if k.RevokedVersion, err = raiseVersion(t, k.Workspace); err == nil {
		err = remove(t, *k, jwks.Unsigned{})
	}
	if err != nil {
		return err
	}
	return record(t, store.KeyRevoked(t.ctx, *k))
}

func (t *tx) parents(workspace string) rows.Parents {
	return rows.Parents{Locked: t.locked(store.Workspace{ID: workspace})}
}

// remove removes a key from the set in a change with the unsigned part u, whose version is raised already.
func remove(t *tx, k store.Key, u jwks.Unsigned) error {
	if err := withdraw(t, k); err != nil {
		return err
	}
	c := jwks.Change{Version: k.Removed(), Unsigned: u}
	if k.SuspendedAt.IsZero() {
		c.Remove = []jwks.KID{k.KID}
	}
	return logChange(t, k.Workspace, c)
}

func storeState(t *tx, k store.Key) error {
	_, err := t.exec(updateState, dialect.IDOrNull(k.RotatedTo), rows.Micros(k.GraceEndsAt), rows.Micros(k.RevokedAt),
		rows.OrNull(k.RevokedVersion), rows.OrNull(k.ExpiredVersion), k.Workspace, k.ID[:])
	return err
}

// withdraw stores the state of a removed key and deletes its JWK.
func withdraw(t *tx, k store.Key) error {
	if err := storeState(t, k); err != nil {
		return err
	}
	query := deleteJWK
	if !k.SuspendedAt.IsZero() {
		query = dropJWK
	}
	return exactly(t, k, query, k.Workspace, k.KID[:])
}
