package main

import (
	"fmt"
	"slices"
	"time"
)

// eachSide calls f for every side of every rung.
func (r *results) eachSide(f func(at rung, s *sideResult)) {
	for _, at := range r.ladder {
		for _, s := range at.sides {
			f(at, s)
		}
	}
}

func (r *results) latencyTable() *table {
	t := &table{
		title: "Latency and throughput",
		note: "Tokens of up to 1,000 keys, spread over the set, in turn; both sides loaded in turns. " +
			"Each connection sends its next request when the last is answered.",
		head: []string{"keys", "", "median, 1 connection", "p99", "requests/s", "median, 8 connections", "p99", "requests/s"},
	}
	r.eachSide(func(at rung, s *sideResult) {
		row := []string{count(at.keys), s.name}
		for _, l := range []loadResult{s.one, s.eight} {
			row = append(row, duration(percentile(l.latencies, .5)), duration(percentile(l.latencies, .99)), figure(l.perSecond()))
		}
		t.add(row...)
	})
	return t
}

func (r *results) cpuTable() *table {
	t := &table{
		title: "Processor time a request", note: "Over 1 connection, of each process.",
		head: []string{"keys", "", "Envoy", "gateway", "load generator and API"},
	}
	r.eachSide(func(at rung, s *sideResult) {
		t.add(count(at.keys), s.name, duration(s.envoyCPU()), duration(s.cpu[gatewayProcess]), duration(s.cpu[self]))
	})
	return t
}

func (s *sideResult) envoyCPU() time.Duration {
	return s.cpu[stockProcess] + s.cpu[guardProcess] // a side has one of them
}

// envoyMemory and envoyCPU find a side's Envoy.
func (s *sideResult) envoyMemory() usage {
	if u, ok := s.memory[stockProcess]; ok {
		return u
	}
	return s.memory[guardProcess]
}

func (r *results) memoryTable() *table {
	t := &table{
		title: "Memory",
		note:  "Resident (VmRSS) after the load, and the peak until then (VmHWM).",
		head:  []string{"keys", "", "resident", "a key", "peak", "peak to resident"},
	}
	row := func(keys int, name string, u usage) {
		if u.resident > 0 {
			t.add(count(keys), name, size(u.resident), size(u.resident/int64(keys)), size(u.peak), figure(float64(u.peak)/float64(u.resident))+" ×")
		}
	}
	for _, at := range r.ladder {
		for _, s := range at.sides {
			row(at.keys, s.name+": Envoy", s.envoyMemory())
			row(at.keys, "burnkey gateway, started cold", s.memory[gatewayProcess])
			row(at.keys, "burnkey gateway, from its snapshot", s.afterWarm[gatewayProcess])
		}
		row(at.keys, "burnkey serve", at.server)
	}
	return t
}

func (r *results) propagationTable() *table {
	t := &table{
		title: "From a change's answer to the first decision by it",
		note: fmt.Sprintf("At Envoy, on a separate connection, under a load of %d requests/s. Stock Envoy fetches the set every second, "+
			"its shortest interval. Each decision is repeated %d times and must not change.", backgroundRate, settled),
		head: []string{"keys", "", "change", "number", "median", "p99", "longest", "not in time"},
	}
	r.eachSide(func(at rung, s *sideResult) {
		for _, p := range []struct {
			name string
			propagation
		}{{"issue to 200", s.issue}, {"revocation to 401", s.revoke}} {
			missed := "0"
			if p.missed > 0 {
				missed = fmt.Sprintf("%d within %s", p.missed, p.limit)
			}
			t.add(count(at.keys), s.name, p.name, count(len(p.took)), duration(percentile(p.took, .5)),
				duration(percentile(p.took, .99)), duration(percentile(p.took, 1)), missed)
		}
	})
	return t
}

func (r *results) readyTable() *table {
	t := &table{
		title: "Time to ready",
		note:  "For a gateway: from its start to the first token admitted at Envoy. For the server: from its start to /readyz.",
		head:  []string{"keys", "Envoy jwt_authn", "gateway, cold", "gateway, from its snapshot", "server, cold", "database"},
	}
	for _, at := range r.ladder {
		var plain, cold, warm time.Duration
		if s := at.side(stock); s != nil {
			plain = s.ready
		}
		if g := at.side(gateway); g != nil {
			cold, warm = g.ready, g.warm
		}
		t.add(count(at.keys), duration(plain), duration(cold), duration(warm), duration(at.cold), size(at.database))
	}
	return t
}

func (r *results) forgedTable() *table {
	t := &table{
		title: "Tokens never seen before, and forged ones",
		note: "Over 1 connection. The filter in both configurations that looks at a token's shape keeps those without a kid from both: " +
			"without it one of them would hold a worker of stock Envoy for half a minute at a million keys.",
		head: []string{"keys", "", "token", "median", "p99", "processor time"},
	}
	r.eachSide(func(at rung, s *sideResult) {
		if len(s.first.latencies) > 0 {
			t.add(count(at.keys), s.name, "good, first time", duration(percentile(s.first.latencies, .5)),
				duration(percentile(s.first.latencies, .99)), duration(s.firstCPU))
		}
		for _, f := range s.forged {
			t.add(count(at.keys), s.name, f.kind, duration(percentile(f.latencies, .5)), duration(percentile(f.latencies, .99)), duration(f.cpu))
		}
	})
	return t
}

