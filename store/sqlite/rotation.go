package sqlite

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
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
	issued = rows.NewKey(successor, pub)
	issued.Parent = uuid.Nil
	issued.Workspace, issued.RotatedFrom = workspace, id
	err = s.write(ctx, func(t *tx) (err error) {
		if old, err = readKey(t, workspace, id); err != nil {
			return err
		}
		return rotate(t, &old, &issued, pub, rows.Cut(graceEnds), terms)
	})
	if err != nil {
		return store.Key{}, store.Key{}, wrap(ctx, "rotate key", err)
	}
	return old, issued, nil
}

// rotate stores issued as the successor of old and completes both records.
func rotate(t *tx, old, issued *store.Key, pub jwks.Key, graceEnds time.Time, terms store.Terms) error {
	if err := refuseRepeat(t, *issued); err != nil {
		return err
	}
	if old.Status(issued.CreatedAt) != store.Active {
		return store.ErrNotActive
	}
	if old.Parent != uuid.Nil {
		return store.ErrChild
	}
	*issued = store.Inherited(*issued, *old)
	limit, err := meets(t, *issued, terms)
	if err != nil {
		return err
	}
	if err := t.parents(old.Workspace).Move(old, issued, issued.CreatedAt); err != nil {
		return err
	}
	version, err := raiseVersion(t, old.Workspace)
	if err != nil {
		return err
	}
	issued.Version = version
	if err := insertRecord(t, *issued, pub); err != nil {
		return err
	}
	if old.Delegates {
		if err := t.parents(old.Workspace).Mark(issued); err != nil {
			return err
		}
	}
	var removed []jwks.KID
	if *old = store.Rotated(*old, *issued, graceEnds); !old.RevokedAt.IsZero() {
		old.RevokedVersion, removed = version, []jwks.KID{old.KID}
		err = withdraw(t, *old)
	} else {
		counted := *old
		counted.CreatedAt = issued.CreatedAt
		if err = withinLimit(t, countGrace, counted, limit); err == nil {
			err = storeGrace(t, *old)
		}
	}
	if err != nil {
		return err
	}
	if err := logChange(t, old.Workspace, jwks.Change{
		Version: version, Add: []jwks.Key{pub}, Remove: removed, Unsigned: store.RotationUnsigned(*old, *issued),
	}); err != nil {
		return err
	}
	return record(t, store.KeyRotated(t.ctx, *old, issued.CreatedAt), store.KeyIssued(t.ctx, *issued))
}

// UndoRotation implements store.Store.
func (s *Store) UndoRotation(ctx context.Context, workspace string, id, to uuid.UUID, at time.Time) (old, successor store.Key, err error) {
	if at.IsZero() {
		return store.Key{}, store.Key{}, wrap(ctx, "undo rotation", rows.ErrTime)
	}
	err = s.write(ctx, func(t *tx) (err error) {
		if old, err = readKey(t, workspace, id); err != nil {
			return err
		}
		if !old.InGrace(to, at) || !old.SuspendedAt.IsZero() {
			return store.ErrNotActive
		}
		if successor, err = readKey(t, workspace, old.RotatedTo); err != nil {
			return err
		}
		if successor.Status(at) != store.Active || !successor.Ceiling.Equal(&old.Ceiling) {
			return store.ErrNotActive
		}
		return undoRotation(t, &old, &successor, rows.Cut(at))
	})
	if err != nil {
		return store.Key{}, store.Key{}, wrap(ctx, "undo rotation", err)
	}
	return old, successor, nil
}

func undoRotation(t *tx, old, successor *store.Key, at time.Time) (err error) {
	if successor.Delegates {
		if err := t.parents(old.Workspace).Move(successor, old, at); err != nil {
			return err
		}
		if err := t.parents(old.Workspace).Mark(old); err != nil {
			return err
		}
	}
	successor.RevokedAt = at
	if successor.RevokedVersion, err = raiseVersion(t, old.Workspace); err != nil {
		return err
	}
	old.RotatedTo, old.GraceEndsAt = uuid.Nil, time.Time{}
	if err := storeGrace(t, *old); err != nil {
		return err
	}
	if err := remove(t, *successor, store.UndoneUnsigned(*old)); err != nil {
		return err
	}
	return record(t, store.RotationUndone(t.ctx, *old, successor.ID, at), store.KeyRevoked(t.ctx, *successor))
}

// storeGrace stores the beginning or the end of a published key's grace.
func storeGrace(t *tx, k store.Key) error {
	if err := storeState(t, k); err != nil {
		return err
	}
	return exactly(t, k, updateJWK, rows.AttributesArg(k.Attributes()), k.Workspace, k.KID[:])
}

// EndGrace implements store.Store.
func (s *Store) EndGrace(ctx context.Context, workspace string, id, to uuid.UUID, at time.Time) (k store.Key, err error) {
	if at.IsZero() {
		return store.Key{}, wrap(ctx, "end grace", rows.ErrTime)
	}
	err = s.write(ctx, func(t *tx) (err error) {
		if k, err = readKey(t, workspace, id); err != nil {
			return err
		}
		if !k.InGrace(to, at) {
			return store.ErrNotActive
		}
		return revoke(t, &k, at)
	})
	return orZero(k, wrap(ctx, "end grace", err))
}
