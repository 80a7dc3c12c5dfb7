package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// pageOfRestore is the size of the pages in which restore reads lists.
const pageOfRestore = 1000

// Actions of restore.
const (
	actRevoke = "revoke"
	actChange = "change" // its attributes become what they were before the restore
	actCheck  = "check"  // nothing: the user must look
	actLost   = "lost"   // nothing: it is not in the restored database
)

// successorLost is why a rotated key must be checked.
const successorLost = ": its successor is lost, and it stays valid"

// restored is a key that is known to have changed after the backup.
type restored struct {
	child            bool // has a parent
	workspace, owner string
	id               uuid.UUID
	act, why         string
	change           func(k *store.Key) // for actChange
}

// restorePlan is what restore found out and will do.
type restorePlan struct {
	store      store.Store // the restored database
	workspaces []store.Workspace
	now        time.Time
	keys       map[uuid.UUID]*restored
}

func newRestorePlan(st store.Store, workspaces []store.Workspace, now time.Time) *restorePlan {
	return &restorePlan{store: st, workspaces: workspaces, now: now, keys: make(map[uuid.UUID]*restored)}
}

// acts has the actions in the order of their importance.
var acts = []string{actRevoke, actChange, actCheck, actLost}

// add adds what one source says about a key. If sources differ, the more important action wins.
func (p *restorePlan) add(found restored) {
	known := p.keys[found.id]
	if known == nil || slices.Index(acts, found.act) < slices.Index(acts, known.act) {
		p.keys[found.id] = &found
	}
}

// addKey adds an action for a restored key, unless it was removed before the backup.
func (p *restorePlan) addKey(k *store.Key, act, why string, change func(k *store.Key)) {
	if found, ok := actOn(k, act, why, change); ok {
		p.add(found)
	}
}

// addLost adds a key that was issued or imported after the backup.
func (p *restorePlan) addLost(workspace, owner string, id uuid.UUID, at time.Time, imported bool) {
	why := "issued " + stamp(at) + ": its token is refused"
	if imported {
		why = "imported " + stamp(at) + ": import it again"
	}
	p.add(restored{workspace: workspace, owner: owner, id: id, act: actLost, why: why})
}

// actOn returns an action for a restored key. ok is false if the key was removed before the backup.
func actOn(k *store.Key, act, why string, change func(k *store.Key)) (_ restored, ok bool) {
	return restored{workspace: k.Workspace, owner: k.Owner, id: k.ID, act: act, why: why, change: change, child: k.Parent != uuid.Nil},
		k.RevokedAt.IsZero() && k.Removed() == 0
}

func (p *restorePlan) count(act string) (n int) {
	for _, k := range p.keys {
		if k.act == act {
			n++
		}
	}
	return n
}

// sorted returns the keys by action; for each action, management keys come first, and parents before the keys under them.
func (p *restorePlan) sorted() []*restored {
	list := make([]*restored, 0, len(p.keys))
	for _, k := range p.keys {
		list = append(list, k)
	}
	slices.SortFunc(list, func(a, b *restored) int {
		for _, c := range []int{
			slices.Index(acts, a.act) - slices.Index(acts, b.act), first(b) - first(a), child(a) - child(b),
			strings.Compare(a.workspace, b.workspace), slices.Compare(a.id[:], b.id[:]),
		} {
			if c != 0 {
				return c
			}
		}
		return 0
	})
	return list
}

// first is 1 for a management key.
func first(k *restored) int {
	if k.workspace == authz.Home {
		return 1
	}
	return 0
}

// child is 1 for a key that has a parent.
func child(k *restored) int {
	if k.child {
		return 1
	}
	return 0
}

func (p *restorePlan) rows() [][]string {
	rows := [][]string{{"ACTION", "WORKSPACE", "KEY", "OWNER", "WHY"}}
	for _, k := range p.sorted() {
		rows = append(rows, []string{k.act, cmp.Or(k.workspace, "-"), k.id.String(), k.owner, k.why})
	}
	return rows
}

// latestEntry returns the time of the latest audit entry.
func (p *restorePlan) latestEntry(ctx context.Context) (latest time.Time, err error) {
	for _, w := range p.workspaces {
		page, _, err := p.store.Audit(ctx, w.ID, store.AuditFilter{Limit: 1})
		if err != nil {
			return latest, err
		}
		if len(page) > 0 && page[0].At.After(latest) {
			latest = page[0].At
		}
	}
	return latest, nil
}

// repair revokes and changes the keys.
func (p *restorePlan) repair(ctx context.Context, progress io.Writer) error {
	todo := slices.DeleteFunc(p.sorted(), func(k *restored) bool { return k.act != actRevoke && k.act != actChange })
	for i, k := range todo {
		var err error
		if k.act == actRevoke {
			_, err = p.store.Revoke(ctx, k.workspace, k.id, p.now)
		} else {
			_, err = p.store.UpdateKey(ctx, k.workspace, k.id, func(_ *store.Workspace, stored *store.Key) error {
				k.change(stored)
				stored.UpdatedAt = p.now
				return nil
			})
			if errors.Is(err, store.ErrBeyondParent) { // a change of its parent is lost
				_, err = p.store.Revoke(ctx, k.workspace, k.id, p.now)
			}
		}
		if err != nil && !errors.Is(err, store.ErrNotActive) { // it has expired
			return fmt.Errorf("%s key %s of %s: %w; repeat the command", k.act, k.id, k.workspace, err)
		}
		if done := i + 1; done%pageOfRestore == 0 {
			fmt.Fprintf(progress, "%d of %d keys are done.\n", done, len(todo))
		}
	}
	return nil
}