func (r *results) verifyTable() *table {
	v := r.verify
	t := &table{
		title: "One decision",
		note: fmt.Sprintf("In the Verifier, in one process on one processor, with tokens of %s keys; the better of two runs, "+
			"before and after openssl's.", count(v.keys)),
		head: []string{"", "time", "to the first", "allocations"},
	}
	share := func(d time.Duration) string { return figure(over(d, v.first)) + " ×" }
	t.add("a good token, first", duration(v.first), share(v.first), fmt.Sprint(v.firstAllocs))
	t.add("a good token, repeated", duration(v.repeated), share(v.repeated), fmt.Sprint(v.repeatedAllocs))
	for _, f := range v.forged {
		t.add("forged: "+f.kind, duration(f.took), share(f.took), "")
	}
	if v.openssl > 0 {
		t.add("`openssl speed rsa2048`, verify", duration(v.openssl), share(v.openssl), "")
	}
	return t
}

func (r *results) issuingTable() *table {
	i := r.issuing
	t := &table{
		title: "Keys a second",
		note:  fmt.Sprintf("In turns on all cores; %d clients request keys from the server over HTTP while others read from it.", i.clients),
		head:  []string{"", "keys", "keys/s", "to bare"},
	}
	t.add("rsa.GenerateKey(2048)", count(i.bareKeys), figure(i.bare), "1 ×")
	t.add("burnkey serve", count(i.servedKeys), figure(i.served), figure(i.served/i.bare)+" ×")
	return t
}

func (r *results) readsTable() *table {
	i := r.issuing
	t := &table{
		title: "Reads meanwhile", note: fmt.Sprintf("%d a second of each kind. The set has %s keys and more.", readRate, count(changeSize)),
		head: []string{"", "reads", "median", "p99", "p99 to idle"},
	}
	for _, p := range []struct {
		name       string
		idle, busy loadResult
	}{{"JWKS", i.setIdle, i.setBusy}, {"management, one key", i.keyIdle, i.keyBusy}} {
		idle := percentile(p.idle.latencies, .99)
		for _, l := range []struct {
			when string
			loadResult
		}{{"idle", p.idle}, {"while issuing", p.busy}} {
			p99 := percentile(l.latencies, .99)
			t.add(p.name+", "+l.when, count(len(l.latencies)), duration(percentile(l.latencies, .5)), duration(p99), figure(over(p99, idle))+" ×")
		}
	}
	return t
}

func (r *results) servingTable() *table {
	t := &table{
		title: "burnkey serve and nginx",
		note:  "nginx serves the same bytes from a file in the system's cache, with sendfile and without a log; in turns.",
		head:  []string{"", "keys", "body", "connections", "burnkey/s", "p99", "nginx/s", "p99", "burnkey to nginx"},
	}
	for _, s := range r.jwks {
		t.add(s.kind, count(s.keys), size(s.size), fmt.Sprint(s.connections),
			figure(s.burnkey.perSecond()), duration(percentile(s.burnkey.latencies, .99)),
			figure(s.nginx.perSecond()), duration(percentile(s.nginx.latencies, .99)),
			figure(s.burnkey.perSecond()/s.nginx.perSecond())+" ×")
	}
	return t
}

func (r *results) changeTable() *table {
	t := &table{
		title: "One change as the set grows",
		note: "Through the HTTP API, one after the other, on SQLite on the disk. An issue includes the generation of its key, " +
			"whose time varies by chance. Written: the bytes that the server passed to write calls, " +
			"including answers and log; on disk: those that the system wrote.",
		head: []string{"keys", "change", "number", "median", "p99", "written", "on disk"},
	}
	for _, at := range r.ladder {
		if c := at.changes; c != nil {
			row := func(name string, took []time.Duration, called, disk int64) {
				t.add(count(at.keys), name, count(len(took)), duration(percentile(took, .5)), duration(percentile(took, .99)), size(called), size(disk))
			}
			row("revocation", c.revoke, c.revokeBytes, c.revokeDisk)
			row("issue", c.issue, c.issueBytes, c.issueDisk)
		}
	}
	return t
}

// medians returns a value of a side by the number of keys, where it is known.
func (r *results) series(name string, value func(rung, *sideResult) float64) (keys []int, values []float64) {
	for _, at := range r.ladder {
		s := at.side(name)
		if s == nil {
			continue
		}
		if v := value(at, s); v > 0 {
			keys, values = append(keys, at.keys), append(values, v)
		}
	}
	return slices.Clip(keys), values
}
