package postgres

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/burnkey/burnkey/store/postgres/pgtest"
)

// TestPooler: a pooler in session mode works; in another mode, Open fails before it changes anything.
func TestPooler(t *testing.T) {
	server := pgtest.Shared(t)
	for _, test := range []struct {
		mode    string
		further []string
		ok      bool
	}{
		{"session", nil, true},
		{"transaction", nil, false},
		{"transaction", []string{"server_round_robin = 1", "min_pool_size = 2"}, false},
		{"transaction", []string{"default_pool_size = 1"}, false},
		{"statement", nil, false},
	} {
		t.Run(strings.Join(append([]string{test.mode}, test.further...), ", "), func(t *testing.T) {
			database := server.Database(t)
			p := server.Pooler(t, test.mode, test.further...)
			s, err := Open(t.Context(), p.URL(t, database), nil)
			if err == nil {
				defer func() { _ = s.Close() }()
			}
			if test.ok && err != nil || !test.ok && !errors.Is(err, ErrPooler) {
				t.Fatal(err)
			}
			if !test.ok && !strings.Contains(err.Error(), "pool_mode = session") {
				t.Errorf("the error does not say what to do: %v", err)
			}
			if tables := server.Query(t, database, `SELECT count(*) FROM pg_tables WHERE schemaname = 'public'`); !test.ok && tables[0] != "0" {
				t.Errorf("%s tables were made", tables[0])
			}
		})
	}
}

// TestPoolerThatChanges: once the pooler has restarted in another mode, Ping fails.
func TestPoolerThatChanges(t *testing.T) {
	server := pgtest.Shared(t)
	p := server.Pooler(t, "session")
	s := openTest(t, p.URL(t, server.Database(t)))
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.Restart(t, "transaction")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		var all sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			all.Go(func() { errs[i] = s.Ping(ctx) })
		}
		all.Wait()
		if errors.Is(errors.Join(errs...), ErrPooler) {
			return
		}
		if ctx.Err() != nil {
			t.Fatal(errs)
		}
	}
}
