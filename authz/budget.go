package authz

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/burnkey/burnkey/store"
)

// Each caller may write a limited amount, since records and audit entries are kept: one unit is
// about 1 KiB. Changes that remove something, such as a revocation, are free, because they are
// bounded by what was created before. A management key does not pay for keys that it issues:
// the minter's queue bounds those.
var (
	ownerBudget    = budget{burst: 60, refill: 2 * time.Second}
	operatorBudget = budget{burst: 300, refill: time.Second}
	keyBudget      = budget{burst: 5000, refill: time.Second / 50}
)

// budget is the most units that an account holds, and how long one unit takes to come back.
type budget struct {
	burst  int
	refill time.Duration
}

// Costs of a change in units, in addition to the size of its JSON.
const (
	changeCost    = 1
	workspaceCost = 8
)

// BudgetError means that the caller has used up its budget of changes for now.
type BudgetError struct {
	After time.Duration // time until the change is possible
}

func (e *BudgetError) Error() string {
	return fmt.Sprintf("too many changes were made; try again in %s", e.After.Round(time.Second))
}

type account struct {
	name string
	budget
}

type accountKey struct{}

// ByKey returns a context whose changes are charged to a management key.
func ByKey(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, accountKey{}, account{"key " + p.KeyID.String(), keyBudget})
}

// BySession returns a context whose changes are charged to the owner of the session, shared by
// all of the owner's sessions, or to the operator.
func BySession(ctx context.Context, s *store.Session) context.Context {
	return context.WithValue(ctx, accountKey{}, accountOf(s))
}

func accountOf(s *store.Session) account {
	if s.Role == store.RoleOperator {
		return account{"operator " + s.Workspace + " " + s.Subject, operatorBudget}
	}
	return account{"owner " + s.Workspace + " " + s.Owner, ownerBudget}
}

// budgets holds the accounts of this server; every server has its own. It is safe for
// concurrent use.
type budgets struct {
	mu sync.Mutex
	// full is the time at which each account is full again (GCRA).
	full map[string]time.Time
}

// pruneAccounts is the number of accounts above which the full ones are dropped.
const pruneAccounts = 4096

// spend charges the account of a context, if it has one. Errors: *BudgetError.
func (b *budgets) spend(ctx context.Context, now time.Time, units int) error {
	who, ok := ctx.Value(accountKey{}).(account)
	if !ok {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.full == nil {
		b.full = make(map[string]time.Time)
	}
	if len(b.full) >= pruneAccounts {
		for name, full := range b.full {
			if !full.After(now) {
				delete(b.full, name)
			}
		}
	}
	full := b.full[who.name]
	if full.Before(now) {
		full = now
	}
	full = full.Add(time.Duration(min(units, who.burst)) * who.refill)
	if over := full.Sub(now) - time.Duration(who.burst)*who.refill; over > 0 {
		return &BudgetError{over}
	}
	b.full[who.name] = full
	return nil
}

func (s *Service) spend(ctx context.Context, units int) error {
	return s.budgets.spend(ctx, s.Now(), units)
}

// spendKey charges a portal session for a key that is about to be made.
func (s *Service) spendKey(ctx context.Context, k *store.Key) error {
	if who, ok := ctx.Value(accountKey{}).(account); ok && who.budget == keyBudget {
		return nil
	}
	return s.spend(ctx, changeCost+kib(k.Claims)+kib(k.Metadata))
}

func kib(text []byte) int { return len(text) / 1024 }
