package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

// parents returns the parents and children of a workspace, which the transaction has locked.
func parents(ctx context.Context, t pgx.Tx, workspace string) rows.Parents {
	return rows.Parents{Locked: asLocked(ctx, t, store.Workspace{ID: workspace}, nil)}
}

// lockParents locks a workspace for changes of parents and children.
func lockParents(ctx context.Context, t pgx.Tx, workspace string) (p rows.Parents, err error) {
	w, err := scanWorkspace(t.QueryRow(ctx, lockWorkspace, workspace))
	return rows.Parents{Locked: asLocked(ctx, t, w, new(bool))}, err
}

// underParent wraps a change that issues k: if k has a parent, it is one transaction with the change.
func underParent(k *store.Key, issue change) change {
	if k.Parent == uuid.Nil {
		return issue
	}
	return inTx(func(ctx context.Context, t pgx.Tx) error {
		p, err := lockParents(ctx, t, k.Workspace)
		if err != nil {
			return err
		}
		if err := issue(ctx, t); err != nil {
			return err
		}
		return p.SetParent(k)
	})
}

// removeFamily removes the keys under k, and then k, whose RevokedAt is set.
func removeFamily(ctx context.Context, t pgx.Tx, k *store.Key, e store.Entry) error {
	p, err := lockParents(ctx, t, k.Workspace)
	if err != nil {
		return err
	}
	children, err := p.Children(k)
	if err != nil {
		return err
	}
	for _, child := range children {
		child.RevokedAt = k.RevokedAt
		if _, err := removeKeyIn(ctx, t, child, store.KeyRevoked(ctx, child)); err != nil {
			return err
		}
	}
	*k, err = removeKeyIn(ctx, t, *k, e)
	return err
}

// movingChildren wraps the rotation of old to issued: it first puts the keys under old under its successor.
func movingChildren(old, issued *store.Key, rotate change) change {
	if !old.Delegates {
		return rotate
	}
	return inTx(func(ctx context.Context, t pgx.Tx) error {
		p, err := moveChildren(ctx, t, old, issued, issued.CreatedAt)
		if err != nil {
			return err
		}
		if err := rotate(ctx, t); err != nil {
			return err
		}
		return p.Mark(issued)
	})
}

// returningChildren wraps the undoing of a rotation: it first puts the keys under the successor under the old key.
func returningChildren(successor, old *store.Key, undo change) change {
	if !successor.Delegates {
		return undo
	}
	return inTx(func(ctx context.Context, t pgx.Tx) error {
		p, err := moveChildren(ctx, t, successor, old, successor.RevokedAt)
		if err != nil {
			return err
		}
		if err := p.Mark(old); err != nil {
			return err
		}
		return undo(ctx, t)
	})
}

func moveChildren(ctx context.Context, t pgx.Tx, from, to *store.Key, at time.Time) (rows.Parents, error) {
	p, err := lockParents(ctx, t, from.Workspace)
	if err != nil {
		return p, err
	}
	return p, p.Move(from, to, at)
}
