package main

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFigures(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{figure(0), "0"},
		{figure(0.0123456), "0.0123"},
		{figure(0.5), "0.5"},
		{figure(1), "1"},
		{figure(1.149), "1.15"},
		{figure(39.96), "40"},
		{figure(123.4), "123"},
		{figure(58598.3), "58,598"},
		{figure(float64(over(1, 0))), "–"},
		{count(0), "0"},
		{count(999), "999"},
		{count(1_138_688), "1,138,688"},
		{duration(0), "–"},
		{duration(251), "251 ns"},
		{duration(35_800), "35.8 µs"},
		{duration(16 * time.Millisecond), "16 ms"},
		{duration(90 * time.Second), "90 s"},
		{size(0), "–"},
		{size(4982), "4,982 B"},
		{size(926_000), "926 kB"},
		{size(6_400_000_000), "6,400 MB"},
	} {
		if test.got != test.want {
			t.Errorf("%q, want %q", test.got, test.want)
		}
	}
}

// times returns a load result with n answers that all took the same time.
func times(took time.Duration, n int) loadResult {
	return loadResult{latencies: slices.Repeat([]time.Duration{took}, n), elapsed: took * time.Duration(n)}
}

// sample returns results that satisfy all claims.
func sample() *results {
	at := func(keys int, plain, guarded time.Duration) rung {
		memory := int64(keys) * 300
		change := changeResult{[]time.Duration{6e7}, []time.Duration{1e6}, 4000, 3000, 4096, 4096}
		return rung{
			keys: keys, cold: time.Second, server: usage{resident: 2 * memory, peak: 3 * memory}, database: 1 << 30, changes: &change,
			sides: []*sideResult{
				{
					name: stock, ready: time.Minute, one: times(plain, 10), eight: times(plain/2, 10),
					memory: map[string]usage{stockProcess: {resident: 2 * memory, peak: 9 * memory}},
					cpu:    map[string]time.Duration{stockProcess: plain}, revoke: propagation{nil, 5, time.Minute},
					issue: propagation{[]time.Duration{2e9}, 0, time.Minute},
				},
				{
					name: gateway, ready: 5 * time.Second, warm: time.Second, one: times(guarded, 1000), eight: times(guarded/2, 1000),
					first: times(2*guarded, 50), forged: []forgedResult{{"no kid", times(guarded, 20), guarded}},
					memory:    map[string]usage{gatewayProcess: {resident: memory, peak: memory}, guardProcess: {resident: 1e8, peak: 1e8}},
					afterWarm: map[string]usage{gatewayProcess: {resident: memory, peak: memory}},
					cpu:       map[string]time.Duration{guardProcess: guarded / 2, gatewayProcess: guarded / 4, self: guarded / 4},
					issue:     propagation{slices.Repeat([]time.Duration{1e6}, 300), 0, time.Minute},
					revoke:    propagation{slices.Repeat([]time.Duration{1e6}, 300), 0, time.Minute},
				},
			},
		}
	}
	small := at(changeSize, 0, 0)
	small.sides = nil
	return &results{
		ladder:  []rung{at(1, 2e5, 3e5), small, at(1_138_688, 16e6, 3e5)},
		verify:  &verifyResult{200, 30_000, 1000, 20, 1, []forgedCost{{"oversize", 300}}, 17_000},
		issuing: &issuingResult{20, 19, 400, 380, 4, times(1e6, 100), times(2e6, 100), times(1e6, 100), times(2e6, 100)},
		jwks: []servingResult{
			{"the set", smallSet, 1, 4982, times(1e5, 10), times(1e4, 10)},
			{"the set", 8192, 1, 3_700_000, times(1e6, 10), times(1e6, 10)},
			{notModifiedKind, 8192, 8, 0, times(1e6, 10), times(1e6, 10)},
		},
		exchange: &exchangeResult{4000, []*issuerResult{
			{"burnkey serve", []loadResult{times(4e5, 10), times(3e5, 10)}, time.Second, time.Duration(runtime.NumCPU()) * 7e6 / 2, 1e8},
			{"Keycloak", []loadResult{times(8e5, 10), times(9e5, 10)}, time.Second, 0, 4e8},
		}},
		notes: []string{"a note"},
	}
}

