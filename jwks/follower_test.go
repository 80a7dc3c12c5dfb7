package jwks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// origin is a server to follow: the real Handler and Stream, before which a hook
// can answer in its own way.
type origin struct {
	*httptest.Server
	tb    testing.TB
	index *Index
	sets  Handler

	mu      sync.Mutex
	log     []Change // of the versions behind the first set's
	first   uint64
	hook    func(w http.ResponseWriter, r *http.Request) bool
	asked   map[string]int // requests by the last part of their path
	notMod  int
	closing chan struct{}
	conns   map[net.Conn]bool
}

func newOrigin(tb testing.TB, set *Set) *origin {
	tb.Helper()
	o := &origin{
		tb: tb, index: NewIndex(set), first: set.version, asked: make(map[string]int),
		closing: make(chan struct{}), conns: make(map[net.Conn]bool),
	}
	o.sets.Set = func(*http.Request) (*Set, bool) { return o.index.Set(), true }
	stream := NewStream(func(*http.Request) (*Index, bool) { return o.index, true }, o.readLog)
	stream.Heartbeat, stream.Closing = 50*time.Millisecond, o.closing
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
		return nil, ErrTooOld
	}
	from := int(after - o.first)
	return o.log[from:min(from+limit, len(o.log))], nil
}

func (o *origin) change(add []Key, remove ...KID) {
	o.tb.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	c := Change{Version: o.index.Set().version + 1, Add: add, Remove: remove}
	o.log = append(o.log, c)
	if err := o.index.Apply(c); err != nil {
		o.tb.Fatal(err)
	}
}

// reset shows another history.
func (o *origin) reset(set *Set) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.first, o.log = set.version, nil
	o.index.Reset(set)
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

// cut closes the connections there are, with a reset.
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

func onSet(h http.HandlerFunc) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !isStream(r) {
			h(w, r)
		}
		return !isStream(r)
	}
}

var quickLimits = followLimits{
	head: 200 * time.Millisecond, first: 200 * time.Millisecond, silence: 300 * time.Millisecond, stall: 200 * time.Millisecond,
	healthy: 100 * time.Millisecond, again: 300 * time.Millisecond, older: 20 * time.Millisecond,
	retryFirst: 4 * time.Millisecond, retryMax: 20 * time.Millisecond, retryAfter: 50 * time.Millisecond,
}

