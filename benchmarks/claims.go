package main

import (
	"fmt"
	"time"
)

// claim is one ratio that Burnkey promises, as this run found it.
type claim struct {
	what, want string
	got        string // "" : not measured
	holds      bool
}

// propagationCount is how many issues and revocations the promise is about.
const propagationCount = 300

// atMost is a claim about a number with a limit above, and atLeast one below.
func atMost(what string, got, limit float64, unit string) claim {
	return claim{what, fmt.Sprintf("≤ %s%s", figure(limit), unit), figure(got) + unit, got <= limit}
}

func atLeast(what string, got, limit float64, unit string) claim {
	return claim{what, fmt.Sprintf("≥ %s%s", figure(limit), unit), figure(got) + unit, got >= limit}
}

func missing(what string) claim { return claim{what: what} }

func over(a, b time.Duration) float64 { return float64(a) / float64(b) }

// claims compares what was measured with what was promised.
func (r *results) claims() []claim {
	var all []claim
	all = append(all, r.gatewayClaims()...)
	all = append(all, r.verifyClaims()...)
	all = append(all, r.issuingClaims()...)
	all = append(all, r.servingClaims()...)
	return append(all, r.changeClaims()...)
}

// ends returns the lowest and the highest rung with the side measured.
func (r *results) ends(name string) (low, high *rung) {
	for i := range r.ladder {
		if r.ladder[i].side(name) == nil {
			continue
		}
		if low == nil {
			low = &r.ladder[i]
		}
		high = &r.ladder[i]
	}
	return low, high
}

func (r *results) gatewayClaims() []claim {
	low, high := r.ends(gateway)
	if high == nil || low == high {
		return []claim{missing("the gateway's latency, memory and propagation")}
	}
	n := fmt.Sprintf(" at %s keys", count(high.keys))
	g, s := high.side(gateway), high.side(stock)
	memory, warm := g.memory[gatewayProcess], g.afterWarm[gatewayProcess]
	perKey := func(bytes int64) float64 { return float64(bytes) / float64(high.keys) }
	all := []claim{
		atMost("gateway: median latency"+n+" to that at "+count(low.keys),
			over(percentile(g.one.latencies, .5), percentile(low.side(gateway).one.latencies, .5)), 1.15, " ×"),
		atLeast("gateway: requests/s over 1 connection"+n+" to stock Envoy's", g.one.perSecond()/s.one.perSecond(), 40, " ×"),
		atLeast("gateway: requests/s over 8 connections"+n+" to stock Envoy's", g.eight.perSecond()/s.eight.perSecond(), 40, " ×"),
		atMost("gateway: resident memory a key"+n, perKey(memory.resident), 390, " B"),
		atMost("gateway: peak memory to resident, started cold"+n, float64(memory.peak)/float64(memory.resident), 1.5, " ×"),
		atMost("gateway: peak memory to resident, from the snapshot"+n, float64(warm.peak)/float64(warm.resident), 1.5, " ×"),
		atMost("server: resident memory a key"+n, perKey(high.server.resident), 800, " B"),
	}
	for _, p := range []struct {
		what string
		propagation
	}{{"issue", g.issue}, {"revocation", g.revoke}} {
		c := atMost("gateway: p99 from "+p.what+" to decision"+n, milliseconds(percentile(p.took, .99)), 100, " ms")
		c.want += fmt.Sprintf(" over ≥ %d", propagationCount)
		c.got += fmt.Sprintf(" over %d", len(p.took))
		c.holds = c.holds && len(p.took) >= propagationCount
		all = append(all, c)
	}
	if len(g.first.latencies) > 0 {
		for _, f := range g.forged {
			all = append(all, atMost("gateway: median with a forged token ("+f.kind+") to a good one's first"+n,
				over(percentile(f.latencies, .5), percentile(g.first.latencies, .5)), 1, " ×"))
		}
	}
	return all
}

func (r *results) verifyClaims() []claim {
	v := r.verify
	if v == nil {
		return []claim{missing("the Verifier's decisions")}
	}
	allocs := atMost("Verifier: allocations of a repeated decision", float64(v.repeatedAllocs), 1, "")
	all := []claim{
		atMost("Verifier: a repeated decision to the first", over(v.repeated, v.first), .1, " ×"), allocs,
	}
	if v.openssl > 0 {
		all = append(all, atMost("Verifier: the first decision to openssl's verification", over(v.first, v.openssl), 2, " ×"))
	}
	for _, f := range v.forged {
		all = append(all, atMost("Verifier: a forged token ("+f.kind+") to a good one's first", over(f.took, v.first), 1, " ×"))
	}
	return all
}

func (r *results) issuingClaims() []claim {
	i := r.issuing
	if i == nil {
		return []claim{missing("issuing")}
	}
	p99 := func(l loadResult) time.Duration { return percentile(l.latencies, .99) }
	return []claim{
		atLeast("issuing to bare rsa.GenerateKey", i.served/i.bare, .8, " ×"),
		atMost("JWKS reads' p99 while issuing to idle", over(p99(i.setBusy), p99(i.setIdle)), 3, " ×"),
		atMost("management reads' p99 while issuing to idle", over(p99(i.keyBusy), p99(i.keyIdle)), 3, " ×"),
	}
}

func (r *results) servingClaims() []claim {
	var all []claim
	for _, s := range r.jwks {
		what := fmt.Sprintf("%s of %s keys over %s to nginx", s.kind, count(s.keys), connections(s.connections))
		limit := .7
		if s.kind != notModifiedKind {
			if limit = 1; s.keys == smallSet {
				continue // measured, not promised
			}
		}
		all = append(all, atLeast("requests/s, "+what, s.burnkey.perSecond()/s.nginx.perSecond(), limit, " ×"))
	}
	if all == nil {
		return []claim{missing("serving the JWKS")}
	}
	return all
}

func (r *results) changeClaims() []claim {
	var small, large *rung
	for i := range r.ladder {
		switch at := &r.ladder[i]; {
		case at.changes == nil:
		case at.keys == changeSize:
			small = at
		default:
			large = at
		}
	}
	if small == nil || large == nil {
		return []claim{missing("the cost of a change")}
	}
	n := fmt.Sprintf(" at %s keys to that at %s", count(large.keys), count(changeSize))
	a, b := small.changes, large.changes
	bytes := func(x, y int64) float64 { return float64(y) / float64(max(x, 1)) }
	return []claim{
		atMost("server: median time of a revocation"+n, over(percentile(b.revoke, .5), percentile(a.revoke, .5)), 2, " ×"),
		atMost("server: bytes a revocation writes"+n, bytes(a.revokeBytes, b.revokeBytes), 2, " ×"),
		atMost("server: bytes a revocation puts on disk"+n, bytes(a.revokeDisk, b.revokeDisk), 2, " ×"),
		atMost("server: median time of an issue"+n, over(percentile(b.issue, .5), percentile(a.issue, .5)), 2, " ×"),
		atMost("server: bytes an issue writes"+n, bytes(a.issueBytes, b.issueBytes), 2, " ×"),
	}
}

// verdict of a claim in a table.
func (c claim) verdict() string {
	switch {
	case c.got == "":
		return "not measured"
	case c.holds:
		return "holds"
	default:
		return "**does not hold**"
	}
}
