package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestE2EExchangeRate exchanges many keys for the seconds in BURNKEY_E2E_EXCHANGE, and issues keys meanwhile. It asserts no rate.
func TestE2EExchangeRate(t *testing.T) {
	seconds, err := strconv.Atoi(os.Getenv("BURNKEY_E2E_EXCHANGE"))
	if err != nil {
		t.Skip("BURNKEY_E2E_EXCHANGE is not set")
	}
	const keys, callers = 200, 16
	s := startServer(t, "--log-level", "error")
	admin := s.admin()
	admin.mustCreate(t, "acme")
	admin.mustExchange(t, "acme")
	all := make([]key, keys)
	parallel(4, keys, func(i int) { all[i] = admin.mustIssue(t, "acme") })
	admin.exchanged(t, all[0])
	for _, issuing := range []bool{false, true} {
		h := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
		server, signing := s.cpu(t), s.signingCPU(t)
		end := time.Now().Add(time.Duration(seconds) * time.Second)
		var (
			mu     sync.Mutex
			took   spread
			issued int
			work   sync.WaitGroup
		)
		for caller := range callers {
			work.Go(func() {
				var own spread
				for i := caller; time.Now().Before(end); i += callers {
					start := time.Now()
					if _, code, err := admin.exchangeBy(h, "acme", all[i%keys].Token); err != nil || code != http.StatusOK {
						t.Errorf("%d, %v", code, err)
						return
					}
					own = append(own, time.Since(start))
				}
				mu.Lock()
				defer mu.Unlock()
				took = append(took, own...)
			})
		}
		for issuing && time.Now().Before(end) {
			if _, err := admin.issue("acme", map[string]any{"owner": "o"}); err != nil {
				t.Fatal(err)
			}
			issued++
		}
		work.Wait()
		h.CloseIdleConnections()
		if len(took) == 0 {
			t.Fatal("no exchange")
		}
		each := func(cpu time.Duration) time.Duration { return (cpu / time.Duration(len(took))).Round(time.Microsecond) }
		t.Logf("CPU time for each exchange: %s in the server, %s in the signing process", each(s.cpu(t)-server),
			each(s.signingCPU(t)-signing))
		t.Logf("%d exchanges a second of %d keys by %d callers on this machine too, %s; %d keys issued meanwhile", len(took)/seconds, keys,
			callers, took, issued)
	}
}

// signingCPU returns the processor time that the signing processes have used, in the kernel's hundredths of a second.
func (s *server) signingCPU(t *testing.T) (sum time.Duration) {
	t.Helper()
	for _, pid := range s.signing() {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		check(t, err)
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		for _, field := range fields[11:13] { // utime and stime
			ticks, err := strconv.Atoi(field)
			check(t, err)
			sum += time.Duration(ticks) * 10 * time.Millisecond
		}
	}
	return sum
}
