package authz

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

// MaxRevokedAtOnce bounds one RevokeMany.
const MaxRevokedAtOnce = 1000

// Selection selects the keys that match all fields that are set.
type Selection struct {
	IDs           []uuid.UUID
	Owner         string
	Scope         string
	CreatedBefore time.Time
	// UnusedFor selects keys that were created and, according to reports, last used longer ago than this
	// duration. It is at least MinUnusedFor, or 0 for any key.
	UnusedFor time.Duration
	// Except is a key that is never selected, or uuid.Nil.
	Except uuid.UUID
}

// RevokeMany revokes the selected published keys, the newest first, or with dry only returns them. If more is
// true, other keys match, too: call RevokeMany again. After a failure, it returns the keys revoked so far.
// Errors: InputError, ErrNotFound, ErrTooSlow, *UsageError.
func (s *Service) RevokeMany(ctx context.Context, workspace string, sel Selection, dry bool) (keys []store.Key, more bool, err error) {
	var bad InputError
	if len(sel.IDs) == 0 && sel.Owner == "" && sel.Scope == "" && sel.CreatedBefore.IsZero() && sel.UnusedFor == 0 {
		bad.Add("body", RuleNothingSelected)
	}
	if sel.UnusedFor != 0 && sel.UnusedFor < MinUnusedFor {
		bad.Add("unused_for", RuleTooShort, "min", words(MinUnusedFor))
	}
	if len(sel.IDs) > MaxRevokedAtOnce {
		bad.Add("ids", RuleTooMany, "max", MaxRevokedAtOnce)
	}
	if err := bad.err(); err != nil {
		return nil, false, err
	}
	line := s.removals
	if dry { // a dry run only lists keys
		line = s.reads
	}
	if keys, more, err = s.selected(ctx, line, workspace, sel); err != nil || dry {
		return keys, more, err
	}
	revoked := keys[:0]
	for _, k := range keys {
		if sel.UnusedFor > 0 {
			// The key may have been used while the keys before it were revoked.
			now, err := s.store.Key(ctx, workspace, k.ID)
			if err != nil {
				return revoked, true, err
			}
			if now.LastUsedAt.After(k.LastUsedAt) {
				continue
			}
		}
		k, err := s.Revoke(ctx, workspace, k.ID)
		if err != nil {
			return revoked, true, err
		}
		revoked = append(revoked, k)
	}
	return revoked, more, nil
}

func (s *Service) selected(ctx context.Context, line *reads, workspace string, sel Selection) (keys []store.Key, more bool, err error) {
	w, err := s.store.Workspace(ctx, workspace)
	if err != nil {
		return nil, false, err
	}
	now := s.Now()
	f := store.Filter{Owner: sel.Owner, Scope: sel.Scope, CreatedBefore: sel.CreatedBefore, Live: true, Now: now, Limit: MaxRevokedAtOnce + 2}
	if sel.UnusedFor > 0 {
		if f.UnusedSince, err = unusedSince(w.Usage, now, sel.UnusedFor); err != nil {
			return nil, false, err
		}
	}
	if len(sel.IDs) == 0 {
		keys, next, err := s.keysIn(ctx, line, workspace, f)
		keys = slices.DeleteFunc(keys, func(k store.Key) bool { return k.ID == sel.Except })
		if len(keys) > MaxRevokedAtOnce {
			return keys[:MaxRevokedAtOnce], true, err
		}
		return keys, next != uuid.Nil, err
	}
	seen, size := make(map[uuid.UUID]bool, len(sel.IDs)), 0
	for _, id := range sel.IDs {
		if seen[id] || id == sel.Except {
			continue
		}
		seen[id] = true
		if size > PageBytes {
			return keys, true, nil
		}
		k, err := s.store.Key(ctx, workspace, id)
		if err != nil {
			return nil, false, err
		}
		status := k.Status(now)
		live := status == store.Active || status == store.Deprecated
		if live && (sel.Owner == "" || k.Owner == sel.Owner) && (sel.Scope == "" || slices.Contains(k.Scopes, sel.Scope)) &&
			(sel.CreatedBefore.IsZero() || k.CreatedAt.Before(sel.CreatedBefore)) &&
			(sel.UnusedFor == 0 || k.CreatedAt.Before(f.UnusedSince) && k.LastUsedAt.Before(f.UnusedSince)) {
			keys, size = append(keys, k), size+sizeOfKey(&k)
		}
	}
	return keys, false, nil
}
