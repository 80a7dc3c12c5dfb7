package main

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, test := range []struct {
		values []time.Duration
		share  float64
		want   time.Duration
	}{
		{nil, .5, 0},
		{[]time.Duration{7}, .5, 7},
		{[]time.Duration{7}, .99, 7},
		{[]time.Duration{1, 2}, .5, 1},
		{[]time.Duration{1, 2, 3}, .5, 2},
		{hundred, 0, 1},
		{hundred, .5, 50},
		{hundred, .99, 99},
		{hundred, .991, 100},
		{hundred, 1, 100},
		{hundred[:50], .99, 50},
	} {
		if got := percentile(test.values, test.share); got != test.want {
			t.Errorf("%v of %d values is %d, want %d", test.share, len(test.values), got, test.want)
		}
	}
}

func serve(t *testing.T, h http.HandlerFunc) (addr string) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestLoadReadsEveryFormOfBody(t *testing.T) {
	big := strings.Repeat("x", 3<<20)
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/none":
		case "/short":
			_, _ = w.Write([]byte("short"))
		case "/big":
			w.Header().Set("Content-Length", strconv.Itoa(len(big)))
			_, _ = w.Write([]byte(big))
		case "/chunked":
			for range 3 {
				_, _ = w.Write([]byte(big[:100_000]))
				w.(http.Flusher).Flush()
			}
		}
	})
	for path, want := range map[string]int64{"/none": 0, "/short": 5, "/big": 3 << 20, "/chunked": 300_000} {
		l := load{addr: addr, requests: [][]byte{get(addr, path)}, connections: 3, duration: time.Minute, count: 10, want: 200}
		r, err := l.run(t.Context())
		if err != nil || len(r.latencies) != 10 || r.bytes != 10*want {
			t.Errorf("%s: %d answers of %d bytes, %v", path, len(r.latencies), r.bytes, err)
		}
	}
}

// TestLoadFails checks that a single wrong answer makes the load fail.
func TestLoadFails(t *testing.T) {
	var served atomic.Int64
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if served.Add(1) == 50 {
			if r.URL.Path == "/drop" {
				panic(http.ErrAbortHandler)
			}
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	for _, path := range []string{"/refuse", "/drop"} {
		served.Store(0)
		l := load{addr: addr, requests: [][]byte{get(addr, path)}, connections: 2, duration: time.Minute, count: 100, want: 200}
		if _, err := l.run(t.Context()); err == nil {
			t.Errorf("%s: a run with one bad answer passes", path)
		}
	}
	if _, err := (load{addr: "127.0.0.1:1", connections: 1, duration: time.Second}).run(t.Context()); err == nil {
		t.Error("a run without a server passes")
	}
	if _, err := (load{addr: addr, connections: 1, want: 200}).run(t.Context()); err == nil {
		t.Error("a run without a request passes")
	}
}

func TestLoadTakesRequestsInTurn(t *testing.T) {
	var counts [4]atomic.Int64
	addr := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		i, _ := strconv.Atoi(r.URL.Path[1:])
		counts[i].Add(1)
	})
	var requests [][]byte
	for i := range counts {
		requests = append(requests, get(addr, "/"+strconv.Itoa(i)))
	}
	if _, err := (load{
		addr: addr, requests: requests, connections: 2, duration: time.Minute, count: 40,
		want: 200,
	}).run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range counts {
		if n := counts[i].Load(); n != 10 {
			t.Errorf("request %d was sent %d times, want 10", i, n)
		}
	}
}

// TestLoadKeepsItsRate checks only an upper limit, since a slow machine sends less.
func TestLoadKeepsItsRate(t *testing.T) {
	addr := serve(t, func(http.ResponseWriter, *http.Request) {})
	l := load{addr: addr, requests: [][]byte{get(addr, "/")}, connections: 2, duration: 200 * time.Millisecond, rate: 100, want: 200}
	r, err := l.run(t.Context())
	if err != nil || len(r.latencies) > 20 {
		t.Errorf("%d requests in %s at 100 a second: %v", len(r.latencies), r.elapsed, err)
	}
}
