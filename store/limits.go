package store

import (
	"context"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// Bounds of the sets of limits that a workspace can have on a subject.
const (
	MaxPlans       = 1000
	MaxOwnerLimits = 10_000
	MaxRouteLimits = 1000
)

// LimitSet is the record of limits that keys share.
type LimitSet struct {
	Workspace string
	// LimitSet has the subject, the name and the rules. A set without rules is stored, but not published.
	jwks.LimitSet
	Description string
	// Signed is the name of the rule that new tokens contain. Empty: none.
	Signed string
	// Inherited: it is the copy of a plan of the environment's first workspace.
	Inherited bool
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Most returns how many sets a workspace can have on the subject of l.
func (l *LimitSet) Most() int {
	switch l.On {
	case jwks.OnPlan:
		return MaxPlans
	case jwks.OnOwner:
		return MaxOwnerLimits
	case jwks.OnRoute:
		return MaxRouteLimits
	default:
		return 1
	}
}

// LimitStore is the part of Store that stores limits that keys share. A change raises the workspace's version,
// once, if the published rules change, and takes no longer if many keys have the plan.
//
// Environments inherit the plans of their first workspace: the same transaction stores, changes or deletes their copies,
// with an audit entry in each workspace. An environment whose set is not a copy keeps it.
type LimitStore interface {
	// CreateLimits stores a new set. Errors, in this order: ErrNotFound: no such workspace. ErrExists: it has a
	// set with this subject and name. ErrTooMany: it has LimitSet.Most sets on the subject. Audit:
	// ActionLimitsCreate.
	CreateLimits(ctx context.Context, l LimitSet) (LimitSet, error)
	// UpdateLimits calls change with the set and stores its Limits, Description, Signed and UpdatedAt, in one
	// transaction. An error of change is returned and nothing is stored. Changes to other fields are ignored.
	// The set of an environment is then its own. Errors: ErrNotFound. Audit: ActionLimitsUpdate.
	UpdateLimits(ctx context.Context, workspace, on, name string, change func(*LimitSet) error) (LimitSet, error)
	// DeleteLimits deletes a set at the time `at`. If it is an environment's own, and the first workspace has a plan
	// with the name, a copy of that replaces it. Errors: ErrNotFound. ErrInherited. ErrInUse: a key that is published
	// or suspended, also one of an environment that inherits it, has the plan. Audit: ActionLimitsDelete, or
	// ActionLimitsUpdate for a plan that is replaced.
	DeleteLimits(ctx context.Context, workspace, on, name string, at time.Time) error
	// Limits returns one set. Errors: ErrNotFound.
	Limits(ctx context.Context, workspace, on, name string) (LimitSet, error)
	// LimitSets lists up to `limit` of a workspace's sets on a subject whose names come after the name `after`,
	// in the order of their names' bytes. The list of an unknown workspace is empty. next is the name after
	// which the next page starts, or empty at the end.
	LimitSets(ctx context.Context, workspace, on, after string, limit int) (list []LimitSet, next string, err error)
}

// LimitsCreated returns the entry of ActionLimitsCreate.
func LimitsCreated(ctx context.Context, l LimitSet) Entry {
	return limitsEntry(ctx, l, ActionLimitsCreate, l.CreatedAt, limitFields(l))
}

// LimitsUpdated returns the entry of ActionLimitsUpdate. Its detail has only the fields that differ.
func LimitsUpdated(ctx context.Context, before, after LimitSet) Entry {
	return limitsEntry(ctx, after, ActionLimitsUpdate, after.UpdatedAt, changed(limitFields(before), limitFields(after)))
}

// LimitsDeleted returns the entry of ActionLimitsDelete.
func LimitsDeleted(ctx context.Context, l LimitSet, at time.Time) Entry {
	return limitsEntry(ctx, l, ActionLimitsDelete, at, limitFields(l))
}

func limitsEntry(ctx context.Context, l LimitSet, action string, at time.Time, d detail) Entry {
	d["on"] = l.On
	if l.Name != jwks.AnyName || l.On == jwks.OnOwner {
		d["name"] = l.Name
	}
	return newEntry(ctx, l.Workspace, action, at, d)
}

func limitFields(l LimitSet) detail {
	d := detail{"limits": append([]jwks.Limit{}, l.Limits...)}
	if l.Description != "" {
		d["description"] = l.Description
	}
	if l.Signed != "" {
		d["signed"] = l.Signed
	}
	if l.Inherited {
		d["inherited"] = true
	}
	return d
}
