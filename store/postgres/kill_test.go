package postgres

import (
	"context"
	"sync"
	"testing"

	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/postgres/pgtest"
	"github.com/burnkey/burnkey/store/storetest"
)

// TestWriter is the child that KillWriter kills.
func TestWriter(t *testing.T) {
	storetest.Writer(t, func(url string) store.Store { return openTest(t, url) })
}

func TestKilledWriterLosesNothingItAcknowledged(t *testing.T) {
	server := pgtest.Start(t, map[string]string{"fsync": "on"})
	url := server.Database(t)
	s := openTest(t, url)
	create(t, s, "acme")
	all := storetest.Acknowledgements{}
	for round := range 4 {
		all.Add(storetest.KillWriter(t, with(t, url, "application_name", "child"), 20+round*7)...)
		testkit.Eventually(t, "what it sent at last has been done", func() bool {
			return server.Query(t, url, `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'child'`)[0] == "0"
		})
		if round%2 == 1 {
			server.Crash(t)
			server.StartAgain(t)
		}
		// Check the store that was open all the time, then a newly opened store.
		all.Check(t, s)
		all.Check(t, openTest(t, url))
	}
	checkLog(t, s)
}

// TestACrashedDatabaseLosesNothingItAcknowledged crashes the database during concurrent writes.
func TestACrashedDatabaseLosesNothingItAcknowledged(t *testing.T) {
	server := pgtest.Start(t, map[string]string{"fsync": "on"})
	url := server.Database(t)
	s := openTest(t, url)
	create(t, s, "acme")
	ctx, stop := context.WithCancel(t.Context())
	var (
		writers sync.WaitGroup
		mu      sync.Mutex
		all     = storetest.Acknowledgements{}
	)
	for range 4 {
		writers.Go(func() {
			for ctx.Err() == nil {
				k, err := s.Issue(ctx, storetest.NewRecord("acme", "o"), storetest.NewKey(t), nil)
				if err == nil {
					mu.Lock()
					all.Add(storetest.Issued(k))
					mu.Unlock()
				}
			}
		})
	}
	for round := range 3 {
		testkit.Eventually(t, "some keys are issued", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(all) > 30*(round+1)
		})
		server.Crash(t)
		server.StartAgain(t)
	}
	stop()
	writers.Wait()
	// A statement can still commit when its writer no longer waits for it.
	testkit.Eventually(t, "no statement runs", func() bool {
		return server.Query(t, url, `SELECT count(*) FROM pg_stat_activity
			WHERE backend_type = 'client backend' AND state <> 'idle' AND pid <> pg_backend_pid()`)[0] == "0"
	})
	all.Check(t, s)
	checkLog(t, s)
}
