package postgres

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/postgres/pgtest"
	"github.com/burnkey/burnkey/store/storetest"
)

// TestWritesThatWaitForAStandbyLeaveReadsAlone: while more writes hang than there are connections, each in
// another workspace, the store still answers reads and follows other servers.
func TestWritesThatWaitForAStandbyLeaveReadsAlone(t *testing.T) {
	server := pgtest.Start(t, nil)
	url := server.Database(t)
	s, other := openTest(t, url), openTest(t, url)
	for i := range maxConns {
		create(t, s, fmt.Sprint(i))
	}
	k := issue(t, s, "0")
	setStandby(t, server, "nobody")
	defer setStandby(t, server, "")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var writing sync.WaitGroup
	defer writing.Wait()
	defer cancel()
	for i := range 2 * maxConns {
		writing.Go(func() {
			if _, err := s.Issue(ctx, storetest.NewRecord(fmt.Sprint(i%maxConns), "o"), storetest.NewKey(t), nil); err == nil {
				t.Error("a write is acknowledged that no standby has")
			}
		})
	}
	waiting := fmt.Sprint(writers(maxConns))
	testkit.Eventually(t, "writes hold what they may", func() bool {
		return server.Query(t, url, `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND (wait_event = 'SyncRep' OR wait_event_type = 'Lock')`)[0] == waiting
	})
	wakes, _, stop := watching(t, other)
	defer stop()
	s.notifier.notify("hint")
	for got := ""; got != "hint"; { // hints of creating may still be under way
		got = <-wakes
	}
	for name, call := range map[string]func(context.Context) error{
		"Ping": s.Ping,
		"Versions": func(ctx context.Context) error {
			return s.Versions(ctx, func(string, uint64, jwks.Fingerprint) error { return nil })
		},
		"Changes": func(ctx context.Context) error { _, err := s.Changes(ctx, "0", 0, 10); return err },
		"Published": func(ctx context.Context) error {
			_, _, err := s.Published(ctx, "0", func(jwks.Key, jwks.Attributes) error { return nil })
			return err
		},
		"Key":       func(ctx context.Context) error { _, err := s.Key(ctx, "0", k.ID); return err },
		"Keys":      func(ctx context.Context) error { _, _, err := s.Keys(ctx, "0", store.Filter{Limit: 1}); return err },
		"Workspace": func(ctx context.Context) error { _, err := s.Workspace(ctx, "0"); return err },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), callTimeout)
		if err := call(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}
