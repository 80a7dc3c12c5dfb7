package authz

import (
	"context"
	"fmt"
	"time"

	"github.com/burnkey/burnkey/internal/pace"
	"github.com/burnkey/burnkey/store"
)

// The budgets limit how much each caller can write, since records and audit entries are kept; a unit is about 1
// KiB. The holder of a token only reads: a unit is one call. Changes that remove something, such as a revocation, are
// free: their number is limited by what was created before. A management key does not pay for keys that it issues: the
// minter's queue limits those.
var (
	ownerBudget    = pace.Rate{Burst: 60, Refill: 2 * time.Second}
	operatorBudget = pace.Rate{Burst: 300, Refill: time.Second}
	keyBudget      = pace.Rate{Burst: 5000, Refill: time.Second / 50}
	holderBudget   = pace.Rate{Burst: 60, Refill: time.Second}
)

// Costs of a change in units, added to the size of its JSON.
const (
	changeCost    = 1
	workspaceCost = 8
)

// BudgetError means that the caller has used up its budget for now.
type BudgetError struct {
	After time.Duration // time until the call is possible
}

func (e *BudgetError) Error() string {
	return fmt.Sprintf("too many changes were made; try again in %s", e.After.Round(time.Second))
}

type account struct {
	name   string
	budget pace.Rate
}

type accountKey struct{}

// ByKey returns a context whose changes are charged to the budget of a management key.
func ByKey(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, accountKey{}, account{"key " + p.KeyID.String(), keyBudget})
}

// BySession returns a context whose changes are charged to the budget of the session's owner, shared by all of
// the owner's sessions, or of the operator.
func BySession(ctx context.Context, s *store.Session) context.Context {
	return context.WithValue(ctx, accountKey{}, accountOf(s))
}

func accountOf(s *store.Session) account {
	if s.Role == store.RoleOperator {
		return account{"operator " + s.Workspace + " " + s.Subject, operatorBudget}
	}
	return account{"owner " + s.Workspace + " " + s.Owner, ownerBudget}
}

// spend charges the budget of a context, if it has one. Every server counts separately. Errors: *BudgetError.
func (s *Service) spend(ctx context.Context, units int) error {
	who, ok := ctx.Value(accountKey{}).(account)
	if !ok {
		return nil
	}
	if wait, ok := s.budgets.Take(who.name, who.budget, units, 0, s.Now()); !ok {
		return &BudgetError{wait}
	}
	return nil
}

// spendKey charges the budget of a portal session for a key before it is made.
func (s *Service) spendKey(ctx context.Context, k *store.Key) error {
	if who, ok := ctx.Value(accountKey{}).(account); ok && who.budget == keyBudget {
		return nil
	}
	return s.spend(ctx, changeCost+kib(k.Claims)+kib(k.Metadata))
}

func kib(text []byte) int { return len(text) / 1024 }
