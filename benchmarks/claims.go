package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// claim is a limit that Burnkey promises to keep, with the value measured in this run.
type claim struct {
	what, want string
	got        string // "" : not measured
	holds      bool
}

// propagationCount is the number of changes (keys issued and keys revoked) for which the promised propagation
// time must hold.
const propagationCount = 300

// atMost returns a claim with an upper limit, atLeast one with a lower limit.
func atMost(what string, got, limit float64, unit string) claim {
	return claim{what, fmt.Sprintf("≤ %s%s", figure(limit), unit), figure(got) + unit, got <= limit}
}

func atLeast(what string, got, limit float64, unit string) claim {
	return claim{what, fmt.Sprintf("≥ %s%s", figure(limit), unit), figure(got) + unit, got >= limit}
}

func missing(what string) []claim { return []claim{{what: what}} }

func over(a, b time.Duration) ratio { return ratio(a) / ratio(b) }

// atMostTimes returns a claim that the time `got` is at most `limit` times the time `than`.
func atMostTimes(what string, got, than time.Duration, limit float64) claim {
	return atMost(what, float64(over(got, than)), limit, " ×")
}

func median(l loadResult) time.Duration { return percentile(l.latencies, .5) }

func p99(l loadResult) time.Duration { return percentile(l.latencies, .99) }

// claims compares the measurements with the promises.
func (r *results) claims() []claim {
	return slices.Concat(r.gatewayClaims(), r.verifyClaims(), r.issuingClaims(), r.servingClaims(), r.changeClaims(), r.exchangeClaims())
}

// ends returns the rungs with the fewest and the most keys at which the side was measured.
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
		return missing("the gateway's latency, memory and propagation")
	}
	n := fmt.Sprintf(" at %s keys", count(high.keys))
	g, s := high.side(gateway), high.side(stock)
	memory, warm := g.memory[gatewayProcess], g.afterWarm[gatewayProcess]
	perKey := func(bytes int64) float64 { return float64(bytes) / float64(high.keys) }
	all := []claim{
		atMostTimes("gateway: median latency"+n+" to that at "+count(low.keys), median(g.one), median(low.side(gateway).one), 1.15),
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
			what := "gateway: median with a forged token (" + f.kind + ") to a good one's first" + n
			all = append(all, atMostTimes(what, median(f.loadResult), median(g.first), 1))
		}
	}
	return all
}

func (r *results) verifyClaims() []claim {
	v := r.verify
	if v == nil {
		return missing("the Verifier's decisions")
	}
	all := []claim{
		atMostTimes("Verifier: a repeated decision to the first", v.repeated, v.first, .1),
		atMost("Verifier: allocations of a repeated decision", float64(v.repeatedAllocs), 1, ""),
	}
	if v.openssl > 0 {
		all = append(all, atMostTimes("Verifier: the first decision to openssl's verification", v.first, v.openssl, 2))
	}
	for _, f := range v.forged {
		all = append(all, atMostTimes("Verifier: a forged token ("+f.kind+") to a good one's first", f.took, v.first, 1))
	}
	return all
}

func (r *results) issuingClaims() []claim {
	i := r.issuing
	if i == nil {
		return missing("issuing")
	}
	return []claim{
		atLeast("issuing to bare rsa.GenerateKey", i.served/i.bare, .8, " ×"),
		atMostTimes("JWKS reads' p99 while issuing to idle", p99(i.setBusy), p99(i.setIdle), 3),
		atMostTimes("management reads' p99 while issuing to idle", p99(i.keyBusy), p99(i.keyIdle), 3),
	}
}

func (r *results) servingClaims() []claim {
	var all []claim
	for _, s := range r.jwks {
		what := fmt.Sprintf("%s of %s keys over %d connections to nginx", s.kind, count(s.keys), s.connections)
		what = strings.Replace(what, " 1 connections", " 1 connection", 1)
		limit := .7
		if s.kind != notModifiedKind {
			if limit = 1; s.keys == smallSet {
				continue // measured, not promised
			}
		}
		all = append(all, atLeast("requests/s, "+what, s.burnkey.perSecond()/s.nginx.perSecond(), limit, " ×"))
	}
	if all == nil {
		return missing("serving the JWKS")
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
		return missing("the cost of a change")
	}
	n := fmt.Sprintf(" at %s keys to that at %s", count(large.keys), count(changeSize))
	a, b := small.changes, large.changes
	bytes := func(x, y int64) float64 { return float64(y) / float64(max(x, 1)) }
	return []claim{
		atMostTimes("server: median time of a revocation"+n, percentile(b.revoke, .5), percentile(a.revoke, .5), 2),
		atMost("server: bytes a revocation writes"+n, bytes(a.revokeBytes, b.revokeBytes), 2, " ×"),
		atMost("server: bytes a revocation puts on disk"+n, bytes(a.revokeDisk, b.revokeDisk), 2, " ×"),
		atMostTimes("server: median time of an issue"+n, percentile(b.issue, .5), percentile(a.issue, .5), 2),
		atMost("server: bytes an issue writes"+n, bytes(a.issueBytes, b.issueBytes), 2, " ×"),
	}
}

// verdict says in words whether the claim holds.
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

func (r *results) exchangeClaims() []claim {
	if r.exchange == nil {
		return missing("the exchange")
	}
	return []claim{atLeast("exchange: access tokens a second", r.exchange.servers[0].all().perSecond(), 2000, "")}
}
