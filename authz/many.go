package authz

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

// MaxAtOnce bounds one RevokeMany or UpdateMany.
const MaxAtOnce = 1000

// Selection selects the keys that match all fields that are set.
type Selection struct {
	IDs           []uuid.UUID
	Owner         string
	Scope         string
	Plan          string
	CreatedBefore time.Time
	// UnusedFor selects keys that were created and, as far as gateways report, last used longer ago than this
	// duration. It is at least MinUnusedFor, or 0 for any key.
	UnusedFor time.Duration
	// Except is a key that is never selected, or uuid.Nil.
	Except uuid.UUID
	// After selects only keys whose ids are lower than this one: those after it in the list. uuid.Nil: all.
	After uuid.UUID
}

func (sel *Selection) check() error {
	var bad InputError
	if len(sel.IDs) == 0 && sel.Owner == "" && sel.Scope == "" && sel.Plan == "" && sel.CreatedBefore.IsZero() && sel.UnusedFor == 0 {
		bad.Add("body", RuleNothingSelected)
	}
	if sel.UnusedFor != 0 && sel.UnusedFor < MinUnusedFor {
		bad.Add("unused_for", RuleTooShort, "min", words(MinUnusedFor))
	}
	if len(sel.IDs) > MaxAtOnce {
		bad.Add("ids", RuleTooMany, "max", MaxAtOnce)
	}
	return bad.err()
}

// RevokeMany revokes the selected keys that are active, deprecated or suspended, the newest first, or with dry
// only returns them. If more is true, other keys match, too: call RevokeMany again. After a failure, it returns the
// keys revoked so far. Errors: InputError, ErrNotFound, ErrTooSlow, *UsageError.
func (s *Service) RevokeMany(ctx context.Context, workspace string, sel Selection, dry bool) (keys []store.Key, more bool, err error) {
	if err := sel.check(); err != nil {
		return nil, false, err
	}
	keys, next, err := s.selected(ctx, s.lineOf(dry), workspace, sel)
	if err != nil || dry {
		return keys, next != uuid.Nil, err
	}
	revoked, err := s.each(ctx, sel, keys, func(k *store.Key) (err error) {
		*k, err = s.Revoke(ctx, workspace, k.ID)
		return err
	})
	return revoked, next != uuid.Nil || err != nil, err
}

// UpdateMany changes the selected keys like UpdateKey, the newest first, or with dry only returns those that it
// would change. Keys that have the change already are left out. If next is not uuid.Nil, other keys match, too: call
// UpdateMany with After set to next. After a failure, it returns the keys changed so far. Errors: those of UpdateKey
// and RevokeMany.
func (s *Service) UpdateMany(ctx context.Context, workspace string, sel Selection, p KeyPatch, dry bool) (
	keys []store.Key, next uuid.UUID, err error,
) {
	c, err := p.checked()
	if err != nil {
		return nil, uuid.Nil, inChange(err)
	}
	if err := sel.check(); err != nil {
		return nil, uuid.Nil, err
	}
	w, err := s.store.Workspace(ctx, workspace)
	if err != nil {
		return nil, uuid.Nil, err
	}
	if p.Plan != nil {
		if err := s.planned(ctx, &store.Key{Workspace: workspace, Plan: *p.Plan}); err != nil {
			return nil, uuid.Nil, inChange(err)
		}
	}
	found, next, err := s.selected(ctx, s.lineOf(dry), workspace, sel)
	if err != nil {
		return nil, uuid.Nil, err
	}
	keys, err = s.each(ctx, sel, found, func(k *store.Key) error {
		preview := *k
		err := c.apply(&w, &preview, s.Now())
		if err == nil && !dry {
			*k, err = s.updateKey(ctx, workspace, k.ID, c)
		}
		if errors.Is(err, errUnchanged) || errors.Is(err, ErrNotActive) || // revoked or expired meanwhile
			k.Parent != uuid.Nil && ofParent(err) {
			return errLeftOut
		}
		return inChange(err)
	})
	return keys, next, err
}

// inChange names the fields of an InputError of a KeyPatch as members of change, since those of the selection can
// have the same names.
func inChange(err error) error {
	var bad InputError
	if !errors.As(err, &bad) {
		return err
	}
	bad = slices.Clone(bad)
	for i := range bad {
		bad[i].Field = "change." + bad[i].Field
	}
	return bad
}

// lineOf returns the queue for a search: changes must not wait for other searches, and a dry run is one.
func (s *Service) lineOf(dry bool) *reads {
	if dry {
		return s.reads
	}
	return s.removals
}

// errLeftOut is returned by the function of each for a key that it leaves out.
var errLeftOut = errors.New("this key is left out")

