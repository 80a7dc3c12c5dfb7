package postgres

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/postgres/pgtest"
	"github.com/burnkey/burnkey/store/storetest"
)

// terminate ends all connections of the store and waits until they are gone.
func terminate(t *testing.T, server *pgtest.Server, url, which string) {
	t.Helper()
	server.Query(t, url, `SELECT pg_terminate_backend(pid, 20000)::text FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND `+which)
}

func TestLostConnectionsAreReplaced(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Database(t)
	s := openTest(t, url)
	create(t, s, "acme")
	var busy sync.WaitGroup // makes the pool open several
	for range 8 {
		busy.Go(func() { issue(t, s, "acme") })
	}
	busy.Wait()
	for i := range 5 {
		terminate(t, server, url, "true")
		// There is no pause here: after a pause, the pool would ping the connection before use.
		k := issue(t, s, "acme")
		terminate(t, server, url, "true")
		if _, err := s.Revoke(t.Context(), "acme", k.ID, time.Now()); err != nil {
			t.Error(err)
		}
		terminate(t, server, url, "true")
		if w, err := s.Workspace(t.Context(), "acme"); err != nil || w.Version != uint64(9+2*(i+1)) {
			t.Errorf("got %+v, %v", w, err)
		}
	}
}

// TestCutOffCallsTakeEffectOnceOrNotAtAll ends connections at random times: all acknowledged changes are
// stored, and the log of changes agrees with the published set.
func TestCutOffCallsTakeEffectOnceOrNotAtAll(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Database(t)
	s := openTest(t, url)
	create(t, s, "acme")
	ctx, stop := context.WithCancel(t.Context())
	var (
		writers         sync.WaitGroup
		mu              sync.Mutex
		acknowledged    = map[uuid.UUID]bool{} // whether it was revoked
		failed, reading atomic.Int32
	)
	for range 4 {
		writers.Go(func() {
			for ctx.Err() == nil {
				k, err := s.Issue(t.Context(), storetest.NewRecord("acme", "o"), storetest.NewKey(t), nil)
				if errors.Is(err, store.ErrDuplicateKID) || errors.Is(err, store.ErrExists) {
					t.Errorf("issued twice: %v", err)
				}
				if err != nil {
					failed.Add(1)
					continue
				}
				_, err = s.Revoke(t.Context(), "acme", k.ID, time.Now())
				mu.Lock()
				acknowledged[k.ID] = err == nil
				mu.Unlock()
			}
		})
	}
	writers.Go(func() {
		for ctx.Err() == nil {
			if _, err := s.Workspace(t.Context(), "acme"); err != nil {
				reading.Add(1)
			}
		}
	})
	for range 8 {
		terminate(t, server, url, "true")
	}
	stop()
	writers.Wait()
	t.Logf("%d acknowledged, %d issues and %d reads failed", len(acknowledged), failed.Load(), reading.Load())
	for id, revoked := range acknowledged {
		k, err := s.Key(t.Context(), "acme", id)
		if err != nil || (revoked && k.RevokedVersion == 0) {
			t.Fatalf("got %+v, %v, revoked was %v", k, err, revoked)
		}
	}
	checkLog(t, s)
}

// checkLog checks that the log of acme has no gap and adds up to its published set.
func checkLog(t *testing.T, s *Store) {
	t.Helper()
	storetest.Replays(t, s, "acme")
}

