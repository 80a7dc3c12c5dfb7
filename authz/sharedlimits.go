package authz

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/burnkey/burnkey/internal/spans"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// Errors of calls about limits that keys share.
var (
	ErrPlanExists = fmt.Errorf("the plan: %w", ErrExists)
	ErrInUse      = store.ErrInUse // keys have the plan
	ErrInherited  = store.ErrInherited
)

// LimitsFullError means that a workspace has as many sets of limits on a subject as it can have.
type LimitsFullError struct {
	On   string
	Most int
}

func (e *LimitsFullError) Error() string {
	return fmt.Sprintf("the workspace has %d sets of limits on %s", e.Most, e.On)
}

// LimitsRequest requests limits that keys share: a plan's, or those of another subject.
type LimitsRequest struct {
	On          string // a subject of package jwks, such as jwks.OnPlan
	Name        string // of the plan, owner or route; jwks.AnyName on addresses, in total and for each owner without a set
	Description string
	Limits      []jwks.Limit
	Signed      string // the rule that new tokens contain; empty: none. Plans only
}

// CreateLimits stores new limits. When it returns nil, this server has published them. Errors: InputError,
// *BudgetError, ErrNotFound, ErrExists (of a plan ErrPlanExists), *LimitsFullError.
func (s *Service) CreateLimits(ctx context.Context, workspace string, r LimitsRequest) (store.LimitSet, error) {
	defer spans.Start(&ctx, "authz.create_limits", nil)()
	l := store.LimitSet{
		Workspace: workspace, LimitSet: jwks.LimitSet{On: r.On, Name: r.Name, Limits: slices.Clone(r.Limits)},
		Description: r.Description, Signed: r.Signed, CreatedAt: s.Now(),
	}
	if err := checkLimits(&l); err != nil {
		return store.LimitSet{}, err
	}
	if err := s.spend(ctx, changeCost); err != nil {
		return store.LimitSet{}, err
	}
	ctx, cancel := settle(ctx)
	defer cancel()
	l, err := s.store.CreateLimits(ctx, l)
	switch {
	case errors.Is(err, ErrExists) && r.On == jwks.OnPlan:
		return l, ErrPlanExists
	case errors.Is(err, ErrTooMany):
		return l, &LimitsFullError{On: r.On, Most: (&store.LimitSet{LimitSet: jwks.LimitSet{On: r.On}}).Most()}
	case err != nil:
		return l, err
	}
	return l, s.reachPresent(ctx, workspace)
}

// UpdateLimits applies change to limits within a transaction and checks the result. If nothing differs, UpdatedAt stays
// the same and no audit entry is added. When it returns nil, this server has published the change. change can be
// called more than once. Errors: InputError, *BudgetError, ErrNotFound, and those of change.
func (s *Service) UpdateLimits(ctx context.Context, workspace, on, name string, change func(*store.LimitSet) error) (
	l store.LimitSet, err error,
) {
	defer spans.Start(&ctx, "authz.update_limits", nil)()
	if err := s.spend(ctx, changeCost); err != nil {
		return store.LimitSet{}, err
	}
	ctx, cancel := settle(ctx)
	defer cancel()
	var old store.LimitSet
	l, err = s.store.UpdateLimits(ctx, workspace, on, name, func(l *store.LimitSet) error {
		old = *l
		old.Limits = slices.Clone(l.Limits)
		if err := change(l); err != nil {
			return err
		}
		if err := checkLimits(l); err != nil {
			return err
		}
		if slices.Equal(l.Limits, old.Limits) && l.Description == old.Description && l.Signed == old.Signed {
			return errUnchanged
		}
		l.UpdatedAt = s.Now()
		return nil
	})
	if errors.Is(err, errUnchanged) {
		l, err = old, nil
	}
	if err != nil {
		return l, err
	}
	return l, s.reachPresent(ctx, workspace)
}

// SetLimits stores limits, in place of earlier ones if there are any. isNew reports whether there were none.
// Errors: those of CreateLimits except ErrExists.
func (s *Service) SetLimits(ctx context.Context, workspace string, r LimitsRequest) (l store.LimitSet, isNew bool, err error) {
	for range 3 { // another call can create or delete them meanwhile
		l, err = s.UpdateLimits(ctx, workspace, r.On, r.Name, func(l *store.LimitSet) error {
			l.Limits, l.Description, l.Signed = slices.Clone(r.Limits), r.Description, r.Signed
			return nil
		})
		if !errors.Is(err, ErrNotFound) {
			return l, false, err
		}
		l, err = s.CreateLimits(ctx, workspace, r)
		if !errors.Is(err, ErrExists) {
			return l, err == nil, err
		}
	}
	return l, false, err
}