func newTestFollower(tb testing.TB, url, file string) *Follower {
	tb.Helper()
	f, err := NewFollower(FollowerOptions{URL: url + "/acme", StateFile: file, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	f.limits, f.pollEvery = quickLimits, 20*time.Millisecond
	if f.journal != nil {
		f.journal.times = journalTimes{sync: time.Millisecond, stamp: time.Millisecond, retry: time.Millisecond}
		f.journal.retryAt = time.Time{}
	}
	return f
}

// runFollower runs f until the returned function is called, or the test ends.
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

// wantSame waits until f shows what o publishes.
func wantSame(tb testing.TB, f *Follower, o *origin) {
	tb.Helper()
	poll(tb, func() bool {
		have, want := f.Set(), o.index.Set()
		return have != nil && have.version == want.version && bytes.Equal(plainBytes(tb, have), plainBytes(tb, want))
	})
}

func TestFollower(t *testing.T) {
	keys := testKeys(t, 50, 300)
	o := newOrigin(t, buildSet(t, 7, keys[:2]...))
	f := newTestFollower(t, o.URL, "")
	if _, ok := f.Lookup(keys[0].kid); ok || f.Set() != nil || f.Index() != nil || f.Version() != 0 || f.Age() != math.MaxInt64 {
		t.Error("a Follower has a set before it has any")
	}
	if err := f.Usable(0); !errors.Is(err, ErrNotReady) {
		t.Error(err)
	}
	stop := runFollower(t, f)
	<-f.Ready()
	wantSame(t, f, o)
	poll(t, func() bool { return f.Status().Streaming })
	for i := 2; i < len(keys); i++ {
		o.change(keys[i:i+1], keys[i-2].kid)
	}
	wantSame(t, f, o)
	if key, ok := f.Lookup(keys[299].kid); !ok || key != keys[299] {
		t.Error("the last key is not there")
	}
	if _, ok := f.Lookup(keys[0].kid); ok {
		t.Error("the first key is still there")
	}
	o.cut()
	o.change(keys[:1])
	wantSame(t, f, o)
	if s := f.Status(); s.Version != 306 || s.Keys != 3 || s.Err != nil || s.Age > time.Minute || f.Usable(time.Minute) != nil {
		t.Errorf("%+v", s)
	}
	if n := o.count("jwks.json") - o.count("conditional"); n != 1 {
		t.Errorf("the set was fetched %d times: a cut stream goes on where it was", n)
	}
	stop()
	if err := f.Run(t.Context()); err == nil {
		t.Error("it runs twice")
	}
}

func TestFollowerResets(t *testing.T) {
	keys := testKeys(t, 51, 10)
	o := newOrigin(t, buildSet(t, 7, keys[:2]...))
	f := follow(t, o)
	wantSame(t, f, o)
	poll(t, func() bool { return f.Status().Streaming })
	for _, version := range []uint64{9, 9, 3} { // later, the same with other keys, earlier
		o.reset(buildSet(t, version, keys[int(version)%5:]...))
		wantSame(t, f, o)
		o.change(testKeys(t, 100+version, 1))
		wantSame(t, f, o)
		o.reset(buildSet(t, version+1, keys[:3]...))
		wantSame(t, f, o)
	}
}

// Whatever a stream brings that does not fit, the set is right in the end.
func TestFollowerOnBadStreams(t *testing.T) {
	keys := testKeys(t, 52, 10)
	event := func(id, name, data string) string {
		return fmt.Sprintf("id: %s\nevent: %s\ndata: %s\n\n", id, name, data)
	}
	change := func(c Change) string {
		text, err := c.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	good := change(Change{Version: 8, Add: keys[2:3]})
	for name, sent := range map[string]string{
		"gap":                 event("9", "change", change(Change{Version: 9, Add: keys[3:4]})),
		"published already":   event("8", "change", change(Change{Version: 8, Add: keys[:1]})),
		"not published":       event("8", "change", change(Change{Version: 8, Remove: []KID{keys[5].kid}})),
		"no JSON":             event("8", "change", good[1:]),
		"another id":          event("9", "change", good),
		"bad key":             event("8", "change", strings.Replace(good, "AQAB", "Aw", 1)),
		"torn in an event":    event("8", "change", good)[:200],
		"torn behind data":    strings.TrimSuffix(event("8", "change", good), "\n"),
		"old, unknown, reset": event("7", "change", change(Change{Version: 7})) + event("1", "news", "x") + event("", "reset", "x"),
		"too long":            "data: " + strings.Repeat("x", maxMessage+1),
		"nothing":             "",
		"a comment":           ": age=5\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrigin(t, buildSet(t, 7, keys[:2]...))
			bad := 0
			o.setHook(onStream(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", StreamType)
				fmt.Fprint(w, sent)
				o.mu.Lock()
				defer o.mu.Unlock()
				if bad++; bad == 3 {
					o.hook = nil
				}
			}))
			f := follow(t, o)
			poll(t, func() bool { return o.count("changes") > 3 })
			if v := f.Version(); v != 7 {
				t.Errorf("version %d", v)
			}
			o.change(keys[2:3])
			wantSame(t, f, o)
			poll(t, func() bool { return f.Status().Streaming && f.Status().Err == nil })
		})
	}
}

// Where there is no stream, the set is polled, and the stream is tried again.
func TestFollowerPolls(t *testing.T) {
	keys := testKeys(t, 53, 10)
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "1000000")
			http.Error(w, "no", code)
		}
	}
	for name, hook := range map[string]http.HandlerFunc{
		"404": status(404), "405": status(405), "501": status(501), "503": status(503), "429": status(429),
		"a page": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"gzip": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", StreamType)
			w.Header().Set("Content-Encoding", "gzip")
		},
		"black hole": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"held back": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", StreamType)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
		"cut off": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrigin(t, buildSet(t, 7, keys[:2]...))
			o.setHook(onStream(hook))
			f := follow(t, o)
			wantSame(t, f, o)
			for i := range 3 {
				o.change(keys[i+2 : i+3])
				wantSame(t, f, o)
			}
			from := o.count("conditional")
			poll(t, func() bool { return o.count("conditional") > from+3 })
			if s := f.Status(); s.Streaming || s.Err != nil || s.Age > time.Minute {
				t.Errorf("%+v", s)
			}
			o.setHook(nil)
			poll(t, func() bool { return f.Status().Streaming })
		})
	}
}

