package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

// readDatabase compares the restored database with the one that was in use.
func (p *restorePlan) readDatabase(ctx context.Context, old store.Store) error {
	all, err := workspacesOf(ctx, old)
	if err != nil {
		return err
	}
	for _, w := range all {
		if err := p.compare(ctx, old, w.ID); err != nil {
			return err
		}
	}
	for _, w := range p.workspaces {
		if !slices.ContainsFunc(all, func(other store.Workspace) bool { return other.ID == w.ID }) {
			return fmt.Errorf("is not a later state of the restored database: workspace %s is missing there", w.ID)
		}
	}
	return nil
}

// compare compares the keys of a workspace. Both lists are in the same order.
func (p *restorePlan) compare(ctx context.Context, old store.Store, workspace string) error {
	next, stop := iter.Pull2(keysOf(ctx, p.store, workspace))
	defer stop()
	mine, err, more := next()
	for was, errOld := range keysOf(ctx, old, workspace) {
		if errOld = errors.Join(errOld, err); errOld != nil {
			return errOld
		}
		switch {
		case more && mine.ID == was.ID:
			p.compareKey(mine, was)
			mine, err, more = next()
		case slices.Contains([]store.Status{store.Revoked, store.Expired}, was.Status(p.now)): // it was issued and ended since
		default:
			p.addLost(workspace, was.Owner, was.ID, was.CreatedAt, was.Digest != nil)
		}
	}
	if more && err == nil {
		err = fmt.Errorf("is not a later state of the restored database: key %s of workspace %s is missing there", mine.ID, workspace)
	}
	return err
}

// compareKey compares a restored key with its later state.
func (p *restorePlan) compareKey(k, was *store.Key) {
	status := was.Status(p.now)
	switch {
	case k.Status(p.now) == store.Expired && was.RevokedAt.IsZero():
	case !was.RevokedAt.IsZero():
		p.addKey(k, actRevoke, "revoked "+stamp(was.RevokedAt), nil)
	case status == store.Revoked:
		p.addKey(k, actRevoke, "its grace ended "+stamp(was.GraceEndsAt), nil)
	case status == store.Expired:
		p.addKey(k, actRevoke, "expired "+stamp(was.ExpiresAt), nil)
	case k.SuspendedAt.IsZero() && !was.SuspendedAt.IsZero():
		p.addKey(k, actChange, "suspended "+stamp(was.SuspendedAt), takeOver(was))
	case differ(k, was):
		p.addKey(k, actChange, "changed "+stamp(was.UpdatedAt), takeOver(was))
	case was.RotatedTo != k.RotatedTo:
		p.addKey(k, actCheck, "rotated"+successorLost, nil)
	}
}

// differ reports whether two states of a key let different requests pass.
func differ(a, b *store.Key) bool {
	return !a.SuspendedAt.Equal(b.SuspendedAt) || !a.ExpiresAt.Equal(b.ExpiresAt) || !slices.Equal(a.Scopes, b.Scopes) ||
		!slices.Equal(a.AllowedIPs, b.AllowedIPs)
}

// takeOver returns a change to the later state of a key.
func takeOver(was *store.Key) func(k *store.Key) {
	return func(k *store.Key) {
		k.SuspendedAt, k.SuspendedReason, k.SuspendedBy = was.SuspendedAt, was.SuspendedReason, was.SuspendedBy
		k.ExpiresAt, k.Scopes, k.AllowedIPs = was.ExpiresAt, was.Scopes, was.AllowedIPs
	}
}

// keysOf yields the keys of a workspace, the newest first. After an error it ends.
func keysOf(ctx context.Context, st store.Store, workspace string) iter.Seq2[*store.Key, error] {
	return func(yield func(*store.Key, error) bool) {
		for f := (store.Filter{Limit: pageOfRestore}); ; {
			page, next, err := st.Keys(ctx, workspace, f)
			if err != nil {
				yield(nil, err)
				return
			}
			for i := range page {
				if !yield(&page[i], nil) {
					return
				}
			}
			if f.After = next; next == uuid.Nil {
				return
			}
		}
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
