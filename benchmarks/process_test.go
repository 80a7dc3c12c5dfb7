package main

import (
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestUsageOfOurselves(t *testing.T) {
	if _, err := os.Stat("/proc/self/io"); err != nil {
		t.Skip("no /proc/PID/io here")
	}
	before, err := usageOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(t.TempDir()+"/x", make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	after := before
	for began := time.Now(); after.cpu <= before.cpu && time.Since(began) < time.Minute; { // burns processor time
		if after, err = usageOf(os.Getpid()); err != nil {
			t.Fatal(err)
		}
	}
	if after.called-before.called < 1<<20 || after.cpu <= before.cpu || after.peak < after.resident || after.resident < 1<<20 {
		t.Errorf("%+v, then %+v", before, after)
	}
	if _, err := usageOf(1 << 30); err == nil {
		t.Error("a process that does not exist has a usage")
	}
}

func TestProcess(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no sh")
	}
	dir := t.TempDir()
	p, err := startProcess(dir, "short", "sh", "-c", "echo it failed; exit 3")
	if err != nil {
		t.Fatal(err)
	}
	err = p.until(t.Context(), time.Minute, "it was ready", func() bool { return false })
	if err == nil || !strings.Contains(err.Error(), "it failed") {
		t.Errorf("a process that ended: %v", err)
	}
	p.stop() // again
	p, err = startProcess(dir, "long", "sh", "-c", "exec sleep 600")
	if err != nil {
		t.Fatal(err)
	}
	err = p.until(t.Context(), time.Millisecond, "it was ready", func() bool { return false })
	if err == nil || !strings.Contains(err.Error(), "not within") {
		t.Errorf("a process that is never ready: %v", err)
	}
	p.stop()
	if _, err := startProcess(dir, "none", "/nowhere/at/all"); err == nil {
		t.Error("a program that does not exist starts")
	}
	(*process)(nil).stop()
}

func TestUpstream(t *testing.T) {
	u, err := startUpstream()
	if err != nil {
		t.Fatal(err)
	}
	addr := u.Addr().String()
	r, err := load{
		addr: addr, requests: [][]byte{withToken(addr, "x")}, connections: 4, duration: time.Minute, count: 100,
		want: 200,
	}.run(t.Context())
	if err != nil || r.bytes != 300 {
		t.Errorf("%d bytes, %v", r.bytes, err)
	}
	resp, err := http.Get("http://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	u.Close() // with a connection open
	if answers(addr, withToken(addr, "x"), 200) {
		t.Error("it answers once stopped")
	}
}

// TestDecides measures a server whose decision changes.
func TestDecides(t *testing.T) {
	var statuses []int
	next := 0
	addr := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(statuses[min(next, len(statuses)-1)])
		next++
	})
	s := &side{name: "test", addr: addr}
	for _, test := range []struct {
		name     string
		statuses []int
		limit    time.Duration
		took     int
		missed   int
		want     string // in the error
	}{
		{"at once", []int{200}, time.Minute, 1, 0, ""},
		{"later", []int{401, 401, 401, 200}, time.Minute, 1, 0, ""},
		{"and back", []int{401, 200, 401}, time.Minute, 1, 0, "after a first 200"},
		{"never", []int{401}, time.Millisecond, 0, 1, ""},
		{"something else", []int{401, 503}, time.Minute, 0, 0, "answered 503"},
	} {
		statuses, next = test.statuses, 0
		p := propagation{limit: test.limit}
		err := s.decides(t.Context(), "x", 200, 401, &p)
		if len(p.took) != test.took || p.missed != test.missed || (err == nil) != (test.want == "") ||
			err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %d took, %d missed, %v", test.name, len(p.took), p.missed, err)
		}
	}
}

func TestForgeriesAreRefused(t *testing.T) {
	r := ring(t)
	good, err := r.token(0)
	if err != nil {
		t.Fatal(err)
	}
	check, err := newVerifier(r, []int{0, 1, 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := check(good); err != nil {
		t.Fatal(err)
	}
	kinds, err := forgeries(r, good)
	if err != nil || len(kinds) != 4 {
		t.Fatalf("%d kinds, %v", len(kinds), err)
	}
	for _, f := range kinds {
		if check(f.token) == nil || f.token == good {
			t.Errorf("%s: admitted", f.kind)
		}
	}
}

func TestLookForGateway(t *testing.T) {
	for _, test := range []struct {
		program, ci string
		none, fails bool
	}{{"true", "", false, false}, {"true", "true", false, false}, {"false", "", true, false}, {"false", "true", false, true}} {
		program, err := exec.LookPath(test.program)
		if err != nil {
			t.Skipf("no %s here", test.program)
		}
		t.Setenv("CI", test.ci)
		b := &bench{o: options{burnkey: program}, say: &progress{io.Discard, time.Now()}}
		err = b.lookForGateway()
		if b.o.noGateway != test.none || errors.Is(err, errNoGateway) != test.fails || len(b.results.notes) > 0 != test.none {
			t.Errorf("%s, CI=%q: %v, %v, %q", test.program, test.ci, b.o.noGateway, err, b.results.notes)
		}
	}
}