func TestClaimsHold(t *testing.T) {
	for _, c := range sample().claims() {
		if !c.holds || c.verdict() != "holds" {
			t.Errorf("%s: %s of %s: %s", c.what, c.got, c.want, c.verdict())
		}
	}
}

// TestClaimsCanFail worsens one measurement at a time.
func TestClaimsCanFail(t *testing.T) {
	top := func(r *results) *sideResult { return r.ladder[2].side(gateway) }
	for what, spoil := range map[string]func(*results){
		"median latency":                    func(r *results) { top(r).one = times(4e5, 1000) },
		"requests/s over 1 connection":      func(r *results) { top(r).one = times(5e5, 10) },
		"requests/s over 8 connections":     func(r *results) { top(r).eight = times(5e6, 10) },
		"resident memory a key at":          func(r *results) { top(r).memory[gatewayProcess] = usage{resident: 5e8, peak: 5e8} },
		"started cold":                      func(r *results) { top(r).memory[gatewayProcess] = usage{resident: 1e8, peak: 2e8} },
		"from the snapshot":                 func(r *results) { top(r).afterWarm[gatewayProcess] = usage{resident: 1e8, peak: 2e8} },
		"server: resident":                  func(r *results) { r.ladder[2].server.resident = 1e9 },
		"p99 from issue":                    func(r *results) { top(r).issue.took = slices.Repeat([]time.Duration{2e8}, 300) },
		"p99 from revocation":               func(r *results) { top(r).revoke.took = top(r).revoke.took[:299] },
		"forged token (no kid)":             func(r *results) { top(r).forged[0].loadResult = times(1e7, 20) },
		"repeated decision to the first":    func(r *results) { r.verify.repeated = 3001 },
		"allocations":                       func(r *results) { r.verify.repeatedAllocs = 2 },
		"openssl":                           func(r *results) { r.verify.openssl = 14_000 },
		"forged token (oversize)":           func(r *results) { r.verify.forged[0].took = 31_000 },
		"issuing to bare":                   func(r *results) { r.issuing.served = 15 },
		"JWKS reads":                        func(r *results) { r.issuing.setBusy = times(4e6, 100) },
		"management reads":                  func(r *results) { r.issuing.keyBusy = times(4e6, 100) },
		"the set of 8,192 keys":             func(r *results) { r.jwks[1].burnkey = times(2e6, 10) },
		"304 of 8,192 keys":                 func(r *results) { r.jwks[2].burnkey = times(2e6, 10) },
		"median time of a revocation":       func(r *results) { r.ladder[2].changes.revoke = []time.Duration{3e6} },
		"bytes a revocation writes":         func(r *results) { r.ladder[2].changes.revokeBytes = 9000 },
		"bytes a revocation puts on disk":   func(r *results) { r.ladder[2].changes.revokeDisk = 9000 },
		"median time of an issue":           func(r *results) { r.ladder[2].changes.issue = []time.Duration{3e8} },
		"bytes an issue writes at 1,138,68": func(r *results) { r.ladder[2].changes.issueBytes = 9000 },
		"access tokens a second":            func(r *results) { r.exchange.servers[0].rounds[0] = times(1e7, 10) },
	} {
		r := sample()
		spoil(r)
		var failed []string
		for _, c := range r.claims() {
			if !c.holds {
				failed = append(failed, c.what)
			}
		}
		if len(failed) == 0 || !slices.ContainsFunc(failed, func(f string) bool { return strings.Contains(f, what) }) {
			t.Errorf("%s: these fail: %q", what, failed)
		}
	}
}

func TestNothingMeasuredClaimsNothing(t *testing.T) {
	for _, c := range new(results).claims() {
		if c.verdict() != "not measured" || c.holds {
			t.Errorf("%+v", c)
		}
	}
}

