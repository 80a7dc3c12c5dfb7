package jwks_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
)

// origin is a server for Followers: the real publish.Handler and publish.Stream. A hook can answer requests
// in their place.
type origin struct {
	*httptest.Server
	tb     testing.TB
	index  *publish.Index
	sets   publish.Handler
	stream *publish.Stream

	mu      sync.Mutex
	log     []Change // after the first set
	first   uint64
	hook    func(w http.ResponseWriter, r *http.Request) bool
	asked   map[string]int // requests by the last part of their path
	notMod  int
	closing chan struct{}
	conns   map[net.Conn]bool
}

func newOrigin(tb testing.TB, set *publish.Set) *origin {
	tb.Helper()
	o := &origin{
		tb: tb, index: publish.NewIndex(set), first: set.Version(), asked: make(map[string]int),
		closing: make(chan struct{}), conns: make(map[net.Conn]bool),
	}
	o.sets.Set = func(*http.Request) (*publish.Set, bool) { return o.index.Set(), true }
	stream := publish.NewStream(func(*http.Request) (*publish.Index, bool) { return o.index, true }, o.readLog)
	stream.Heartbeat, stream.Closing = 50*time.Millisecond, o.closing
	o.stream = stream
	mux := http.NewServeMux()
	mux.Handle("/acme/.well-known/jwks.json", &o.sets)
	mux.Handle("/acme/changes", stream)
	o.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		hook := o.hook
		o.asked[r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]]++
		if r.Header.Get("If-None-Match") != "" {
			o.notMod++
		}
		o.mu.Unlock()
		if hook == nil || !hook(w, r) {
			mux.ServeHTTP(w, r)
		}
	}))
	o.Config.ConnState = func(c net.Conn, state http.ConnState) {
		o.mu.Lock()
		defer o.mu.Unlock()
		if state == http.StateNew {
			o.conns[c] = true
		} else if state == http.StateClosed || state == http.StateHijacked {
			delete(o.conns, c)
		}
	}
	o.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	o.Start()
	tb.Cleanup(o.stop)
	return o
}

func (o *origin) stop() {
	o.mu.Lock()
	select {
	case <-o.closing:
	default:
		close(o.closing)
	}
	o.mu.Unlock()
	o.Close()
}

func (o *origin) readLog(_ *http.Request, after uint64, limit int) ([]Change, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if after < o.first || after > o.first+uint64(len(o.log)) {
		return nil, publish.ErrTooOld
	}
	from := int(after - o.first)
	return o.log[from:min(from+limit, len(o.log))], nil
}

func (o *origin) change(add []Key, remove ...KID) {
	o.tb.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	c := Change{Version: o.index.Set().Version() + 1, Add: add, Remove: remove}
	o.log = append(o.log, c)
	if err := o.index.Apply(c); err != nil {
		o.tb.Fatal(err)
	}
}

// reset replaces the set by a set of another history.
func (o *origin) reset(set *publish.Set) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.first, o.log = set.Version(), nil
	o.index.Swap(o.index.Set(), set)
}

func (o *origin) setHook(hook func(w http.ResponseWriter, r *http.Request) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hook = hook
}

func (o *origin) count(what string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	if what == "conditional" {
		return o.notMod
	}
	return o.asked[what]
}

// cut resets all existing TCP connections.
func (o *origin) cut() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for c := range o.conns {
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
}

func isStream(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/changes") }

// hooks for one of the two calls.
func onStream(h http.HandlerFunc) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if isStream(r) {
			h(w, r)
		}
		return isStream(r)
	}
}

// onStreamTurns passes every other request for a stream to the handler `other`, beginning with the first.
func onStreamTurns(o *origin, turn *int, other http.Handler) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !isStream(r) {
			return false
		}
		o.mu.Lock()
		*turn++
		elsewhere := *turn%2 == 1
		o.mu.Unlock()
		if elsewhere {
			other.ServeHTTP(w, r)
		}
		return elsewhere
	}
}

func onSet(h http.HandlerFunc) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !isStream(r) {
			h(w, r)
		}
		return !isStream(r)
	}
}

func newTestFollower(tb testing.TB, url, file string) *Follower {
	tb.Helper()
	f, err := NewFollower(FollowerOptions{URL: url + "/acme", StateFile: file, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	f.SetTestLimits()
	return f
}

// runFollower runs f until stop is called or the test ends.
func runFollower(tb testing.TB, f *Follower) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				tb.Errorf("Run: %v", err)
			}
		case <-time.After(20 * time.Second):
			tb.Error("Run does not end")
		}
	})
	tb.Cleanup(stop)
	return stop
}

func follow(tb testing.TB, o *origin) *Follower {
	tb.Helper()
	f := newTestFollower(tb, o.URL, "")
	runFollower(tb, f)
	return f
}

// wantSame waits until the Follower f shows the set that the origin o publishes.
func wantSame(tb testing.TB, f *Follower, o *origin) {
	tb.Helper()
	Poll(tb, func() bool {
		have, want := setOf(tb, f), o.index.Set()
		return have != nil && have.Version() == want.Version() && bytes.Equal(plainBytes(tb, have), plainBytes(tb, want))
	})
}

// setOf returns the current set of f, or nil before the first set.
func setOf(tb testing.TB, f *Follower) *publish.Set {
	tb.Helper()
	version, keys, count := f.Keys()
	if version == 0 {
		return nil
	}
	if len(keys) != count {
		tb.Fatalf("%d keys in a snapshot of %d", len(keys), count)
	}
	return buildSet(tb, version, keys...)
}

func buildSet(tb testing.TB, version uint64, keys ...Key) *publish.Set {
	tb.Helper()
	var b publish.Builder
	for _, key := range keys {
		if err := b.Add(key, Attributes{}); err != nil {
			tb.Fatal(err)
		}
	}
	set, err := b.Set(version)
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

func plainBytes(tb testing.TB, set *publish.Set) []byte {
	tb.Helper()
	var buf bytes.Buffer
	if _, err := set.WriteTo(&buf); err != nil {
		tb.Fatal(err)
	}
	return buf.Bytes()
}

func gzipBytes(tb testing.TB, set *publish.Set) []byte {
	tb.Helper()
	var buf bytes.Buffer
	if err := set.WriteGzip(&buf); err != nil {
		tb.Fatal(err)
	}
	return buf.Bytes()
}
