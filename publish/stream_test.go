package publish

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// streamServer serves the changes of an Index and stores their log.
type streamServer struct {
	*httptest.Server
	*Stream
	tb      testing.TB
	index   *Index
	closing chan struct{}

	mu      sync.Mutex
	log     []jwks.Change // of versions 2 and up
	oldest  uint64        // the version after which the log begins
	logErr  error
	logRead int
}

func newStreamServer(tb testing.TB, change ...func(*streamServer)) *streamServer {
	tb.Helper()
	s := &streamServer{tb: tb, index: NewIndex(buildSet(tb, 1, testKeys(tb, 1, 1)...)), oldest: 2, closing: make(chan struct{})}
	s.Stream = NewStream(func(r *http.Request) (*Index, bool) { return s.index, r.URL.Path == "/changes" }, s.readLog)
	s.Closing = s.closing
	s.Server = httptest.NewUnstartedServer(s.Stream)
	for _, f := range change {
		f(s)
	}
	s.Start()
	tb.Cleanup(func() {
		close(s.closing)
		s.Close() // waits for the streams
		s.index.mu.Lock()
		defer s.index.mu.Unlock()
		if s.Readers() != 0 || s.index.public.readers != 0 || s.index.public.events != nil {
			tb.Errorf("%d readers, %d watchers and %d events are left", s.Readers(), s.index.public.readers, len(s.index.public.events))
		}
	})
	return s
}

func (s *streamServer) readLog(_ *http.Request, after uint64, limit int) ([]jwks.Change, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logRead++
	if s.logErr != nil {
		return nil, s.logErr
	}
	if after+1 < s.oldest {
		return nil, ErrTooOld
	}
	from := min(int(after)-1, len(s.log))
	return s.log[from:min(from+limit, len(s.log))], nil
}

// change appends a change to the log and applies it to the index.
func (s *streamServer) change(add []jwks.Key, remove ...jwks.KID) {
	s.tb.Helper()
	c := s.append(add, remove...)
	if err := s.index.Apply(c); err != nil {
		s.tb.Fatal(err)
	}
}

func (s *streamServer) append(add []jwks.Key, remove ...jwks.KID) jwks.Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := jwks.Change{Version: uint64(len(s.log)) + 2, Add: add, Remove: remove}
	s.log = append(s.log, c)
	return c
}

// event is an event that a reader received or, if the field comment is set, a comment.
type event struct{ id, name, data, comment string }

// follower reads a stream line by line.
type follower struct {
	tb     testing.TB
	resp   *http.Response
	lines  *bufio.Scanner
	cancel context.CancelFunc
}

func (s *streamServer) follow(query string, header ...string) *follower {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(s.tb.Context(), time.Minute)
	s.tb.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/changes"+query, nil)
	if err != nil {
		s.tb.Fatal(err)
	}
	for _, value := range header {
		req.Header.Add("Last-Event-ID", value)
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		s.tb.Fatal(err)
	}
	s.tb.Cleanup(func() { resp.Body.Close() })
	return &follower{s.tb, resp, bufio.NewScanner(resp.Body), cancel}
}

// next returns the next event, or false at the stream's end.
func (f *follower) next() (event, bool) {
	var e event
	for f.lines.Scan() {
		line := f.lines.Text()
		field, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "":
			return e, true
		case field == "":
			e.comment = value
		case field == "id":
			e.id = value
		case field == "event":
			e.name = value
		case field == "data":
			e.data = value
		default:
			f.tb.Errorf("line %q", line)
		}
	}
	return e, false
}

// event returns the next event that is not a heartbeat.
func (f *follower) event() event {
	f.tb.Helper()
	for {
		e, ok := f.next()
		if !ok {
			f.tb.Fatalf("the stream ended: %v", f.lines.Err())
		}
		if e.comment == "" {
			return e
		}
	}
}

func (f *follower) wantChange(version uint64) {
	f.tb.Helper()
	e := f.event()
	var data struct{ Version uint64 }
	err := json.Unmarshal([]byte(e.data), &data)
	if err != nil || e.name != "change" || e.id != fmt.Sprint(version) || data.Version != version {
		f.tb.Fatalf("got %+v, %v, want version %d", e, err, version)
	}
}

func (f *follower) wantReset(version uint64) {
	f.tb.Helper()
	if e := f.event(); e != (event{name: "reset", data: fmt.Sprintf(`{"version":%d}`, version)}) {
		f.tb.Fatalf("got %+v, want a reset to %d without an id", e, version)
	}
}