func TestFiles(t *testing.T) {
	files := sample().files("About this run.\n\n", true)
	for name, words := range map[string][]string{
		"README.md":  {"| holds |", "(gateway.md)", "Note: a note", "figures mean nothing"},
		"gateway.md": {"| 1,138,688 | Envoy jwt_authn | 16 ms |", "5 within 1m0s", "burnkey gateway, from its snapshot", "processor time"},
		"verify.md":  {"| a good token, repeated | 1 µs | 0.0333 × | 1 |"},
		"issuing.md": {"| burnkey serve | 380 | 19 | 0.95 × |"},
		"jwks.md":    {"| 304 | 8,192 | – | 8 |"},
		"change.md":  {"| 1,138,688 | revocation | 1 | 1 ms |"},
		"exchange.md": {
			"| burnkey serve | 2,857 | 300 µs | 400 µs | 50 ms | 50 % | 100 MB |  |",
			"| Keycloak | 1,176 | 800 µs | 900 µs | 50 ms | 0 % | 400 MB | 2 to 3 × |",
		},
	} {
		text := files[name]
		for _, word := range append(words, "About this run.") {
			if !strings.Contains(text, word) {
				t.Errorf("%s: %q is not in\n%s", name, word, text)
			}
		}
		if !strings.HasSuffix(text, "\n") || strings.HasSuffix(text, "\n\n") || strings.Contains(text, "NaN") || strings.Contains(text, "%!") {
			t.Errorf("%s is malformed:\n%s", name, text)
		}
		sameCells(t, name, text)
	}
	if files := new(results).files("", false); len(files) != 1 {
		t.Errorf("an empty run has %d files", len(files))
	}
}

// sameCells checks that all rows of a table have as many cells as its header.
func sameCells(t *testing.T, name, text string) {
	t.Helper()
	want := 0
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "|") {
			want = 0
			continue
		}
		n := strings.Count(line, "|")
		if want == 0 {
			want = n
		}
		if n != want {
			t.Errorf("%s: a row of %d instead of %d: %s", name, n, want, line)
		}
	}
}

func TestPlots(t *testing.T) {
	dir := t.TempDir()
	if err := sample().plots(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"latency.svg", "memory.svg", "propagation.svg"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		decoder := xml.NewDecoder(strings.NewReader(string(text)))
		for err == nil {
			_, err = decoder.Token()
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", name, err)
		}
		for _, word := range []string{"<svg", "1,138,688", "gateway, ", "jwt_authn, "} {
			if !strings.Contains(string(text), word) {
				t.Errorf("%s: no %q", name, word)
			}
		}
	}
	empty := t.TempDir()
	if err := new(results).plots(empty); err != nil {
		t.Fatal(err)
	}
	if files, _ := os.ReadDir(empty); len(files) != 0 {
		t.Errorf("%d plots of nothing", len(files))
	}
	one := sample()
	one.ladder = one.ladder[:1]
	if err := one.plots(t.TempDir()); err != nil {
		t.Errorf("one size: %v", err)
	}
}

func TestReadSpeed(t *testing.T) {
	for _, test := range []struct {
		text string
		want time.Duration
	}{
		{"version: 3.0.19\n                  sign    verify    sign/s verify/s\nrsa 2048 bits 0.000563s 0.000016s   1776.2  62500.0\n", 16_000},
		{"                   sign    verify    encrypt   decrypt   sign/s verify/s  encr./s  decr./s\n" +
			"rsa  2048 bits 0.000563s 0.000020s 0.000021s 0.000600s   1776.2  50000.0  47000.0   1600.0\n", 20_000},
		{"", 0},
		{"rsa 2048 bits 0.000563s\n", 0},
	} {
		got, err := readSpeed(test.text)
		if got != test.want || (err == nil) != (test.want > 0) {
			t.Errorf("%s, %v, want %s of\n%s", got, err, test.want, test.text)
		}
	}
}

func TestMachineNamesNoHost(t *testing.T) {
	m := describe(context.Background(), options{})
	text := preface(m, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "make bench")
	if host, err := os.Hostname(); err == nil && len(host) > 3 && strings.Contains(text, host) {
		t.Errorf("the host is named: %s", text)
	}
	for _, pattern := range []string{`\d+ cores of `, `\d+ GB of memory`, "2 January 2026", "`make bench`", `Go 1\.`} {
		if !regexp.MustCompile(pattern).MatchString(text) {
			t.Errorf("no %s in: %s", pattern, text)
		}
	}
	if got := processor([]byte("model name\t: Some CPU\ncpu family\t: 6\nmodel\t\t: 85\n")); got != "Some CPU (family 6, model 85)" {
		t.Errorf("%q", got)
	}
}
