package gateway

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/burnkey/burnkey/gateway/limits"
	"github.com/burnkey/burnkey/jwks"
)

// quotasFile in StateDir stores the counts of quotas.
const quotasFile = "quotas"

// limiting is the part of a Gateway that holds limits.
type limiting struct {
	local    *limits.Local
	counter  limits.Counter // local, or one that shares its counts with other gateways
	policies policies
	counts   sync.Pool // of *count
}

// A count is the memory of one decision about limits.
type count struct {
	rules  []limits.Rule
	states []limits.State
	names  []string
}

// newLimiting must be called once this Gateway has locked StateDir.
func (g *Gateway) newLimiting() (err error) {
	g.local, err = limits.NewLocal(limits.LocalOptions{
		Entries: g.o.LimitEntries, Share: g.o.LimitShare, File: g.stateFile(quotasFile), Log: g.o.Log, Now: g.o.Now,
	})
	g.counter = g.local
	if err == nil && g.o.Counter != nil {
		g.counter, err = g.o.Counter(g.local)
	}
	g.counts.New = func() any { return new(count) }
	return err
}

// A limited is what the limits of a request depend on.
type limited struct {
	now                 time.Time
	keyID, owner, route string
	address             netip.Addr
	attributes          *jwks.Attributes
}

// keysWithLimits are the keys of a workspace and the limits that they share.
type keysWithLimits interface {
	LimitSet(on, name string) []jwks.Limit
	Attributes(kid jwks.KID) (jwks.Attributes, bool)
}

var _ keysWithLimits = (*jwks.Follower)(nil)

// rules appends the rules for a request to dst.
func (t *tenant) rules(dst []limits.Rule, l *limited) []limits.Rule {
	shared := t.verifier.Keys.(keysWithLimits).LimitSet
	add := func(on, name string, rules []jwks.Limit) {
		for i := range rules {
			dst = append(dst, limits.Rule{Workspace: t.id, On: on, Name: name, Limit: rules[i]})
		}
	}
	add(limits.OnKey, l.keyID, l.attributes.Limits)
	if l.attributes.Plan != "" {
		add(jwks.OnPlan, l.keyID, shared(jwks.OnPlan, l.attributes.Plan))
	}
	owner := shared(jwks.OnOwner, l.owner)
	if owner == nil {
		owner = shared(jwks.OnOwner, jwks.AnyName)
	}
	add(jwks.OnOwner, l.owner, owner)
	if l.route != "" {
		add(jwks.OnRoute, l.route, shared(jwks.OnRoute, l.route))
	}
	before := len(dst)
	add(jwks.OnAddress, "", shared(jwks.OnAddress, jwks.AnyName))
	for i := before; i < len(dst); i++ {
		dst[i].Address = limits.Network(l.address)
	}
	add(jwks.OnTotal, "", shared(jwks.OnTotal, jwks.AnyName))
	return dst
}

// limit counts n requests with all rules that apply to them. If one refuses them, it returns a refusal. The headers
// are those of the answer in both cases.
func (g *Gateway) limit(ctx context.Context, t *tenant, l *limited, n uint32) (headers []Header, violated []string, no *jwks.Refusal) {
	c := g.counts.Get().(*count)
	defer c.release(&g.counts)
	c.rules = t.rules(c.rules[:0], l)
	if len(c.rules) == 0 {
		return nil, nil, nil
	}
	if len(c.rules) > limits.MaxRules { // a server that checks its rules has fewer
		return nil, nil, jwks.Uncounted
	}
	for len(c.states) < len(c.rules) {
		c.states = append(c.states, limits.State{})
	}
	ok, err := g.counter.Take(ctx, l.now, n, c.rules, c.states)
	if err != nil {
		return nil, nil, jwks.Uncounted
	}
	if !ok {
		no = jwks.OverLimit
	}
	headers, violated = g.limitHeaders(c, l.now)
	return headers, violated, no
}

// release makes the memory available again, without the texts of this decision.
func (c *count) release(to *sync.Pool) {
	clear(c.rules)
	clear(c.names)
	to.Put(c)
}
