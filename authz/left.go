package authz

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/internal/spans"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// Limits of what a usage report says about limits.
const (
	MaxLeft       = 3 * MaxLimits // of one key: its own, its plan's and its owner's
	MaxReportLeft = 2000          // of one report
)

// OnKey is the subject of a key's own limits.
const OnKey = "key"

// LeftSubjects are the subjects of limits that are reported for each key.
var LeftSubjects = []string{OnKey, jwks.OnPlan, jwks.OnOwner}

// left checks what a report says about limits, of which it has seen n before.
func (e *InputError) left(field string, list []store.Left, n int) {
	if len(list) > MaxLeft || n+len(list) > MaxReportLeft {
		e.Add(field, RuleTooMany, "max", min(MaxLeft, max(0, MaxReportLeft-n)))
		return
	}
	for i := range list {
		l, at := &list[i], fmt.Sprintf("%s[%d]", field, i)
		if !slices.Contains(LeftSubjects, l.On) {
			e.Add(at+".on", RuleNotOneOf, "values", "key, plan, owner")
		}
		if !limitName.MatchString(l.Name) {
			e.Add(at+".name", RuleLimitName)
		}
		e.limit(at, &l.Limit)
		if l.Remaining > l.Requests {
			e.Add(at+".remaining", RuleOutOfRange, "min", 0, "max", l.Requests)
		}
		if year := l.ResetAt.Year(); year < minYear || year > maxYear {
			e.Add(at+".reset_at", RuleYearOutOfRange, "min", minYear, "max", maxYear)
		}
	}
}

// KeyLimits are the limits of a key, as its holder sees them.
type KeyLimits struct {
	Key    store.Key
	Limits []KeyLimit
	// ReportedAt is the time of the latest report that says what is left. Zero: no report.
	ReportedAt time.Time
}

// KeyLimit is one limit of a key. Without Known, it is not known how many requests are left.
type KeyLimit struct {
	store.Left
	Known bool
}

// LimitsOfToken returns the limits of a token's key, of the key that was exchanged for an access token, or of an imported key,
// if it is valid for a client at the address `from` (zero: unknown). A token can have any prefix or none. Errors: ErrNotFound:
// no such workspace. ErrUnauthenticated: the token is not valid, or its key is suspended, revoked or expired. *BudgetError.
// ErrForbidden: the key can't be used from that address. *CrowdedError.
func (s *Service) LimitsOfToken(ctx context.Context, workspace string, token jwks.Token, from netip.Addr) (KeyLimits, error) {
	defer spans.Start(&ctx, "authz.limits_of_token", nil)()
	id, err := s.held(store.By(ctx, store.Actor{Kind: store.ActorToken, From: from.String()}), workspace, token)
	if err != nil {
		return KeyLimits{}, err
	}
	ctx = context.WithValue(ctx, accountKey{}, account{"token " + id.String(), holderBudget})
	if err := s.spend(ctx, 1); err != nil {
		return KeyLimits{}, err
	}
	var l KeyLimits
	err = s.reads.turn(ctx, workspace, func() (err error) {
		key, err := s.store.Key(ctx, workspace, id)
		if err != nil {
			return err
		}
		if status := key.Status(s.Now()); status != store.Active && status != store.Deprecated {
			return fmt.Errorf("%w: the key is %s", ErrUnauthenticated, status)
		}
		if attributes := key.Attributes(); !attributes.Allows(from) {
			return fmt.Errorf("%w: the key can't be used from this address", ErrForbidden)
		}
		l, err = s.KeyLimits(ctx, key)
		return err
	})
	return l, err
}

// held returns the id of the key whose limits LimitsOfToken returns. It checks all that can be checked without the key's record.
// Errors: those of LimitsOfToken.
func (s *Service) held(ctx context.Context, workspace string, token jwks.Token) (id uuid.UUID, err error) {
	claims, no, err := s.examine(ctx, workspace, token)
	switch {
	case err != nil:
		return id, err
	case errors.Is(no, ErrNotFound):
		return id, no
	case errors.Is(no, jwks.ErrMalformed):
		k, err := s.importedUnproved(ctx, workspace, token)
		if errors.Is(err, ErrNotFound) {
			return id, fmt.Errorf("%w: %w", ErrUnauthenticated, no)
		}
		return k.ID, err
	case no != nil:
		return id, fmt.Errorf("%w: %w", ErrUnauthenticated, no)
	case claims.HasParent() && !s.Now().Before(claims.ExpiresAt()): // the end of a key itself is in its record
		return id, fmt.Errorf("%w: %w", ErrUnauthenticated, jwks.ErrExpired)
	}
	if id, err = uuid.Parse(claims.RecordID()); err != nil {
		return id, fmt.Errorf("%w: %w", ErrUnauthenticated, err)
	}
	return id, nil
}

// KeyLimits returns the limits of a key: its own, its plan's and its owner's.
func (s *Service) KeyLimits(ctx context.Context, k store.Key) (KeyLimits, error) {
	all := KeyLimits{Key: k}
	left, at, err := s.store.LimitsLeft(ctx, k.Workspace, k.ID)
	if err != nil {
		return all, err
	}
	all.ReportedAt = at
	add := func(on string, limits []jwks.Limit) {
		for _, l := range limits {
			all.Limits = append(all.Limits, presentLeft(on, l, left, s.Now()))
		}
	}
	add(OnKey, k.Limits)
	for _, of := range [][]LimitsID{{{jwks.OnPlan, k.Plan}}, {{jwks.OnOwner, k.Owner}, {jwks.OnOwner, jwks.AnyName}}} {
		for _, id := range of {
			set, err := s.store.Limits(ctx, k.Workspace, id.On, id.Name)
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err != nil {
				return all, err
			}
			add(id.On, set.Limits)
			break
		}
	}
	return all, nil
}

// resetAt returns the time of a report at which a limit allows all of its requests again. lag is how much this server's
// clock is ahead of the reporter's. A quota ends at midnight by any clock; the time of a rate is rounded up to a second.
func resetAt(l *store.Left, lag time.Duration) time.Time {
	if l.Calendar != "" {
		return l.ResetAt.Round(24 * time.Hour)
	}
	return l.ResetAt.Add(lag + time.Second - 1).Truncate(time.Second)
}

// presentLeft returns what a limit allows now, by a report. After a change of the limit, it is not known.
func presentLeft(on string, l jwks.Limit, reported []store.Left, now time.Time) KeyLimit {
	i := slices.IndexFunc(reported, func(r store.Left) bool { return r.On == on && r.Limit == l })
	if i < 0 {
		return KeyLimit{Left: store.Left{On: on, Limit: l}}
	}
	present := reported[i]
	if !present.ResetAt.After(now) {
		present.Remaining = l.Requests
	}
	return KeyLimit{present, true}
}