// DeleteLimits deletes limits. An environment then inherits the plan of its first workspace with the same name. When it
// returns nil, this server has published that. Errors: *BudgetError, ErrNotFound, ErrInherited, ErrInUse: a key that is
// published or suspended, also one of an environment that inherits it, has the plan.
func (s *Service) DeleteLimits(ctx context.Context, workspace, on, name string) error {
	defer spans.Start(&ctx, "authz.delete_limits", nil)()
	if err := s.spend(ctx, changeCost); err != nil {
		return err
	}
	ctx, cancel := settle(ctx)
	defer cancel()
	if err := s.store.DeleteLimits(ctx, workspace, on, name, s.Now()); err != nil {
		return err
	}
	return s.reachPresent(ctx, workspace)
}

// Limits returns limits that keys share. Errors: ErrNotFound.
func (s *Service) Limits(ctx context.Context, workspace, on, name string) (store.LimitSet, error) {
	return s.store.Limits(ctx, workspace, on, name)
}

// LimitsID identifies limits within a workspace. A list continues after one.
type LimitsID struct{ On, Name string }

// LimitSets lists up to `limit` of a workspace's limits on the subjects `on`, in this order and by name, after the limits
// `after`. Errors: ErrNotFound: no such workspace. *CrowdedError.
func (s *Service) LimitSets(ctx context.Context, workspace string, on []string, after LimitsID, limit int) (
	[]store.LimitSet, LimitsID, error,
) {
	if err := s.known(ctx, workspace); err != nil {
		return nil, LimitsID{}, err
	}
	p, err := pageOf(ctx, s.reads, workspace, after, limit, false, sizeOfLimits,
		func(ctx context.Context, after LimitsID, limit, _ int) ([]store.LimitSet, LimitsID, error) {
			if after == (LimitsID{}) {
				after.On = on[0]
			}
			list, name, err := s.store.LimitSets(ctx, workspace, after.On, after.Name, limit)
			next := LimitsID{On: after.On, Name: name}
			if name == "" {
				next = afterAll(on, after.On)
			}
			return list, next, err
		})
	return p.items, p.next, err
}

// afterAll returns where the limits on the next subject begin.
func afterAll(on []string, last string) LimitsID {
	if i := slices.Index(on, last) + 1; i > 0 && i < len(on) {
		return LimitsID{On: on[i]}
	}
	return LimitsID{}
}

func sizeOfLimits(l *store.LimitSet) int {
	return 256 + len(l.Name) + len(l.Description) + 96*len(l.Limits)
}

// reachPresent returns once this server has published the present versions of a workspace and of its environments. A
// call that changed nothing calls it, too: an earlier call may have stored the change and then failed to publish it.
func (s *Service) reachPresent(ctx context.Context, workspace string) error {
	w, err := s.store.Workspace(ctx, workspace)
	if err != nil {
		return err
	}
	environments, err := s.Environments(ctx, &w)
	if err != nil {
		return err
	}
	for _, w := range append(environments, w) {
		if err := s.publisher.Reach(ctx, w.ID, w.Version); err != nil {
			return err
		}
	}
	return nil
}

// checkLimits checks limits that keys share.
func checkLimits(l *store.LimitSet) error {
	var bad InputError
	if l.Workspace == Home { // its keys are used only here, where nothing counts their requests
		bad.Add("limits", RuleNoHomeLimits, "workspace", Home)
	}
	bad.limitsName(l.On, l.Name)
	bad.name("description", l.Description, 0)
	bad.limits("limits", l.Limits)
	if l.On != jwks.OnPlan && len(l.Limits) == 0 {
		bad.Add("limits", RuleEmpty)
	}
	if l.Signed != "" && (l.On != jwks.OnPlan || rateLimitOf(l) == nil) {
		bad.Add("signed", RuleSignedLimit)
	}
	return bad.err()
}

// limitsName checks the name of limits on a subject.
func (e *InputError) limitsName(on, name string) {
	switch {
	case on == jwks.OnPlan && !planName.MatchString(name):
		e.Add("name", RulePlanName)
	case on == jwks.OnRoute && !planName.MatchString(name):
		e.Add("name", RuleRouteName)
	case on == jwks.OnOwner && name != jwks.AnyName:
		e.owner("name", name)
	case (on == jwks.OnAddress || on == jwks.OnTotal) && name != jwks.AnyName:
		e.Add("name", RuleNameless)
	}
}

// rateLimit is the claim jwks.RateLimitClaim, in the form that Envoy reads.
type rateLimit struct {
	Requests uint32 `json:"requests_per_unit"`
	Unit     string `json:"unit"`
}

// rateLimitOf returns the claim of tokens with a plan, or nil if the plan has no signed rule.
func rateLimitOf(plan *store.LimitSet) *rateLimit {
	i := slices.IndexFunc(plan.Limits, func(l jwks.Limit) bool { return l.Name == plan.Signed })
	if plan.Signed == "" || i < 0 {
		return nil
	}
	l := plan.Limits[i]
	unit := map[uint32]string{1: "SECOND", 60: "MINUTE", 3600: "HOUR", 86400: "DAY"}[l.Seconds]
	switch l.Calendar {
	case jwks.Day:
		unit = "DAY"
	case jwks.Month:
		unit = "MONTH"
	}
	if unit == "" {
		return nil
	}
	return &rateLimit{l.Requests, unit}
}
