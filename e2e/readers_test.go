package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestE2EStreamReaders has many clients follow a server's change stream until a key is revoked.
func TestE2EStreamReaders(t *testing.T) {
	n := scale(t, "BURNKEY_E2E_READERS", 2000, 100)
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	k := admin.mustIssue(t, "acme")
	before := s.resident(t)

	ctx, cancel := context.WithCancel(t.Context())
	client := &http.Client{Transport: &http.Transport{
		DialContext: fromSeveral(max(2, n/500)), DisableCompression: true, ReadBufferSize: 1 << 10,
	}}
	var (
		reading, seen sync.WaitGroup
		times         = make(spread, n)
		revoked       time.Time
	)
	t.Cleanup(func() {
		cancel()
		reading.Wait()
		client.CloseIdleConnections()
	})
	parallel(16, n, func(i int) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.issuer("acme")+"/changes?after=2", nil)
		check(t, err)
		resp, err := client.Do(req)
		check(t, err)
		if resp.StatusCode != http.StatusOK {
			t.Errorf("reader %d: %s", i, resp.Status)
		}
		seen.Add(1)
		reading.Go(func() {
			defer resp.Body.Close()
			told := false
			for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
				if !told && strings.HasPrefix(lines.Text(), "data: ") && strings.Contains(lines.Text(), k.KID) {
					times[i] = time.Since(revoked)
					told = true
					seen.Done()
				}
			}
		})
	})
	if t.Failed() {
		return
	}
	eventually(t, "the metrics show all readers", func() bool {
		readers, ok := s.metric("burnkey_change_stream_readers")
		return ok && int(readers) == n
	})
	connected := s.resident(t)
	idle := time.NewTimer(6 * time.Second) // each gets a heartbeat at least
	defer idle.Stop()
	<-idle.C
	after := s.resident(t)
	cpu := s.cpu(t)
	idle.Reset(5 * time.Second)
	<-idle.C
	used := s.cpu(t) - cpu
	t.Logf("%d readers: %.1f KiB each (%d MiB before, %d MiB with all connected, %d MiB after heartbeats); idle: %.1f %% of a core",
		n, float64(after-before)/float64(n)/1024, before>>20, connected>>20, after>>20, used.Seconds()/5*100)

	revoked = time.Now()
	admin.mustRevoke(t, k)
	answered := time.Since(revoked)
	all := make(chan struct{})
	go func() { seen.Wait(); close(all) }()
	select {
	case <-all:
	case <-time.After(patience):
		t.Fatal("not every reader learned of the revocation")
	}
	t.Logf("from the sending of the revocation, which took %s, to each reader, %s", answered.Round(time.Millisecond), times)
	cancel()
	eventually(t, "no reader is left", func() bool {
		readers, ok := s.metric("burnkey_change_stream_readers")
		return ok && readers == 0
	})
}

// fromSeveral dials from several addresses in turn, since one address cannot take all places.
func fromSeveral(addresses int) func(ctx context.Context, network, addr string) (net.Conn, error) {
	var dialled atomic.Int64
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		from := net.IPv4(127, 0, 1, byte(1+dialled.Add(1)%int64(addresses)))
		d := net.Dialer{Timeout: 30 * time.Second, LocalAddr: &net.TCPAddr{IP: from}}
		return d.DialContext(ctx, network, addr)
	}
}

// resident returns the server's resident memory in bytes.
func (s *server) resident(t *testing.T) int64 {
	t.Helper()
	bytes, ok := s.metric("process_resident_memory_bytes")
	if !ok {
		absent(t, "the metrics have no data about the process on this platform")
	}
	return int64(bytes)
}

// cpu returns the processor time that the server has used so far.
func (s *server) cpu(t *testing.T) time.Duration {
	t.Helper()
	seconds, ok := s.metric("process_cpu_seconds_total")
	if !ok {
		absent(t, "the metrics have no data about the process on this platform")
	}
	return time.Duration(seconds * float64(time.Second))
}

// changes is an open change stream.
type changes struct{ lines *bufio.Scanner }

// openChanges opens a change stream until the test ends.
func openChanges(t *testing.T, s *server, workspace string, after uint64) changes {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("%s/changes?after=%d", s.issuer(workspace), after), nil)
	check(t, err)
	resp, err := streamHTTP.Do(req)
	check(t, err)
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the stream: %s", resp.Status)
	}
	return changes{bufio.NewScanner(resp.Body)}
}

// streamHTTP is plainHTTP without a timeout.
var streamHTTP = &http.Client{Transport: plainHTTP.Transport}

// next returns the version of the next change. It returns false if the stream resets or ends.
func (c changes) next() (version uint64, ok bool) {
	for c.lines.Scan() {
		if text, isID := strings.CutPrefix(c.lines.Text(), "id: "); isID {
			version, err := strconv.ParseUint(text, 10, 64)
			return version, err == nil
		}
		if c.lines.Text() == "event: reset" {
			return 0, false
		}
	}
	return 0, false
}
