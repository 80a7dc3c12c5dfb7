package gateway

import (
	"context"
	"time"

	"github.com/burnkey/burnkey/client"
	"github.com/burnkey/burnkey/gateway/limits"
	"github.com/burnkey/burnkey/jwks"
)

const (
	maxLeft       = 24 // limits of one key in a report
	maxReportLeft = 2000
	leftTimeout   = 2 * time.Second // to read the counts of one report, which can be in Redis
)

// holderOf returns the holder of a key that has limits of its own, a plan or limits of its owner; otherwise nil.
func (t *tenant) holderOf(claims *jwks.Claims) *holder {
	shared, a := t.verifier.Keys.(keysWithLimits).LimitSet, &claims.Attributes
	if a.Plan == "" && len(a.Limits) == 0 && shared(jwks.OnOwner, claims.Subject) == nil && shared(jwks.OnOwner, jwks.AnyName) == nil {
		return nil
	}
	return &holder{claims.RecordID(), claims.Subject}
}

// left returns what the limits of the keys in a report allow, and whether it knows that of any key. Without an entry,
// the server keeps what was reported before.
func (g *Gateway) left(ctx context.Context, t *tenant, some []use) (all [][]client.LeftLimit, has bool) {
	ctx, cancel := context.WithTimeout(ctx, leftTimeout)
	defer cancel()
	all = make([][]client.LeftLimit, len(some))
	for i, n := 0, 0; i < len(some); i++ {
		if some[i].by == nil {
			continue
		}
		left, err := g.leftOf(ctx, t, &some[i])
		if err != nil {
			break // the counts are not available
		}
		if n += len(left); n > maxReportLeft {
			break
		}
		all[i], has = left, has || len(left) > 0
	}
	return all, has
}

// leftOf reads what the limits of a key, its plan and its owner allow, and counts nothing.
func (g *Gateway) leftOf(ctx context.Context, t *tenant, u *use) (left []client.LeftLimit, err error) {
	a, isPublished := t.verifier.Keys.(keysWithLimits).Attributes(u.kid)
	if !isPublished {
		return nil, nil
	}
	var rules []limits.Rule
	for _, rule := range t.rules(nil, &limited{keyID: u.by.keyID, owner: u.by.owner, attributes: &a}) {
		if rule.On != jwks.OnAddress && rule.On != jwks.OnTotal && len(rules) < maxLeft {
			rules = append(rules, rule)
		}
	}
	if len(rules) == 0 {
		return nil, nil
	}
	now, states := g.o.Now(), make([]limits.State, len(rules))
	if _, err := g.counter.Take(ctx, now, 0, rules, states); err != nil {
		return nil, err
	}
	for i := range rules {
		left = append(left, client.LeftLimit{
			On: rules[i].On, Limit: rules[i].Limit, ResetAt: now.Add(states[i].Reset).UTC(),
			Remaining: min(states[i].Remaining, rules[i].Limit.Requests),
		})
	}
	return left, nil
}
