package rows

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

const (
	// SelectShared selects the sets of limits that are published, for Shared.
	SelectShared = `SELECT subject, name, limits FROM limit_sets WHERE workspace = $1 AND limits <> '[]' ORDER BY subject, name`

	limitColumns = `workspace, subject, name, limits, description, signed, created_at, updated_at, inherited`
	// SelectLimits selects a set of limits.
	SelectLimits = `SELECT ` + limitColumns + ` FROM limit_sets WHERE workspace = $1 AND subject = $2 AND name = $3`
	// ListLimits selects a page of sets.
	ListLimits = `SELECT ` + limitColumns + ` FROM limit_sets WHERE workspace = $1 AND subject = $2 AND name > $3 ORDER BY name LIMIT $4`
	// CountLimits counts sets up to a limit.
	CountLimits  = `SELECT count(*) FROM (SELECT 1 FROM limit_sets WHERE workspace = $1 AND subject = $2 LIMIT $3) AS sets`
	insertLimits = `INSERT INTO limit_sets (` + limitColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`
	updateLimits = `UPDATE limit_sets SET limits = $4, description = $5, signed = $6, updated_at = $7, inherited = $8
		WHERE workspace = $1 AND subject = $2 AND name = $3`
	deleteLimits = `DELETE FROM limit_sets WHERE workspace = $1 AND subject = $2 AND name = $3`
	// SelectPlan finds a plan.
	SelectPlan = `SELECT 1 FROM limit_sets WHERE workspace = $1 AND subject = '` + jwks.OnPlan + `' AND name = $2`
	// SelectUse finds a key that has a plan.
	SelectUse = `SELECT 1 FROM keys WHERE workspace = $1 AND plan = $2 AND ` + Published + ` LIMIT 1`
)

// Shared returns the destinations of SelectShared.
func Shared(s *jwks.LimitSet) []any { return []any{&s.On, &s.Name, rules(&s.Limits)} }

func limitSet(l *store.LimitSet) []any {
	return []any{
		&l.Workspace, &l.On, &l.Name, rules(&l.Limits), &l.Description, &l.Signed, Time(&l.CreatedAt), Time(&l.UpdatedAt),
		flag(&l.Inherited),
	}
}

func rules(limits *[]jwks.Limit) Column {
	return func(value any) error {
		if err := object(limits, "a list of rules")(value); err != nil {
			return err
		}
		return jwks.CheckLimits(*limits)
	}
}

// Locked is a transaction that has locked a workspace.
type Locked struct {
	*Dialect
	Workspace store.Workspace
	// Environments are those of Workspace, which are locked, too, if the change is one of limits.
	Environments []Locked
	// Row scans the only row of a query.
	Row   func(into []any, query string, args ...any) error
	Exec  func(query string, args ...any) error
	Query Query
	// Publish raises the version with a change of limits.
	Publish func(jwks.Unsigned) error
	Record  func(store.Entry) error
	// Key reads a key, and locks it.
	Key func(uuid.UUID) (store.Key, error)
	// Update stores a key that ChangedKey returned, publishes what has changed and adds the audit entry.
	Update func(before, after store.Key) error
}

// HasPlan returns store.ErrNoPlan if a plan is missing. An empty name means no plan.
func (c Locked) HasPlan(workspace, plan string) error {
	if plan == "" {
		return nil
	}
	has, err := c.finds(SelectPlan, workspace, plan)
	if err == nil && !has {
		err = store.ErrNoPlan
	}
	return err
}

// finds reports whether a query finds a row.
func (c Locked) finds(query string, args ...any) (bool, error) {
	var one int
	err := NotFound(c.Row([]any{&one}, query, args...))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (c Locked) limits(workspace, on, name string) (l store.LimitSet, err error) {
	err = NotFound(c.Row(limitSet(&l), SelectLimits, workspace, on, name))
	return l, err
}

// NewLimits returns a new set of limits in the form in which the store will return it.
func NewLimits(l store.LimitSet) (store.LimitSet, error) {
	l.UpdatedAt = l.CreatedAt
	return storedLimits(l)
}

func storedLimits(l store.LimitSet) (store.LimitSet, error) {
	l.CreatedAt, l.UpdatedAt = Cut(l.CreatedAt), Cut(l.UpdatedAt)
	l.Limits = append([]jwks.Limit{}, l.Limits...)
	if l.Name == "" || !storable(l.Name, l.Description, l.Signed) {
		return l, fmt.Errorf("limits: the name %q is empty, or a text is not UTF-8 or has NUL", l.Name)
	}
	return l, errors.Join(l.Check(), checkRules(l.Limits))
}

// CreateLimits implements store.Store.CreateLimits for a set that NewLimits returned.
func (c Locked) CreateLimits(ctx context.Context, l store.LimitSet) error {
	switch _, err := c.limits(l.Workspace, l.On, l.Name); {
	case err == nil:
		return store.ErrExists
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	n := 0
	if err := c.Row([]any{&n}, CountLimits, l.Workspace, l.On, l.Most()); err != nil {
		return err
	}
	if n >= l.Most() {
		return store.ErrTooMany
	}
	l.Inherited = false
	if err := c.insert(ctx, l); err != nil {
		return err
	}
	return c.pass(ctx, l)
}

func (c Locked) insert(ctx context.Context, l store.LimitSet) error {
	err := c.Exec(insertLimits, l.Workspace, l.On, l.Name, encode(l.Limits, false), l.Description, l.Signed,
		Micros(l.CreatedAt), Micros(l.UpdatedAt), OrNull(l.Inherited))
	if err != nil {
		return err
	}
	return c.published(l.LimitSet, nil, store.LimitsCreated(ctx, l))
}

func (c Locked) replace(ctx context.Context, before, l store.LimitSet) error {
	err := c.Exec(updateLimits, l.Workspace, l.On, l.Name, encode(l.Limits, false), l.Description, l.Signed,
		Micros(l.UpdatedAt), OrNull(l.Inherited))
	if err != nil {
		return err
	}
	return c.published(l.LimitSet, before.Limits, store.LimitsUpdated(ctx, before, l))
}

// UpdateLimits implements store.Store.UpdateLimits.
func (c Locked) UpdateLimits(ctx context.Context, workspace, on, name string, change func(*store.LimitSet) error) (store.LimitSet, error) {
	before, err := c.limits(workspace, on, name)
	if err != nil {
		return before, err
	}
	changed := before
	changed.Limits = slices.Clone(before.Limits)
	if err := change(&changed); err != nil {
		return before, err
	}
	l := before
	l.Limits, l.Description, l.Signed, l.UpdatedAt = changed.Limits, changed.Description, changed.Signed, changed.UpdatedAt
	l.Inherited = false
	if l, err = storedLimits(l); err != nil {
		return l, err
	}
	if err = c.replace(ctx, before, l); err != nil {
		return l, err
	}
	return l, c.pass(ctx, l)
}

// DeleteLimits implements store.Store.DeleteLimits.
func (c Locked) DeleteLimits(ctx context.Context, workspace, on, name string, at time.Time) error {
	l, err := c.limits(workspace, on, name)
	if err != nil {
		return err
	}
	if l.Inherited {
		return store.ErrInherited
	}
	if is, err := c.inheritAgain(ctx, l, at); is || err != nil {
		return err
	}
	if err := c.drop(ctx, l, at); err != nil {
		return err
	}
	return c.dropCopies(ctx, l, at)
}

// drop deletes limits.
func (c Locked) drop(ctx context.Context, l store.LimitSet, at time.Time) error {
	if l.On == jwks.OnPlan {
		switch used, err := c.finds(SelectUse, l.Workspace, l.Name); {
		case err != nil:
			return err
		case used:
			return store.ErrInUse
		}
	}
	if err := c.Exec(deleteLimits, l.Workspace, l.On, l.Name); err != nil {
		return err
	}
	entry := store.LimitsDeleted(ctx, l, at)
	before := l.Limits
	l.Limits = []jwks.Limit{}
	return c.published(l.LimitSet, before, entry)
}

// published publishes a set if its rules differ from those `before`, and adds the audit entry.
func (c Locked) published(set jwks.LimitSet, before []jwks.Limit, e store.Entry) error {
	if !slices.Equal(set.Limits, before) {
		if err := c.Publish(jwks.Unsigned{Limits: []jwks.LimitSet{set}}); err != nil {
			return err
		}
	}
	return c.Record(e)
}

// LimitSets implements store.Store.LimitSets.
func LimitSets(q Query, workspace, on, after string, limit int) (list []store.LimitSet, next string, err error) {
	if limit < 1 {
		return nil, "", ErrLimit
	}
	if !storable(workspace, on, after) {
		return []store.LimitSet{}, "", nil
	}
	list, err = collect(q, limitSet, ListLimits, workspace, on, after, limit+1)
	if len(list) > limit {
		list = list[:limit]
		next = list[limit-1].Name
	}
	return list, next, err
}

// Limits implements store.Store.Limits.
func Limits(q Query, workspace, on, name string) (store.LimitSet, error) {
	if !storable(workspace, on, name) {
		return store.LimitSet{}, store.ErrNotFound
	}
	list, err := collect(q, limitSet, SelectLimits, workspace, on, name)
	if err == nil && len(list) == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.LimitSet{}, err
	}
	return list[0], nil
}
