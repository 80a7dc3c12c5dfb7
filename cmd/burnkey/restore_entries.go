package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// audited collects what audit entries, in the order of their times, say about keys.
type audited struct {
	*restorePlan
	// ended, suspended and replaced can be undone by a later entry. replaced has lost keys whose grace ended.
	ended, suspended map[uuid.UUID]restored
	replaced         map[uuid.UUID]*restored
}

func newAudited(p *restorePlan) *audited {
	return &audited{
		restorePlan: p, ended: make(map[uuid.UUID]restored), suspended: make(map[uuid.UUID]restored),
		replaced: make(map[uuid.UUID]*restored),
	}
}

// all returns everything that is known about the keys.
func (a *audited) all() (list []restored) {
	for _, found := range a.keys {
		list = append(list, *found)
	}
	for id, found := range a.suspended {
		if known := a.keys[id]; known != nil && known.act == actCheck {
			found.why += "; " + known.why
		}
		list = append(list, found)
	}
	return slices.AppendSeq(list, maps.Values(a.ended))
}

// readEntry adds what an entry says about a key.
func (a *audited) readEntry(ctx context.Context, e *archivedEntry) error {
	if e.Key == "" || e.Result != store.ResultOK {
		return nil
	}
	id, ok := store.ParseID(e.Key)
	if !ok {
		return fmt.Errorf("invalid id of a key: %q", e.Key)
	}
	found, err := a.store.KeysAnywhere(ctx, id, jwks.KID{}, 2)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		a.readLost(id, e)
	}
	for i := range found {
		if e.Workspace == "" || e.Workspace == found[i].Workspace {
			a.readChange(&found[i], e)
		}
	}
	return nil
}

// readLost adds a key that is not in the restored database, unless it ended: an imported one must not be imported again.
func (a *audited) readLost(id uuid.UUID, e *archivedEntry) {
	switch e.Action {
	case store.ActionKeyIssue, store.ActionKeyImport:
		a.addLost(e.Workspace, e.Owner, id, e.At, e.Action == store.ActionKeyImport)
	case store.ActionKeyRevoke, store.ActionGraceEnd:
		delete(a.keys, id)
	case store.ActionKeyRotate:
		if found := a.keys[id]; found != nil && !a.graceEnded(e).IsZero() {
			a.replaced[id] = found
			delete(a.keys, id)
		}
	case store.ActionRotationUndo:
		if found := a.replaced[id]; found != nil {
			a.keys[id] = found
		}
	}
}

func (a *audited) readChange(k *store.Key, e *archivedEntry) {
	switch e.Action {
	case store.ActionKeyRevoke, store.ActionGraceEnd:
		a.addKey(k, actRevoke, "revoked "+stamp(e.At), nil)
	case store.ActionKeyRotate:
		if k.RotatedTo == uuid.Nil {
			a.readRotation(k, e)
		}
	case store.ActionRotationUndo:
		delete(a.ended, k.ID)
	case store.ActionKeyUpdate:
		if e.At.After(k.UpdatedAt) {
			a.readUpdate(k, e)
		}
	}
}

// readRotation revokes a rotated key after its grace. A key without a grace has no entry of its own about its end.
func (a *audited) readRotation(k *store.Key, e *archivedEntry) {
	if end := a.graceEnded(e); !end.IsZero() {
		if found, ok := actOn(k, actRevoke, "its grace ended "+stamp(end), nil); ok {
			a.ended[k.ID] = found
		}
		return
	}
	a.addKey(k, actCheck, "rotated "+stamp(e.At)+successorLost, nil)
}

// graceEnded returns when the grace of a rotation ended. Zero: it did not.
func (a *audited) graceEnded(e *archivedEntry) time.Time {
	var rotation struct {
		GraceEndsAt time.Time `json:"grace_ends_at"`
	}
	if json.Unmarshal(e.Detail, &rotation) != nil || rotation.GraceEndsAt.After(a.now) {
		return time.Time{}
	}
	return rotation.GraceEndsAt
}

// readUpdate adds a suspension. Other changes are only listed, for a check: not every entry has the exact values.
func (a *audited) readUpdate(k *store.Key, e *archivedEntry) {
	var changes map[string]struct{ After json.RawMessage }
	if json.Unmarshal(e.Detail, &changes) != nil {
		return
	}
	switch string(changes["enabled"].After) {
	case "false":
		if found, ok := actOn(k, actChange, "suspended "+stamp(e.At), func(k *store.Key) { k.SuspendedAt = e.At }); ok {
			a.suspended[k.ID] = found
		}
	case "true":
		delete(a.suspended, k.ID)
	}
	var fields []string
	for _, field := range []string{"allowed_ips", "expires_at", "scopes"} {
		if _, changed := changes[field]; changed {
			fields = append(fields, field)
		}
	}
	if len(fields) > 0 {
		a.addKey(k, actCheck, "changed "+stamp(e.At)+": "+strings.Join(fields, ", "), nil)
	}
}