func TestStream(t *testing.T) {
	s := newStreamServer(t)
	keys := testKeys(t, 2, 200)
	first := s.follow("?after=1")
	if kind := first.resp.Header.Get("Content-Type"); first.resp.StatusCode != 200 || kind != "text/event-stream" {
		t.Fatalf("%d %s", first.resp.StatusCode, kind)
	}
	s.change(keys[:1])
	s.change(keys[1:3], keys[0].KID())
	want, err := json.Marshal(jwks.Change{Version: 3, Add: keys[1:3], Remove: []jwks.KID{keys[0].KID()}})
	if err != nil {
		t.Fatal(err)
	}
	first.wantChange(2)
	if got := first.event(); got != (event{id: "3", name: "change", data: string(want)}) {
		t.Errorf("got %+v", got)
	}
	second := s.follow("?after=2") // the number of changes that the index stores
	second.wantChange(3)
	if s.logRead != 0 {
		t.Error("the log was read")
	}
	for i := range 150 { // more than the index remembers
		s.change(keys[3+i : 4+i])
	}
	late, header := s.follow("?after=3"), s.follow("?after=100", "3")
	s.follow("").wantReset(153) // version 1 is not in this log
	for version := uint64(4); version <= 153; version++ {
		for _, f := range []*follower{first, second, late, header} {
			f.wantChange(version)
		}
	}
	if s.logRead == 0 {
		t.Error("the log was not read")
	}
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	if n := len(s.index.public.events); n != keptEvents {
		t.Errorf("the index remembers %d events", n)
	}
}

func TestStreamResets(t *testing.T) {
	s := newStreamServer(t)
	keys := testKeys(t, 3, 10)
	for i := range 5 {
		s.change(keys[i : i+1])
	}
	s.oldest = 4
	old := s.follow("?after=2")
	old.wantReset(6)
	kept := s.follow("?after=3")
	kept.wantChange(4)
	kept.wantChange(5)
	kept.wantChange(6)

	// Replace the set by a later version, as if the whole set had been read from the store.
	set := apply(t, s.index.Set(), keys[5:6])
	s.append(keys[5:6])
	s.append(keys[6:7])
	s.index.Replace(apply(t, set, keys[6:7]))
	for _, f := range []*follower{old, kept} {
		f.wantChange(7)
		f.wantChange(8)
	}

	// Another history.
	s.index.Swap(s.index.Set(), buildSet(t, 5, keys...))
	old.wantReset(5)
	kept.wantReset(5)
	s.mu.Lock()
	s.log = s.log[:4]
	s.mu.Unlock()
	s.change(testKeys(t, 4, 1))
	old.wantChange(6)
	kept.wantChange(6)
	if s.index.Swap(set, set) {
		t.Error("a set was swapped that is not shown")
	}
	if now := s.index.Set(); !s.index.Swap(now, set) || s.index.Set() != set {
		t.Error("the set that is shown was not swapped")
	}
	old.wantReset(7)
}

// A reader can come from another server, which already has later versions.
func TestStreamAhead(t *testing.T) {
	var mu sync.Mutex
	checked := time.Now().Add(-time.Second)
	s := newStreamServer(t, func(s *streamServer) {
		s.Age = func(*http.Request) time.Duration {
			mu.Lock()
			defer mu.Unlock()
			return time.Since(checked)
		}
	})
	catches, stays := s.follow("?after=2"), s.follow("?after=9")
	s.change(testKeys(t, 5, 1))
	s.change(testKeys(t, 6, 1))
	catches.wantChange(3)
	go func() {
		mu.Lock()
		defer mu.Unlock()
		checked = time.Now()
	}()
	stays.wantReset(3)
}

func TestStreamRefuses(t *testing.T) {
	s := newStreamServer(t, func(s *streamServer) { s.Limits = StreamLimits{Public: 2, PerSet: 2, PerAddress: 2} })
	status := func(path string, header ...string) int {
		t.Helper()
		f := s.follow(path, header...)
		f.cancel()
		return f.resp.StatusCode
	}
	for _, bad := range []string{"x", "-1", "1.0", "01", "", "9223372036854775808", "1&after=1", "%zz"} {
		if got := status("?after=" + bad); got != 400 {
			t.Errorf("after=%s: %d", bad, got)
		}
	}
	if got := status("?after=1", "x"); got != 400 {
		t.Errorf("Last-Event-ID: %d", got)
	}
	if got := status("/other"); got != 404 {
		t.Errorf("another path: %d", got)
	}
	resp, err := s.Client().Post(s.URL+"/changes", "", nil)
	if err != nil || resp.StatusCode != 405 {
		t.Fatalf("POST: %v, %v", resp, err)
	}
	resp.Body.Close()
	s.logErr = errors.New("broken")
	s.change(testKeys(t, 7, 1))
	if got := status("?after=1"); got != 503 {
		t.Errorf("a broken log: %d", got)
	}
	s.logErr = nil
	one, two := s.follow("?after=2"), s.follow("?after=2")
	if got := status("?after=2"); got != 503 {
		t.Errorf("a third reader: %d", got)
	}
	one.cancel()
	poll(t, func() bool { return s.Readers() == 1 })
	s.follow("?after=1").wantChange(2)
	_ = two
}
