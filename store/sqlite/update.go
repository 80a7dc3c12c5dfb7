package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

const (
	updateKey = `UPDATE keys SET name = ?, metadata = ?, updated_at = ?, expires_at = ?, scopes = ?,
		allowed_ips = ?, plan = ?, limits = ?, signed = ?, ceiling = ?, suspended_at = ?, suspended_reason = ?, suspended_by = ?
		WHERE workspace = ? AND id = ?`
	updateJWK       = `UPDATE jwks SET attributes = ? WHERE workspace = ? AND kid = ?`
	suspendJWK      = `INSERT INTO suspended_jwks (workspace, kid, n) SELECT workspace, kid, n FROM jwks WHERE workspace = ? AND kid = ?`
	selectSuspended = `SELECT kid, n FROM suspended_jwks WHERE workspace = ? AND kid = ?`
	dropJWK         = `DELETE FROM suspended_jwks WHERE workspace = ? AND kid = ?`
)

// UpdateKey implements store.Store.
func (s *Store) UpdateKey(ctx context.Context, workspace string, id uuid.UUID,
	change func(*store.Workspace, *store.Key) error,
) (store.Key, error) {
	var k store.Key
	err := s.write(ctx, func(t *tx) error {
		w, err := scanWorkspace(t.row(selectWorkspace, workspace))
		if err != nil {
			return err
		}
		if k, err = readKey(t, workspace, id); err != nil {
			return err
		}
		before := k
		parents := rows.Parents{Locked: t.locked(w)}
		change, err := parents.Changing(&k, change)
		if err != nil {
			return err
		}
		var plan string
		if k, plan, err = rows.ChangedKey(w, k, change); err != nil {
			return err
		}
		if err := t.locked(w).HasPlan(workspace, plan); err != nil {
			return err
		}
		if err := parents.Follow(&k); err != nil {
			return err
		}
		return updateRecord(t, before, k)
	})
	return orZero(k, wrap(ctx, "update key", err))
}

// updateRecord stores a changed key, publishes what has changed and adds the audit entry.
func updateRecord(t *tx, before, k store.Key) error {
	if err := storeUpdate(t, k); err != nil {
		return err
	}
	if err := republish(t, before, k); err != nil {
		return err
	}
	return record(t, store.KeyUpdated(t.ctx, before, k))
}

func storeUpdate(t *tx, k store.Key) error {
	scopes, err := encodeList(k.Scopes)
	if err != nil {
		return err
	}
	args := append([]any{k.Name, string(k.Metadata), rows.Micros(k.UpdatedAt), rows.Micros(k.ExpiresAt), scopes}, rows.IssuedArgs(k)...)
	args = append(append(args, rows.SuspensionArgs(k)...), k.Workspace, k.ID[:])
	_, err = t.exec(updateKey, args...)
	return err
}

// republish publishes what an update changes.
func republish(t *tx, before, after store.Key) error {
	p := rows.Republished(before, after)
	if !p.Raises() {
		return nil
	}
	version, err := raiseVersion(t, after.Workspace)
	if err != nil {
		return err
	}
	c := jwks.Change{Version: version, Unsigned: p.Unsigned}
	switch {
	case p.Leaves:
		c.Remove = []jwks.KID{after.KID}
		err = suspend(t, after)
	case p.Returns:
		c.Add, err = resume(t, after)
	default:
		err = exactly(t, after, updateJWK, rows.AttributesArg(p.Attributes), after.Workspace, after.KID[:])
	}
	if err != nil {
		return err
	}
	return logChange(t, after.Workspace, c)
}

// suspend moves the JWK of a key out of the set.
func suspend(t *tx, k store.Key) error {
	if err := exactly(t, k, suspendJWK, k.Workspace, k.KID[:]); err != nil {
		return err
	}
	return exactly(t, k, deleteJWK, k.Workspace, k.KID[:])
}

// resume moves the JWK of a key into the set, and returns it unless the key is imported.
func resume(t *tx, k store.Key) (add []jwks.Key, err error) {
	if k.Digest != nil {
		t.enters(k.KID)
		if err := exactly(t, k, dropJWK, k.Workspace, k.KID[:]); err != nil {
			return nil, err
		}
		_, err := t.exec(insertImported, k.Workspace, k.KID[:], rows.NoJWK, rows.AttributesArg(k.Attributes()))
		return nil, err
	}
	pub, err := jwkOf(t, k, selectSuspended)
	if err == nil {
		err = exactly(t, k, dropJWK, k.Workspace, k.KID[:])
	}
	if err == nil {
		err = publish(t, k.Workspace, pub, k.Attributes())
	}
	return []jwks.Key{pub}, err
}

// SuspendedJWK implements store.Store.
func (s *Store) SuspendedJWK(ctx context.Context, workspace string, kid jwks.KID) (jwks.Key, error) {
	if kid.IsImported() {
		return jwks.Key{}, wrap(ctx, "read JWK of a suspended key", store.ErrNotFound)
	}
	key, err := scanJWK(s.reads.row(ctx, s.reader, selectSuspended, workspace, kid[:]))
	return key, wrap(ctx, "read JWK of a suspended key", err)
}

func jwkOf(t *tx, k store.Key, query string) (jwks.Key, error) {
	pub, err := scanJWK(t.row(query, k.Workspace, k.KID[:]))
	if errors.Is(err, store.ErrNotFound) {
		err = missingJWK(k)
	}
	return pub, err
}

// exactly runs a statement that must change one row: that of the key's JWK.
func exactly(t *tx, k store.Key, query string, args ...any) error {
	n, err := t.exec(query, args...)
	if err == nil && n != 1 {
		err = missingJWK(k)
	}
	return err
}

func missingJWK(k store.Key) error {
	return fmt.Errorf("%w: the JWK of key %s is missing", store.ErrDamaged, k.ID)
}