func TestADatabaseThatIsAwayIsToldSoonAndFoundAgain(t *testing.T) {
	server := pgtest.Start(t, nil)
	s := openTest(t, server.Database(t))
	create(t, s, "acme")
	k := issue(t, s, "acme")
	calls := map[string]func() error{
		"Issue": func() error {
			_, err := s.Issue(t.Context(), storetest.NewRecord("acme", "o"), storetest.NewKey(t), nil)
			return err
		},
		"Revoke": func() error { _, err := s.Revoke(t.Context(), "acme", k.ID, time.Now()); return err },
		"Key":    func() error { _, err := s.Key(t.Context(), "acme", k.ID); return err },
		"Published": func() error {
			_, _, err := s.Published(t.Context(), "acme", func(jwks.Key, jwks.Attributes) error { return nil })
			return err
		},
		"Ping":  func() error { return s.Ping(t.Context()) },
		"Watch": func() error { return s.Watch(t.Context(), func(string) { t.Error("woken") }) },
	}
	for _, end := range []func(testing.TB){server.Stop, server.Crash} {
		end(t)
		for name, call := range calls {
			began := time.Now()
			if err := call(); err == nil || errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s: got %v", name, err)
			}
			if took := time.Since(began); took > callTimeout {
				t.Errorf("%s took %v", name, took)
			}
		}
		server.StartAgain(t)
		for name, call := range calls {
			if name == "Watch" {
				continue
			}
			if err := call(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	checkLog(t, s)
}

// setStandby sets synchronous_standby_names, and returns when all commits follow it.
func setStandby(t *testing.T, server *pgtest.Server, name string) {
	t.Helper()
	admin := server.URL("postgres") + "?synchronous_commit=local"
	server.Exec(t, admin, `ALTER SYSTEM SET synchronous_standby_names = '`+name+`'`)
	server.Exec(t, admin, `SELECT pg_reload_conf()`)
	testkit.Eventually(t, "the setting is in force", func() bool {
		return server.Query(t, admin, `SHOW synchronous_standby_names`)[0] == name
	})
	// Commits wait for a standby once the checkpointer has read the setting, which it does before it looks for the next request.
	for range 2 {
		server.Exec(t, admin, `CHECKPOINT`)
	}
}

// TestACommitThatNoStandbyConfirmedIsNoSuccess: if a commit's wait for the standby is cancelled, PostgreSQL
// reports success and a warning, but the store must return an error.
func TestACommitThatNoStandbyConfirmedIsNoSuccess(t *testing.T) {
	server := pgtest.Start(t, nil)
	url := server.Database(t)
	s := openTest(t, url)
	create(t, s, "acme")
	k := issue(t, s, "acme")
	spare := []store.Key{issue(t, s, "acme"), issue(t, s, "acme"), issue(t, s, "acme")}
	named := storetest.NewRecord("acme", "o")
	named.IdempotencyKey = "once"
	if _, err := s.Issue(t.Context(), named, storetest.NewKey(t), nil); err != nil {
		t.Fatal(err)
	}
	setStandby(t, server, "nobody")
	const waits = `datname = current_database() AND wait_event = 'SyncRep'`
	for name, call := range map[string]func(context.Context) error{
		"Issue": func(ctx context.Context) error {
			_, err := s.Issue(ctx, storetest.NewRecord("acme", "o"), storetest.NewKey(t), nil)
			return err
		},
		"Revoke": func(ctx context.Context) error { _, err := s.Revoke(ctx, "acme", k.ID, time.Now()); return err },
		"UpdateKey": func(ctx context.Context) error {
			_, err := s.UpdateKey(ctx, "acme", k.ID, func(_ *store.Workspace, k *store.Key) error { k.Name += "x"; return nil })
			return err
		},
		"Rotate": func(ctx context.Context) error {
			last := len(spare) - 1
			k := spare[last]
			spare = spare[:last]
			_, _, err := s.Rotate(ctx, "acme", k.ID, storetest.NewRecord("acme", "o"), storetest.NewKey(t), k.CreatedAt.Add(time.Minute), nil)
			return err
		},
		"Record": func(ctx context.Context) error {
			return s.Record(ctx, store.Entry{Workspace: "acme", At: time.Now(), Action: "x"})
		},
		"CreateWorkspace": func(ctx context.Context) error {
			_, err := s.CreateWorkspace(ctx, store.Workspace{ID: uuid.NewString()}, storetest.NewKey(t))
			return err
		},
	} {
		for _, cancel := range []string{"pg_cancel_backend(pid)", "pg_terminate_backend(pid, 20000)"} {
			done := make(chan error, 1)
			go func() { done <- call(t.Context()) }()
			testkit.Eventually(t, name+" waits for the standby", func() bool {
				return server.Query(t, url, `SELECT count(*) FROM pg_stat_activity WHERE `+waits)[0] == "1"
			})
			server.Query(t, url, `SELECT `+cancel+`::text FROM pg_stat_activity WHERE `+waits)
			select {
			case err := <-done:
				if err == nil {
					t.Errorf("%s is acknowledged after %s", name, cancel)
				}
			case <-time.After(2 * callTimeout):
				t.Fatalf("%s hangs", name)
			}
		}
		// The store must also return an error if the caller's own context ends.
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got %v", name, err)
		}
		cancel()
		testkit.Eventually(t, "the database knows that "+name+" was cancelled", func() bool { // or the next one would be taken for it
			return server.Query(t, url, `SELECT count(*) FROM pg_stat_activity WHERE `+waits)[0] == "0"
		})
	}
	// A failover can still lose the earlier key, so an error must not name this key yet.
	repeat := func(ctx context.Context) error {
		again := storetest.NewRecord("acme", "o")
		again.IdempotencyKey = named.IdempotencyKey
		_, err := s.Issue(ctx, again, storetest.NewKey(t), nil)
		return err
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := repeat(ctx); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, store.ErrIdempotencyKey) {
		t.Errorf("a repeated issue: %v", err)
	}
	setStandby(t, server, "")
	if err := repeat(t.Context()); !errors.Is(err, store.ErrIdempotencyKey) {
		t.Errorf("a repeated issue, confirmed: %v", err)
	}
	issue(t, s, "acme")
	checkLog(t, s)
}

// TestOtherWarningsAreNoFailure: a warning from an administrator's trigger does not mean that a commit failed.
func TestOtherWarningsAreNoFailure(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Database(t)
	s := openTest(t, url)
	create(t, s, "acme")
	server.Exec(t, url, `CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN RAISE WARNING 'look here'; RETURN NULL; END $$;
		CREATE TRIGGER warn AFTER UPDATE ON workspaces EXECUTE FUNCTION warn()`)
	k := issue(t, s, "acme")
	if _, err := s.Revoke(t.Context(), "acme", k.ID, time.Now()); err != nil {
		t.Error(err)
	}
}
