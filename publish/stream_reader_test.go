package publish

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
)

func TestStreamHeartbeats(t *testing.T) {
	s := newStreamServer(t, func(s *streamServer) {
		s.Config.ReadTimeout = time.Second // must not end a stream
		s.Heartbeat = 20 * time.Millisecond
		s.Age = func(*http.Request) time.Duration { return 3500 * time.Millisecond }
	})
	f := s.follow("?after=1")
	said := " version=1 fingerprint=" + s.index.Set().Fingerprint().String()
	for range 100 { // longer than the read timeout
		if e, ok := f.next(); !ok || !strings.HasPrefix(e.comment, "age=3.500 at=") || !strings.HasSuffix(e.comment, said) {
			t.Fatalf("got %+v, %v", e, ok)
		}
	}
}

func TestStreamHeartbeatsAsAskedFor(t *testing.T) {
	for query, want := range map[string]time.Duration{
		"": 5 * time.Second, "heartbeat=0.5": 500 * time.Millisecond, "heartbeat=1": time.Second, "heartbeat=0.001": MinHeartbeat,
		"heartbeat=60": 5 * time.Second, "heartbeat=0": 5 * time.Second, "heartbeat=-1": 5 * time.Second, "heartbeat=x": 5 * time.Second,
		"heartbeat=NaN": 5 * time.Second, "heartbeat=Inf": 5 * time.Second, "heartbeat=1e300": 5 * time.Second,
	} {
		r := httptest.NewRequest(http.MethodGet, "/changes?"+query, nil)
		if got := NewStream(nil, nil).beat(r); got != want {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	s := newStreamServer(t, func(*streamServer) {}) // 5 s by itself
	f := s.follow("?after=1&heartbeat=0.25")
	began := time.Now()
	for range 5 {
		if _, ok := f.next(); !ok {
			t.Fatal("the stream ended")
		}
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("five heartbeats took %v", took)
	}
}

// The age in a heartbeat belongs to the changes sent before it. If a change arrives while the age is read,
// either the change is sent first or the age was read before the change.
func TestStreamSaysNoAgeOfWhatItHasNotSent(t *testing.T) {
	keys := testKeys(t, 32, 2)
	var asked atomic.Int64
	s := newStreamServer(t, func(s *streamServer) {
		s.Heartbeat = 20 * time.Millisecond
		s.Age = func(*http.Request) time.Duration {
			if asked.Add(1) == 3 { // the change is followed, and the check that found it ends
				if err := s.index.Apply(jwks.Change{Version: 2, Add: keys[1:]}); err != nil {
					t.Error(err)
				}
			}
			return time.Duration(asked.Load()) * time.Second
		}
	})
	f := s.follow("?after=1")
	for changed := false; !changed; {
		e, ok := f.next()
		if !ok {
			t.Fatal("the stream ended")
		}
		changed = e.name == "change"
		if !changed && strings.HasPrefix(e.comment, "age=3") {
			t.Errorf("%q was said before the change that was there when it was asked for", e.comment)
		}
	}
}

// A reader that lags too much is told to fetch the set, since that is faster.
func TestStreamOfAReaderThatLags(t *testing.T) {
	for _, test := range []struct {
		version uint64
		keys    int
		reset   bool
	}{{logMost + 1, 1, false}, {logMost + 2, 1, true}, {logMost + 2, 3 * logMost, false}} {
		s := newStreamServer(t, func(s *streamServer) {
			s.index.Swap(s.index.Set(), buildSet(t, test.version, testKeys(t, 33, test.keys)...))
			s.log = append(s.log, jwks.Change{Version: 2})
		})
		e, ok := s.follow("?after=1").next()
		if want := map[bool]string{true: "reset", false: "change"}[test.reset]; !ok || e.name != want {
			t.Errorf("a reader that lags by %d changes of a set of %d keys gets %+v, want a %s", test.version-1, test.keys, e, want)
		}
	}
}

func TestStreamTakesNoBody(t *testing.T) {
	s := newStreamServer(t, func(s *streamServer) { s.Config.ReadTimeout = time.Second })
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprint(conn, "GET /changes?after=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d", answer.StatusCode)
	}
}

func TestStreamDropsWhoDoesNotRead(t *testing.T) {
	s := newStreamServer(t, func(s *streamServer) {
		s.window = 5 * time.Second // a reader that reads must not miss it, even if this process is stopped meanwhile
		s.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
			_ = c.(*net.TCPConn).SetWriteBuffer(1 << 10)
			return ctx
		}
	})
	good := s.follow("?after=1")
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetReadBuffer(1 << 10)
	if _, err := io.WriteString(conn, "GET /changes?after=1 HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	poll(t, func() bool { return s.Readers() == 2 })
	keys := testKeys(t, 8, 2)
	s.change(keys)
	version := uint64(2)
	good.wantChange(version)
	testkit.Eventually(t, "one is dropped", func() bool {
		s.change(nil, keys[0].KID())
		s.change(keys[:1])
		good.wantChange(version + 1)
		good.wantChange(version + 2)
		version += 2
		return s.Dropped() > 0
	})
	if s.Dropped() != 1 {
		t.Errorf("%d were dropped", s.Dropped())
	}
	poll(t, func() bool { return s.Readers() == 1 })
}

func TestStreamBreaksOffWhenTheLogFails(t *testing.T) {
	s := newStreamServer(t)
	f := s.follow("?after=1")
	s.mu.Lock()
	s.logErr = errors.New("broken")
	s.mu.Unlock()
	s.index.Replace(buildSet(t, 9))
	for {
		e, ok := f.next()
		if !ok {
			break
		}
		if e.comment == "" {
			t.Errorf("got %+v", e)
		}
	}
}

// Readers connect, leave and connect again during changes. In the end each reader has the published set.
func TestStreamLeadsToTheSet(t *testing.T) {
	s := newStreamServer(t, func(s *streamServer) {
		// A reader that has read the log can be slightly ahead of the index. With this age, the Stream does
		// not reset it.
		s.Age = func(*http.Request) time.Duration { return time.Hour }
	})
	const changes = 600
	var readers sync.WaitGroup
	for i := range 8 {
		readers.Go(func() {
			random, set, hops := newRand(uint64(i)), buildSet(t, 1, testKeys(t, 1, 1)...), 0
			for set.Version() < changes+1 {
				f := s.follow(fmt.Sprintf("?after=%d", set.Version()))
				for n := 1 + random.IntN(200); n > 0 && set.Version() < changes+1; n-- {
					e := f.event()
					c, err := parseChange(e)
					if err != nil {
						t.Errorf("%+v: %v", e, err)
						return
					}
					if set, err = set.Apply(c); err != nil {
						t.Errorf("hop %d: %v", hops, err)
						return
					}
				}
				f.cancel()
				hops++
			}
			if string(plainBytes(t, set)) != string(plainBytes(t, s.index.Set())) {
				t.Errorf("reader %d has another set", i)
			}
		})
	}
	random, keys := newRand(9), testKeys(t, 9, changes)
	for i := range changes {
		if i > 0 && random.IntN(3) == 0 && i%2 == 1 {
			s.change(keys[i:i+1], keys[i-1].KID())
		} else {
			s.change(keys[i : i+1])
		}
	}
	readers.Wait()
}

func parseChange(e event) (jwks.Change, error) {
	var wire struct {
		Version uint64
		Add     []jwks.Key
		Remove  []string
	}
	if err := json.Unmarshal([]byte(e.data), &wire); err != nil {
		return jwks.Change{}, err
	}
	c := jwks.Change{Version: wire.Version, Add: wire.Add}
	for _, text := range wire.Remove {
		kid, err := jwks.ParseKID(text)
		if err != nil {
			return jwks.Change{}, err
		}
		c.Remove = append(c.Remove, kid)
	}
	return c, nil
}
