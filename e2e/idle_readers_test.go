package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
)

// TestE2EIdleReaders opens as many change streams as one address can, at the shortest heartbeat interval, and
// never reads them. Other clients must still be served, and a revocation must immediately reach a gateway that
// has a key.
func TestE2EIdleReaders(t *testing.T) {
	n := scale(t, "BURNKEY_E2E_IDLE_READERS", 500, 100)
	places := max(10, n*2/5) // a tenth of them for one address
	if n >= publish.DefaultStreamReaders {
		places = publish.DefaultStreamReaders
	}
	s := startServer(t, "--stream-readers", fmt.Sprint(places), "--log-level", "warn")
	admin := s.admin()
	admin.mustCreate(t, "acme")
	admin.mustCreate(t, "other")
	held := admin.mustIssue(t, "burnkey", "scopes", []string{"gateway"})
	quiet := s.cpu(t)
	got := s.occupy(t, n, "acme")
	if got[http.StatusOK] != places/10 || got[http.StatusTooManyRequests] != n-places/10 {
		t.Fatalf("of %d readers from one address, %v", n, got)
	}
	t.Logf("%d readers from one address: %v; they took %s of processor time", n, got, (s.cpu(t) - quiet).Round(time.Millisecond))

	away := make(chan struct{})
	var told sync.Once
	log := slog.New(onMessage(func(message string) {
		if strings.Contains(message, "the change stream is full") {
			told.Do(func() { close(away) })
		}
	}))
	keyFile := filepath.Join(t.TempDir(), "gateway.key")
	check(t, os.WriteFile(keyFile, []byte(held.Token), 0o600))
	gate := startAsked(t, s, "--workspace", "acme", "--usage-key-file", keyFile, "--usage-every", "0") // same address as the crowd
	eventually(t, "the gateway with a key has the stream", func() bool {
		reserved, _ := s.metric("burnkey_change_stream_reserved_readers")
		return reserved == 1
	})
	keyless := s.followKeyless(t, log)
	select {
	case <-away:
	case <-time.After(patience):
		t.Fatal("a follower that is turned away does not say so")
	}
	for _, workspace := range []string{"acme", "other"} {
		if code := s.askFrom(t, "127.0.0.77", workspace); code != http.StatusOK {
			t.Errorf("another address gets %d for %s", code, workspace)
		}
	}
	idle := time.NewTimer(5 * time.Second)
	before := s.cpu(t)
	<-idle.C
	t.Logf("with them, at their heartbeats, the server takes %.1f %% of a core", (s.cpu(t)-before).Seconds()/5*100)

	var answered, late spread
	accepts := gate.checker(t)
	for range scale(t, "BURNKEY_E2E_IDLE_REVOCATIONS", 10, 3) {
		k := admin.mustIssue(t, "acme")
		eventually(t, "the key is there", func() bool { return accepts(k.Token) })
		began := time.Now()
		admin.mustRevoke(t, k)
		answered = append(answered, time.Since(began))
		for accepts(k.Token) {
			if time.Since(began) > patience {
				t.Fatal("the revocation does not arrive")
			}
		}
		late = append(late, time.Since(began))
	}
	t.Logf("from the sending of a revocation until it is answered, %s; until the gateway refuses the key, %s", answered, late)
	want := s.mustPublished("acme").version
	eventually(t, "who is turned away polls", func() bool { return keyless.Version() >= want })
	if count, ok := s.metric(`burnkey_change_stream_turned_away_total{full="address",workspace="acme"}`); !ok || int(count) < n-places/10 {
		t.Errorf("the metrics have %v turned away", count)
	}
	if text := s.log(); !strings.Contains(text, "readers of the change stream are turned away") {
		t.Errorf("the log does not say so:\n%s", text)
	}
}

// onMessage is a log handler that calls the function for each message.
type onMessage func(message string)

func (onMessage) Enabled(context.Context, slog.Level) bool           { return true }
func (f onMessage) Handle(_ context.Context, line slog.Record) error { f(line.Message); return nil }
func (f onMessage) WithAttrs([]slog.Attr) slog.Handler               { return f }
func (f onMessage) WithGroup(string) slog.Handler                    { return f }

// occupy requests n streams from one address, and keeps those open that the server accepts.
func (s *server) occupy(t *testing.T, n int, workspace string) map[int]int {
	t.Helper()
	var mu sync.Mutex
	got := make(map[int]int)
	var failed atomic.Pointer[error]
	parallel(16, n, func(int) {
		conn, resp, err := s.openFrom("127.0.0.1", workspace)
		if err != nil {
			failed.Store(&err)
			return
		}
		t.Cleanup(func() { conn.Close() })
		mu.Lock()
		defer mu.Unlock()
		got[resp.StatusCode]++
	})
	if err := failed.Load(); err != nil {
		t.Fatal(*err)
	}
	return got
}

// openFrom requests a stream from an address and reads the header of the answer.
func (s *server) openFrom(from, workspace string) (net.Conn, *http.Response, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	conn, err := d.Dial("tcp", s.addr)
	if err != nil {
		return nil, nil, err
	}
	_, err = fmt.Fprintf(conn, "GET /v1/auth/oauth/%s/changes?after=1&heartbeat=0.001 HTTP/1.1\r\nHost: %s\r\n\r\n", workspace, s.addr)
	if err != nil {
		return nil, nil, err
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 1<<10), nil)
	return conn, resp, err
}

func (s *server) askFrom(t *testing.T, from, workspace string) int {
	t.Helper()
	conn, resp, err := s.openFrom(from, workspace)
	check(t, err)
	defer conn.Close()
	return resp.StatusCode
}

// checker returns a function that asks the gateway, as Envoy does, whether a token is accepted.
func (a *asked) checker(t *testing.T) func(token string) bool {
	t.Helper()
	ask := a.asker(t)
	return func(token string) bool {
		t.Helper()
		code := ask.from(t.Context(), "", token)
		if code == 0 {
			t.Fatal("the gateway does not answer")
		}
		return code == http.StatusOK
	}
}

// followKeyless follows acme without a management key until the test ends.
func (s *server) followKeyless(t *testing.T, log *slog.Logger) *jwks.Follower {
	t.Helper()
	f, err := jwks.NewFollower(jwks.FollowerOptions{URL: s.issuer("acme"), Log: log})
	check(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var following sync.WaitGroup
	following.Go(func() { _ = f.Run(ctx) }) // the end of ctx is its only error
	t.Cleanup(func() { cancel(); following.Wait() })
	select {
	case <-f.Ready():
	case <-time.After(patience):
		t.Fatal("the follower has no set")
	}
	return f
}
