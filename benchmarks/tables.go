package main

import (
	"fmt"
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
		t.add(at.keys, s.name, s.one.latencies, s.one.perSecond(), s.eight.latencies, s.eight.perSecond())
	})
	return t
}

func (r *results) cpuTable() *table {
	t := &table{
		title: "Processor time a request", note: "Over 1 connection, of each process.",
		head: []string{"keys", "", "Envoy", "gateway", "load generator and API"},
	}
	r.eachSide(func(at rung, s *sideResult) {
		envoy := s.cpu[stockProcess] + s.cpu[guardProcess] // a side has one of them
		t.add(at.keys, s.name, envoy, s.cpu[gatewayProcess], s.cpu[self])
	})
	return t
}

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
			t.add(keys, name, u.resident, u.resident/int64(keys), u.peak, ratio(u.peak)/ratio(u.resident))
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
	row := func(at rung, s *sideResult, change string, p propagation) {
		missed := "0"
		if p.missed > 0 {
			missed = fmt.Sprintf("%d within %s", p.missed, p.limit)
		}
		t.add(at.keys, s.name, change, len(p.took), p.took, percentile(p.took, 1), missed)
	}
	r.eachSide(func(at rung, s *sideResult) {
		row(at, s, "issue to 200", s.issue)
		row(at, s, "revocation to 401", s.revoke)
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
		plain, guarded := at.side(stock), at.side(gateway)
		if plain == nil {
			plain = new(sideResult)
		}
		if guarded == nil {
			guarded = new(sideResult)
		}
		t.add(at.keys, plain.ready, guarded.ready, guarded.warm, at.cold, at.database)
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
			t.add(at.keys, s.name, "good, first time", s.first.latencies, s.firstCPU)
		}
		for _, f := range s.forged {
			t.add(at.keys, s.name, f.kind, f.latencies, f.cpu)
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
	t.add("a good token, first", v.first, over(v.first, v.first), fmt.Sprint(v.firstAllocs))
	t.add("a good token, repeated", v.repeated, over(v.repeated, v.first), fmt.Sprint(v.repeatedAllocs))
	for _, f := range v.forged {
		t.add("forged: "+f.kind, f.took, over(f.took, v.first), "")
	}
	if v.openssl > 0 {
		t.add("`openssl speed rsa2048`, verify", v.openssl, over(v.openssl, v.first), "")
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
	t.add("rsa.GenerateKey(2048)", i.bareKeys, i.bare, ratio(1))
	t.add("burnkey serve", i.servedKeys, i.served, ratio(i.served/i.bare))
	return t
}

func (r *results) readsTable() *table {
	i := r.issuing
	t := &table{
		title: "Reads meanwhile", note: fmt.Sprintf("%d a second of each kind. The set has %s keys and more.", readRate, count(changeSize)),
		head: []string{"", "reads", "median", "p99", "p99 to idle"},
	}
	row := func(name string, l, idle loadResult) {
		t.add(name, len(l.latencies), l.latencies, over(percentile(l.latencies, .99), percentile(idle.latencies, .99)))
	}
	row("JWKS, idle", i.setIdle, i.setIdle)
	row("JWKS, while issuing", i.setBusy, i.setIdle)
	row("management, one key, idle", i.keyIdle, i.keyIdle)
	row("management, one key, while issuing", i.keyBusy, i.keyIdle)
	return t
}

func (r *results) servingTable() *table {
	t := &table{
		title: "burnkey serve and nginx",
		note:  "nginx serves the same bytes from a file in the system's cache, with sendfile and without a log; in turns.",
		head:  []string{"", "keys", "body", "connections", "burnkey/s", "p99", "nginx/s", "p99", "burnkey to nginx"},
	}
	for _, s := range r.jwks {
		own, other := s.burnkey.perSecond(), s.nginx.perSecond()
		t.add(s.kind, s.keys, s.size, s.connections, own, percentile(s.burnkey.latencies, .99), other, percentile(s.nginx.latencies, .99),
			ratio(own/other))
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
			t.add(at.keys, "revocation", len(c.revoke), c.revoke, c.revokeBytes, c.revokeDisk)
			t.add(at.keys, "issue", len(c.issue), c.issue, c.issueBytes, c.issueDisk)
		}
	}
	return t
}

func (r *results) exchangeTable() *table {
	x := r.exchange
	t := &table{
		title: "Access tokens a second",
		note: fmt.Sprintf("RS256 with 2048 bits, by client_credentials over %d connections that stay open. After a warm-up, %d turns of each "+
			"server, which run all the time; the last column is burnkey's rate divided by this server's, in the turns with the lowest and the "+
			"highest ratio. Processor time is that of all the server's processes. Other processes: their share of the machine "+
			"meanwhile.\n\nBurnkey has %d clients and SQLite on the "+
			"disk; for each token it verifies the client's key and reads its record. The others have one client and a database in memory. "+
			"Keycloak keeps the secret in plain text, and stores no token. Hydra hashes the secret (here by 1 iteration of PBKDF2, by "+
			"default 25,000), and stores each token; its key would have 4096 bits by default.",
			exchangeCallers, exchangeRounds, exchangeKeys),
		head: []string{"", "tokens/s", "median", "p99", "processor time a token", "other processes", "resident", "burnkey ÷ this"},
	}
	t.add("crypto/rsa alone, the signature on all cores", x.bare, "", "", "", "", "", "")
	for _, s := range x.servers {
		all := s.all()
		t.add(s.name, all.perSecond(), all.latencies, s.cpu/time.Duration(len(all.latencies)), s.busy(), s.resident, x.servers[0].to(s))
	}
	return t
}
