package rows

import (
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

const (
	selectChildren = `SELECT ` + UsedKeyColumns + ` FROM keys WHERE workspace = $1 AND parent = $2 AND ` + Published + ` ORDER BY id`
	countChildren  = `SELECT count(*) FROM keys WHERE workspace = $1 AND parent = $2 AND ` + Published
	selectParent   = `SELECT ` + UsedKeyColumns + ` FROM keys WHERE workspace = $1 AND id = $2`
	// setParent comes after the insertion of a key, and setDelegates before.
	setParent    = `UPDATE keys SET parent = $3 WHERE workspace = $1 AND id = $2`
	setDelegates = `UPDATE keys SET delegates = true WHERE workspace = $1 AND id = $2`
	moveChildren = `UPDATE keys SET parent = $3 WHERE workspace = $1 AND parent = $2 AND ` + Published
)

// Parents changes parents and children in a transaction that has locked their workspace.
type Parents struct{ Locked }

// Children returns the published and suspended keys under a key.
func (p Parents) Children(parent *store.Key) ([]store.Key, error) {
	if !parent.Delegates {
		return nil, nil
	}
	list, err := collect(p.Query, p.UsedKey, selectChildren, parent.Workspace, p.ID(parent.ID))
	for i := range list {
		list[i].Workspace = parent.Workspace
	}
	return list, err
}

// Parent returns the parent of a child.
func (p Parents) Parent(child *store.Key) (store.Key, error) {
	parent := store.Key{Workspace: child.Workspace}
	err := NotFound(p.Row(p.UsedKey(&parent), selectParent, child.Workspace, p.ID(child.Parent)))
	return parent, err
}

// Adopt checks a new key that has a parent, and marks the parent.
func (p Parents) Adopt(k *store.Key) error {
	parent, err := p.Parent(k)
	if errors.Is(err, store.ErrNotFound) {
		return store.ErrNoParent
	}
	if err != nil {
		return err
	}
	var children int
	if err := p.Row([]any{&children}, countChildren, k.Workspace, p.ID(parent.ID)); err != nil {
		return err
	}
	if err := k.CheckParent(&parent, children); err != nil {
		return err
	}
	return p.Exec(setDelegates, k.Workspace, p.ID(parent.ID))
}

// SetParent stores the parent of a new key.
func (p Parents) SetParent(k *store.Key) error {
	return p.Exec(setParent, k.Workspace, p.ID(k.ID), p.ID(k.Parent))
}

// Move puts the children of one key under another, which narrows them.
func (p Parents) Move(from, to *store.Key, at time.Time) error {
	children, err := p.Children(from)
	if err != nil || !from.Delegates {
		return err
	}
	if err := p.Exec(moveChildren, from.Workspace, p.ID(from.ID), p.ID(to.ID)); err != nil {
		return err
	}
	return p.follow(children, to, at)
}

// Follow changes the children of a key that changes.
func (p Parents) Follow(parent *store.Key) error {
	children, err := p.Children(parent)
	if err != nil {
		return err
	}
	return p.follow(children, parent, parent.UpdatedAt)
}

func (p Parents) follow(children []store.Key, parent *store.Key, at time.Time) error {
	for _, child := range children {
		if status := child.Status(at); status == store.Revoked || status == store.Expired { // it is due
			continue
		}
		after, _, err := ChangedKey(p.Workspace, child, func(_ *store.Workspace, k *store.Key) error {
			store.Follow(k, *parent, at)
			return nil
		})
		if err != nil {
			return err
		}
		if sameAttributes(child, after) {
			continue
		}
		if err := p.Update(child, after); err != nil {
			return err
		}
	}
	return nil
}

// Mark marks a key that gets the children of another.
func (p Parents) Mark(k *store.Key) error {
	k.Delegates = true
	return p.Exec(setDelegates, k.Workspace, p.ID(k.ID))
}

// Changing returns a change that keeps a key within its parent, if it has one.
func (p Parents) Changing(k *store.Key, change func(*store.Workspace, *store.Key) error) (
	func(*store.Workspace, *store.Key) error, error,
) {
	if k.Parent == uuid.Nil {
		return change, nil
	}
	parent, err := p.Parent(k)
	return store.UnderParent(parent, change), err
}
