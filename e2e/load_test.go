package e2e_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// parallel calls f with 0 to n-1, by several workers, and returns after all calls have returned.
func parallel(workers, n int, f func(i int)) {
	next := make(chan int)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	all.Wait()
}

// TestE2EManyClients has 8 clients issue keys while another client reads the set.
func TestE2EManyClients(t *testing.T) {
	const clients = 8
	n := scale(t, "BURNKEY_E2E_KEYS", 160, 64)
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")

	watch := startWatch(s, "acme")
	issued := make([]key, n)
	start := time.Now()
	parallel(clients, n, func(i int) {
		k, err := admin.issue("acme", map[string]any{"owner": fmt.Sprintf("cust_%d", i)})
		if err != nil {
			t.Errorf("issue %d: %v", i, err)
		}
		issued[i] = k
	})
	took := time.Since(start)
	watch.stop(t)
	if t.Failed() {
		return
	}
	t.Logf("%d keys by %d clients in %s: %.1f a second", n, clients, took.Round(time.Millisecond), float64(n)/took.Seconds())
	distinct(t, issued)
	set := s.mustPublished("acme")
	if set.version != uint64(n)+1 || set.size != n+1 || len(set.moduli) != n+1 {
		t.Errorf("version %d with %d keys, want %d with as many", set.version, set.size, n+1)
	}
	for _, k := range issued {
		if !set.has(k.KID) {
			t.Errorf("%s is not published", k.ID)
		}
	}
	if waits, ok := s.metric("burnkey_mint_wait_seconds_count"); !ok || waits < float64(n) {
		t.Errorf("the histogram of waits counts %v of %d", waits, n)
	}
	if failed, ok := s.metric(`burnkey_mint_failures_total{reason="failed"}`); !ok || failed != 0 {
		t.Errorf("%v failures are counted", failed)
	}
}

// distinct checks that all IDs and kids differ, and that the versions have no gap after the tombstone's
// version.
func distinct(t *testing.T, issued []key) {
	t.Helper()
	ids, kids := make(map[string]bool), make(map[string]bool)
	var versions []uint64
	for _, k := range issued {
		ids[k.ID], kids[k.KID] = true, true
		versions = append(versions, k.Version)
	}
	if len(ids) != len(issued) || len(kids) != len(issued) {
		t.Errorf("%d keys have %d ids and %d kids", len(issued), len(ids), len(kids))
	}
	slices.Sort(versions)
	for i, version := range versions {
		if version != uint64(i)+2 {
			t.Fatalf("version %d is not there once", i+2)
		}
	}
}

// watch continuously reads a set and the length of the queue.
type watch struct {
	server    *server
	workspace string
	done      chan struct{}
	reading   sync.WaitGroup

	reads    []time.Duration
	faults   []error
	longest  float64 // queue seen
	versions int     // seen
}

func startWatch(s *server, workspace string) *watch {
	w := &watch{server: s, workspace: workspace, done: make(chan struct{})}
	w.reading.Go(w.read)
	w.reading.Go(w.queue)
	return w
}

// read reads a set every few milliseconds. Since keys are only added, the number of keys must equal the
// version, and versions must never decrease.
func (w *watch) read() {
	var last uint64
	w.every(5*time.Millisecond, func() {
		start := time.Now()
		text, etag, err := w.server.fetch(w.workspace)
		w.reads = append(w.reads, time.Since(start))
		if err != nil {
			w.faults = append(w.faults, err)
			return
		}
		set, err := readSet(text, etag)
		switch {
		case err != nil:
			w.faults = append(w.faults, err)
			return
		case set.version < last || uint64(set.size) != set.version:
			w.faults = append(w.faults, fmt.Errorf("version %d with %d keys after version %d", set.version, set.size, last))
		case set.version > last:
			w.versions++
		}
		last = set.version
	})
}

func (w *watch) queue() {
	w.every(50*time.Millisecond, func() {
		length, _ := w.server.metric("burnkey_mint_queue_length")
		w.longest = max(w.longest, length)
	})
}

func (w *watch) every(interval time.Duration, f func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-w.done:
			return
		case <-tick.C:
			f()
		}
	}
}

func (w *watch) stop(t *testing.T) {
	t.Helper()
	close(w.done)
	w.reading.Wait()
	if len(w.faults) > 0 || len(w.reads) == 0 {
		t.Fatalf("%d faults in %d reads: %v", len(w.faults), len(w.reads), w.faults[:min(3, len(w.faults))])
	}
	if w.longest == 0 {
		t.Error("the metrics never showed a queue")
	}
	slices.Sort(w.reads)
	at := func(share float64) time.Duration {
		return w.reads[int(share*float64(len(w.reads)-1))].Round(10 * time.Microsecond)
	}
	t.Logf("%d reads of the set meanwhile (%d versions seen): p50 %s, p99 %s, longest %s; longest queue seen: %v",
		len(w.reads), w.versions, at(.5), at(.99), at(1), w.longest)
	if at(.5) > patience {
		t.Errorf("half of the reads took more than %s", at(.5))
	}
}