// each calls do, which replaces the key by the changed one, for each key, and returns the changed keys.
func (s *Service) each(ctx context.Context, sel Selection, keys []store.Key, do func(*store.Key) error) (done []store.Key, err error) {
	done = keys[:0]
	for _, k := range keys {
		if sel.UnusedFor > 0 {
			// The key may have been used while the keys before it were changed.
			now, err := s.store.Key(ctx, k.Workspace, k.ID)
			if err != nil {
				return done, err
			}
			below, err := s.usedBelow(ctx, &k, s.Now().Add(-sel.UnusedFor))
			if err != nil {
				return done, err
			}
			if below || now.LastUsedAt.After(k.LastUsedAt) || s.uses.has(&k) {
				continue
			}
		}
		err := do(&k)
		if errors.Is(err, errLeftOut) {
			continue
		}
		if err != nil {
			return done, err
		}
		done = append(done, k)
	}
	return done, nil
}

// selected returns the selected keys, the newest first, and if there are others, the last one's id.
func (s *Service) selected(ctx context.Context, line *reads, workspace string, sel Selection) (
	keys []store.Key, next uuid.UUID, err error,
) {
	w, err := s.store.Workspace(ctx, workspace)
	if err != nil {
		return nil, uuid.Nil, err
	}
	f := store.Filter{
		Owner: sel.Owner, Scope: sel.Scope, Plan: sel.Plan, CreatedBefore: sel.CreatedBefore, After: sel.After,
		Live: true, Now: s.Now(), Limit: MaxAtOnce + 2,
	}
	if sel.UnusedFor > 0 {
		if f.UnusedSince, err = unusedSince(w.Usage, f.Now, sel.UnusedFor); err == nil {
			err = s.storeUses(ctx, workspace)
		}
		if err != nil {
			return nil, uuid.Nil, err
		}
	}
	if len(sel.IDs) > 0 {
		return s.named(ctx, workspace, sel, f)
	}
	keys, next, err = s.keysIn(ctx, line, workspace, f)
	keys = slices.DeleteFunc(keys, func(k store.Key) bool { return k.ID == sel.Except })
	if len(keys) > MaxAtOnce {
		return keys[:MaxAtOnce], keys[MaxAtOnce-1].ID, err
	}
	return keys, next, err
}

// named is like selected for a selection with ids and a filter of the same conditions.
func (s *Service) named(ctx context.Context, workspace string, sel Selection, f store.Filter) (
	keys []store.Key, next uuid.UUID, err error,
) {
	ids := slices.Clone(sel.IDs)
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(b[:], a[:]) })
	size := 0
	for _, id := range slices.Compact(ids) {
		if id == sel.Except || sel.After != uuid.Nil && bytes.Compare(id[:], sel.After[:]) >= 0 {
			continue
		}
		if size > PageBytes {
			return keys, keys[len(keys)-1].ID, nil
		}
		k, err := s.store.Key(ctx, workspace, id)
		if err != nil {
			return nil, uuid.Nil, err
		}
		below := false
		if !f.UnusedSince.IsZero() {
			if below, err = s.usedBelow(ctx, &k, f.UnusedSince); err != nil {
				return nil, uuid.Nil, err
			}
		}
		if !below && matches(&k, &f) {
			keys, size = append(keys, k), size+sizeOfKey(&k)
		}
	}
	return keys, uuid.Nil, nil
}

// usedBelow reports whether a key under k was created or used since a time. It would end with k.
func (s *Service) usedBelow(ctx context.Context, k *store.Key, since time.Time) (bool, error) {
	if !k.Delegates {
		return false, nil
	}
	children, _, err := s.store.Keys(ctx, k.Workspace, store.Filter{Parent: k.ID, Live: true, Now: s.Now(), Limit: store.MaxChildren})
	return slices.ContainsFunc(children, func(child store.Key) bool {
		return !child.CreatedAt.Before(since) || !child.LastUsedAt.Before(since) || s.uses.has(&child)
	}), err
}

// matches reports whether a key matches the filter of a selection, as far as keys under it do not matter.
func matches(k *store.Key, f *store.Filter) bool {
	live := slices.Contains([]store.Status{store.Active, store.Deprecated, store.Suspended}, k.Status(f.Now))
	return live && (f.Owner == "" || k.Owner == f.Owner) && (f.Scope == "" || slices.Contains(k.Scopes, f.Scope)) &&
		(f.Plan == "" || k.Plan == f.Plan) && (f.CreatedBefore.IsZero() || k.CreatedAt.Before(f.CreatedBefore)) &&
		(f.UnusedSince.IsZero() || k.CreatedAt.Before(f.UnusedSince) && k.LastUsedAt.Before(f.UnusedSince))
}