// A refresh that is not right in every way leaves the last good set in use.
func TestFollowerInstallsNoBadSet(t *testing.T) {
	keys := testKeys(t, 54, 2000)
	next := buildSet(t, 8, keys...)
	plain, zipped := plainBytes(t, next), gzipBytes(t, next)
	empty := buildSet(t, 8)
	answer := func(etag, coding string, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if etag != "" {
				w.Header().Set("Etag", etag)
			}
			if coding != "" {
				w.Header().Set("Content-Encoding", coding)
			}
			_, _ = w.Write(body)
		}
	}
	longer := answer(`"8"`, "", plain[:len(plain)/2])
	for name, hook := range map[string]http.HandlerFunc{
		"cut off":          answer(`"8"`, "", plain[:len(plain)/2]),
		"gzip cut off":     answer(`"8-gzip"`, "gzip", zipped[:len(zipped)/2]),
		"gzip without end": answer(`"8-gzip"`, "gzip", zipped[:len(zipped)-1]),
		"gzip and more":    answer(`"8-gzip"`, "gzip", append(bytes.Clone(zipped), 'x')),
		"gzip's checksum":  answer(`"8-gzip"`, "gzip", append(bytes.Clone(zipped[:len(zipped)-8]), 1, 2, 3, 4, 5, 6, 7, 8)),
		"not gzip":         answer(`"8"`, "gzip", plain),
		"unasked":          answer(`"8"`, "br", plain),
		"bad key":          answer(`"8"`, "", bytes.Replace(plain, []byte("AQAB"), []byte("AQAC"), 1)),
		"a key twice":      answer(`"8"`, "", []byte(setHead+string(keys[0].AppendJWK(nil))+","+string(keys[0].AppendJWK(nil))+setTail)),
		"empty":            answer(`"8"`, "", plainBytes(t, empty)),
		"no set":           answer(`"8"`, "", []byte("{}")),
		"no ETag":          answer("", "", plain),
		"odd ETag":         answer(`"v8"`, "", plain),
		"version 0":        answer(`"0"`, "", plain),
		"404":              func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) },
		"500":              func(w http.ResponseWriter, r *http.Request) { http.Error(w, "", 500) },
		"black hole":       func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://localhost:1/acme/.well-known/jwks.json", http.StatusFound)
		},
		"stall": func(w http.ResponseWriter, r *http.Request) {
			longer(w, r)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
		"length": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(plain)+1))
			answer(`"8"`, "", plain)(w, r)
		},
		"reset": func(w http.ResponseWriter, r *http.Request) {
			longer(w, r)
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrigin(t, buildSet(t, 7, keys[:2]...))
			f := follow(t, o)
			wantSame(t, f, o)
			before := f.Set()
			noStream := onStream(func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) })
			o.setHook(func(w http.ResponseWriter, r *http.Request) bool { return noStream(w, r) || onSet(hook)(w, r) })
			o.cut()
			from := o.count("jwks.json")
			poll(t, func() bool { return o.count("jwks.json") > from+2 && f.Status().Err != nil })
			if f.Set() != before {
				t.Errorf("version %d was installed", f.Version())
			}
			o.change(keys[2:3])
			o.setHook(noStream)
			wantSame(t, f, o)
			poll(t, func() bool { return f.Status().Err == nil })
		})
	}
}

// A server that stays behind had its database put back; one that is behind for a
// moment only lags.
func TestFollowerOnAnOlderSet(t *testing.T) {
	keys := testKeys(t, 55, 10)
	o := newOrigin(t, buildSet(t, 7, keys[:4]...))
	noStream := onStream(func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) })
	o.setHook(noStream)
	f := newTestFollower(t, o.URL, "")
	f.limits.older = 0
	runFollower(t, f)
	wantSame(t, f, o)
	before := f.Set()
	lag := 0
	older := buildSet(t, 6, keys[:3]...)
	o.setHook(func(w http.ResponseWriter, r *http.Request) bool {
		if isStream(r) {
			return noStream(w, r)
		}
		o.mu.Lock()
		lag++
		behind := lag%3 != 0
		o.mu.Unlock()
		if behind {
			(&Handler{Set: func(*http.Request) (*Set, bool) { return older, true }}).ServeHTTP(w, r)
		}
		return behind
	})
	poll(t, func() bool { o.mu.Lock(); defer o.mu.Unlock(); return lag > 12 })
	if f.Set() != before {
		t.Error("an older set was installed")
	}
	o.setHook(noStream)
	o.reset(older)
	wantSame(t, f, o)
}

