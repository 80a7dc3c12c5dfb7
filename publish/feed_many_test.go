package publish_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
	"github.com/burnkey/burnkey/store"
)

// manyWorkspaces is a store in memory, for more workspaces than a test can create in a database.
type manyWorkspaces struct {
	store.PublishedStore
	mu   sync.Mutex
	logs map[string][]jwks.Change // from version 1
}

func newMany(count int) *manyWorkspaces {
	m := &manyWorkspaces{logs: make(map[string][]jwks.Change)}
	for i := range count {
		m.commit(fmt.Sprint("w", i))
	}
	return m
}

// commit adds a change of one key to a log.
func (m *manyWorkspaces) commit(workspace string) jwks.Change {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := make([]byte, jwks.ModulusLen)
	copy(n, workspace)
	copy(n[100:], strconv.Itoa(len(m.logs[workspace])))
	n[0] |= 0x80
	n[jwks.ModulusLen-1] = 1
	key, err := jwks.FromModulus(n)
	if err != nil {
		panic(err) // the modulus is odd and long enough
	}
	c := jwks.Change{Version: uint64(len(m.logs[workspace])) + 1, Add: []jwks.Key{key}}
	m.logs[workspace] = append(m.logs[workspace], c)
	return c
}

func (m *manyWorkspaces) Versions(_ context.Context, yield func(string, uint64, jwks.Fingerprint) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for workspace, log := range m.logs {
		if err := yield(workspace, uint64(len(log)), jwks.Fingerprint{}); err != nil {
			return err
		}
	}
	return nil
}

func (m *manyWorkspaces) Changes(_ context.Context, workspace string, after uint64, limit int) ([]jwks.Change, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rest := m.logs[workspace][min(int(after), len(m.logs[workspace])):]
	return rest[:min(limit, len(rest))], nil
}

func (m *manyWorkspaces) Published(
	_ context.Context, workspace string, yield func(jwks.Key, jwks.Attributes) error,
) (version uint64, unsigned jwks.Unsigned, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.logs[workspace] {
		for _, key := range c.Add {
			if err := yield(key, jwks.Attributes{}); err != nil {
				return 0, unsigned, err
			}
		}
	}
	return uint64(len(m.logs[workspace])), unsigned, nil
}

// manyReader reads a feed of many workspaces.
type manyReader struct {
	lines *bufio.Scanner
	event string
}

// follow serves the feed and connects a reader.
func followMany(tb testing.TB, p *publish.Publisher) *manyReader {
	tb.Helper()
	stream := publish.NewStream(nil, nil)
	feed := &publish.Feed{Publisher: p, Stream: stream}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = feed.Serve(w, r, publish.FeedRequest{
			Reader:    publish.StreamReader{Key: "gateway", Holds: func() bool { return true }},
			May:       func(string) bool { return true },
			Heartbeat: 500 * time.Millisecond,
		})
	}))
	ctx, stop := context.WithCancel(tb.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, nil)
	if err != nil {
		tb.Fatal(err)
	}
	resp, err := server.Client().Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { stop(); resp.Body.Close(); server.Close() })
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 4<<20)
	return &manyReader{lines: lines}
}

// next returns the name of the next event and its workspace, or "beat".
func (r *manyReader) next(tb testing.TB) (event, workspace string) {
	tb.Helper()
	for r.lines.Scan() {
		line := r.lines.Text()
		if strings.HasPrefix(line, ": age=") {
			return "beat", ""
		}
		if name, ok := strings.CutPrefix(line, "event: "); ok {
			r.event = name
		}
		if data, ok := strings.CutPrefix(line, `data: {"workspace":"`); ok {
			workspace, _, _ := strings.Cut(data, `"`)
			return r.event, workspace
		}
	}
	tb.Fatalf("the feed ended: %v", r.lines.Err())
	return "", ""
}

// begin reads up to the first heartbeat, and returns the number of sets.
func (r *manyReader) begin(tb testing.TB) (sets int) {
	tb.Helper()
	for {
		switch event, workspace := r.next(tb); event {
		case "beat":
			return sets
		case "set":
			sets++
		case "reset": // a set that is too large for the stream
		default:
			tb.Fatalf("begins with %s of %s", event, workspace)
		}
	}
}