// A database that was put back to an earlier state may have come to the version
// that a Follower has, or past it, before the Follower asks again.
func TestFollowerOnAnotherHistory(t *testing.T) {
	keys := testKeys(t, 59, 10)
	for name, hook := range map[string]http.HandlerFunc{"stream": nil, "polling": http.NotFound} {
		for _, later := range []int{0, 3} {
			t.Run(fmt.Sprint(name, later), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "state")
				o := newOrigin(t, buildSet(t, 7, keys[:3]...))
				if hook != nil {
					o.setHook(onStream(hook))
				}
				f := newTestFollower(t, o.URL, path)
				stop := runFollower(t, f)
				wantSame(t, f, o)
				stop()
				o.reset(buildSet(t, 7, keys[:2]...)) // the third was revoked before this version
				for i := range later {
					o.change(keys[4+i : 5+i])
				}
				f = newTestFollower(t, o.URL, path)
				if f.Version() != 7 {
					t.Fatalf("version %d of disk", f.Version())
				}
				runFollower(t, f)
				wantSame(t, f, o)
				poll(t, func() bool { return f.Usable(time.Minute) == nil })
			})
		}
	}
}

func TestFollowerAge(t *testing.T) {
	o := newOrigin(t, buildSet(t, 7, testKeys(t, 56, 2)...))
	var mu sync.Mutex
	var past time.Duration
	f := newTestFollower(t, o.URL, "")
	f.now = func() time.Time { mu.Lock(); defer mu.Unlock(); return time.Now().Add(past) }
	o.setHook(func(w http.ResponseWriter, r *http.Request) bool {
		if !isStream(r) {
			w.Header().Set("Age", "5000")
			return false
		}
		w.Header().Set("Content-Type", StreamType)
		fmt.Fprint(w, ": age=70.250 at=0.100\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return true
	})
	runFollower(t, f)
	<-f.Ready()
	poll(t, func() bool { age := f.Age(); return age >= 70*time.Second && age < 200*time.Second })
	if err := f.Usable(time.Minute); !errors.Is(err, ErrStale) {
		t.Errorf("older than a minute: %v", err)
	}
	o.stop()
	mu.Lock()
	past = time.Hour
	mu.Unlock()
	if age := f.Age(); age < time.Hour {
		t.Errorf("an hour later: %v", age)
	}
	poll(t, func() bool { return f.Status().Err != nil && !f.Status().Streaming })
}

// onLog calls a function whenever a line is logged.
type onLog func(message string)

func (onLog) Enabled(context.Context, slog.Level) bool           { return true }
func (f onLog) Handle(_ context.Context, line slog.Record) error { f(line.Message); return nil }
func (f onLog) WithAttrs([]slog.Attr) slog.Handler               { return f }
func (f onLog) WithGroup(string) slog.Handler                    { return f }

// Who waits for Ready goes on to ask Usable, and is not to be told ErrStale.
func TestFollowerIsReadyOnceItsAgeIsKnown(t *testing.T) {
	o := newOrigin(t, buildSet(t, 7, testKeys(t, 58, 2)...))
	f := newTestFollower(t, o.URL, "")
	between := make(chan error, 1)
	f.log = slog.New(onLog(func(message string) {
		if message != "fetched the published keys" { // said between the set and its age
			return
		}
		select {
		case <-f.Ready():
			between <- f.Usable(time.Minute)
		default:
			between <- nil
		}
	}))
	runFollower(t, f)
	<-f.Ready()
	if err := f.Usable(time.Minute); err != nil {
		t.Error(err)
	}
	if err := <-between; err != nil {
		t.Errorf("ready, but %v", err)
	}
}

func TestFollowerStartsFromDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	keys := testKeys(t, 57, 100)
	o := newOrigin(t, buildSet(t, 7, keys[:2]...))
	f := newTestFollower(t, o.URL, path)
	if _, err := NewFollower(FollowerOptions{URL: o.URL, StateFile: path}); !errors.Is(err, ErrStateInUse) {
		t.Errorf("a second one on the file: %v", err)
	}
	stop := runFollower(t, f)
	wantSame(t, f, o)
	for i := range keys[2:50] {
		o.change(keys[i+2 : i+3])
	}
	wantSame(t, f, o)
	stop()
	fetched := o.count("jwks.json")
	o.change(keys[60:61])

	f = newTestFollower(t, o.URL, path) // goes on from there
	<-f.Ready()
	if v := f.Version(); v != 55 || f.Age() > time.Minute {
		t.Errorf("version %d of disk, aged %v", v, f.Age())
	}
	stop = runFollower(t, f)
	wantSame(t, f, o)
	stop()
	if n := o.count("jwks.json"); n != fetched {
		t.Errorf("the set was fetched %d times", n-fetched)
	}
	o.stop()

	f, err := NewFollower(FollowerOptions{
		URL: o.URL + "/acme", StateFile: path, Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return time.Now().Add(time.Hour) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, ok := f.Lookup(keys[60].kid); !ok || f.Version() != 56 || f.Age() < time.Hour || f.Age() > 2*time.Hour {
		t.Errorf("version %d of disk, aged %v", f.Version(), f.Age())
	}
}

// Whatever the disk does, following goes on.
func TestFollowerOnABadDisk(t *testing.T) {
	folder := t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "state", "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "file"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(folder, "state"), filepath.Join(folder, "none", "state"), filepath.Join(folder, "file", "state"), "/dev/full/state"} {
		o := newOrigin(t, buildSet(t, 7, testKeys(t, 58, 2)...))
		f := newTestFollower(t, o.URL, path)
		runFollower(t, f)
		wantSame(t, f, o)
		o.change(testKeys(t, 59, 1))
		wantSame(t, f, o)
		poll(t, func() bool { return f.Status().StateErrors > 2 })
	}
}

func TestNewFollowerRefuses(t *testing.T) {
	for _, url := range []string{"", "x", "ftp://a/b", "http://", "http://a/b?c=d", "http://a/b#c", "http://a/\x00"} {
		if _, err := NewFollower(FollowerOptions{URL: url}); err == nil {
			t.Errorf("%q passes", url)
		}
	}
	if _, err := NewFollower(FollowerOptions{URL: "http://a/b", PollEvery: time.Millisecond}); err == nil {
		t.Error("a thousand polls a second pass")
	}
	f, err := NewFollower(FollowerOptions{URL: "http://a/b/", StateFile: filepath.Join(t.TempDir(), "state")})
	if err != nil || f.url != "http://a/b" {
		t.Fatal(f, err)
	}
	f.Close()
	if err := f.Run(t.Context()); err == nil {
		t.Error("it runs once closed")
	}
}

func TestEtagVersion(t *testing.T) {
	for etag, want := range map[string]uint64{
		`"17"`: 17, `"17-gzip"`: 17, `W/"17"`: 17, `W/"17-gzip"`: 17, `"9223372036854775807"`: math.MaxInt64,
		``: 0, `17`: 0, `"17`: 0, `17"`: 0, `""`: 0, `"0"`: 0, `"017"`: 0, `"+17"`: 0, `"-1"`: 0, `"17-br"`: 0, `"17-gzip-gzip"`: 0, `"9223372036854775808"`: 0, `"1", "2"`: 0,
	} {
		if got, err := etagVersion(etag); got != want || (err == nil) != (want > 0) {
			t.Errorf("%s: %d, %v", etag, got, err)
		}
	}
}

// A random program: changes, other histories, cut connections, restarts from
// disk. What is followed is what is published, to the byte.
func TestFollowerEndsWithTheSameBytes(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := newRand(60 + seed)
			keys := testKeys(t, 60+seed, 400)
			o := newOrigin(t, buildSet(t, 1, keys[0]))
			path := filepath.Join(t.TempDir(), "state")
			f := newTestFollower(t, o.URL, path)
			stop := runFollower(t, f)
			published := []Key{keys[0]}
			for i, key := range keys[1:] {
				switch n := random.IntN(40); {
				case n < 12 && len(published) > 1:
					at := 1 + random.IntN(len(published)-1)
					o.change([]Key{key}, published[at].kid)
					published[at] = key
				default:
					o.change([]Key{key})
					published = append(published, key)
				}
				switch random.IntN(40) {
				case 0:
					o.cut()
				case 1:
					wantSame(t, f, o)
				case 2: // put back to an earlier state
					published = published[:1+random.IntN(len(published))]
					o.reset(buildSet(t, uint64(1+random.IntN(i+1)), published...))
				case 3:
					stop()
					f = newTestFollower(t, o.URL, path)
					stop = runFollower(t, f)
				}
			}
			wantSame(t, f, o)
			stop()
			if state := loadState(t, path); state.set != nil && state.set.version != f.Version() {
				t.Errorf("the state file has version %d, not %d", state.set.version, f.Version())
			}
		})
	}
}