func publishMany(tb testing.TB, count int) (*manyWorkspaces, *publish.Publisher) {
	tb.Helper()
	m := newMany(count)
	p := publish.NewPublisher(m, nil)
	for range 2 { // after the second, no workspace lags
		if err := p.Load(tb.Context()); err != nil {
			tb.Fatal(err)
		}
	}
	return m, p
}

// A reader of 10,000 workspaces has all of them, and its first heartbeat, over one connection within seconds.
func TestFeedOfManyWorkspaces(t *testing.T) {
	const count = 10_000
	m, p := publishMany(t, count)
	start := time.Now()
	r := followMany(t, p)
	if sets := r.begin(t); sets != count {
		t.Errorf("%d sets, want %d", sets, count)
	}
	took := time.Since(start)
	t.Logf("the first heartbeat of %d workspaces came after %s", count, took)
	if took > 30*time.Second {
		t.Errorf("the first heartbeat came after %s", took)
	}
	p.Apply(t.Context(), "w77", m.commit("w77"))
	p.Apply(t.Context(), "new", m.commit("new"))
	for _, want := range []string{"change w77", "set new"} {
		event, workspace := r.next(t)
		for event == "beat" || event == "age" {
			event, workspace = r.next(t)
		}
		if got := event + " " + workspace; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// A burst of changes in one workspace does not delay those of another.
func TestFeedIsFair(t *testing.T) {
	const burst, others = 10_000, 50
	m, p := publishMany(t, 2)
	for range 200 { // a small set is sent as a whole to a reader that lags
		p.Apply(t.Context(), "w0", m.commit("w0"))
	}
	r := followMany(t, p)
	r.begin(t)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	var mu sync.Mutex
	sent := make(map[int]time.Time)
	tasks.Go(func() {
		for range burst {
			p.Apply(t.Context(), "w0", m.commit("w0"))
		}
	})
	tasks.Go(func() {
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		for i := range others {
			<-ticker.C
			mu.Lock()
			sent[i] = time.Now()
			mu.Unlock()
			p.Apply(t.Context(), "w1", m.commit("w1"))
		}
	})
	var slowest time.Duration
	for other := 0; other < others; {
		switch event, workspace := r.next(t); {
		case event == "beat", event == "age", workspace == "w0": // changes, or the set if the reader lags
		case event != "change":
			t.Fatalf("got %s of %s", event, workspace)
		default:
			mu.Lock()
			slowest = max(slowest, time.Since(sent[other]))
			mu.Unlock()
			other++
		}
	}
	t.Logf("during a burst of %d, a change of another workspace arrived after at most %s", burst, slowest)
	if slowest > 10*time.Second { // 100 ms on an idle machine
		t.Errorf("a change of another workspace arrived after %s", slowest)
	}
}

// BenchmarkFeedMemory measures the memory that a reader needs for a workspace, without the workspaces themselves.
func BenchmarkFeedMemory(b *testing.B) {
	const count = 10_000
	_, p := publishMany(b, count)
	followMany(b, p).begin(b) // renders the sets, which readers share
	for b.Loop() {
		before := heapAlloc()
		followMany(b, p).begin(b)
		b.ReportMetric(float64(heapAlloc()-before)/count, "B/workspace")
	}
}

func heapAlloc() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC() // the first run only marks the contents of pools
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// BenchmarkFeedIdle measures the part of a core that one reader of 10,000 idle workspaces needs, with both ends of
// the connection.
func BenchmarkFeedIdle(b *testing.B) {
	_, p := publishMany(b, 10_000)
	r := followMany(b, p)
	r.begin(b)
	runtime.GC() // else it runs in the time that is measured
	before, start := processTime(b), time.Now()
	for b.Loop() {
		for event := ""; event != "beat"; event, _ = r.next(b) {
		}
	}
	b.ReportMetric(100*float64(processTime(b)-before)/float64(time.Since(start)), "%core")
}

// processTime returns the processor time that this process has used.
func processTime(tb testing.TB) time.Duration {
	tb.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
