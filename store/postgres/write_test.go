package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/postgres/pgtest"
	"github.com/burnkey/burnkey/store/storetest"
)

// TestWorkspacesDoNotWaitForOneAnother: while more writers wait for one workspace's row than there are
// connections, a write to another workspace succeeds.
func TestWorkspacesDoNotWaitForOneAnother(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Database(t)
	s := openTest(t, url)
	create(t, s, "a")
	create(t, s, "b")
	k := issue(t, s, "a")
	holder, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close(context.WithoutCancel(t.Context()))
	if _, err := holder.Exec(t.Context(), `BEGIN; SELECT FROM workspaces WHERE id = 'a' FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var waiting sync.WaitGroup
	for i := range 3 * maxConns {
		waiting.Go(func() {
			var err error
			if i%2 == 0 {
				_, err = s.Issue(ctx, storetest.NewRecord("a", "o"), storetest.NewKey(t), nil)
			} else {
				_, err = s.Revoke(ctx, "a", k.ID, time.Now())
			}
			if !errors.Is(err, context.Canceled) {
				t.Errorf("waiting for the lock: got %v", err)
			}
		})
	}
	waiters := func(n int) func() bool {
		return func() bool {
			return server.Query(t, url, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
				AND wait_event_type = 'Lock'`)[0] == fmt.Sprint(n)
		}
	}
	testkit.Eventually(t, "writers wait for the lock", waiters(store.AtGate))
	began := time.Now()
	for range 20 {
		issue(t, s, "b")
		if _, err := s.Workspace(t.Context(), "a"); err != nil {
			t.Error(err)
		}
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("others waited %v", took)
	}
	cancel()
	waiting.Wait()
	testkit.Eventually(t, "the database knows that they were cancelled", waiters(0))
	if _, err := holder.Exec(t.Context(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	if w, err := s.Workspace(t.Context(), "a"); err != nil || w.Version != 2 {
		t.Errorf("what was cancelled took effect: %+v, %v", w, err)
	}
	if _, err := s.Revoke(t.Context(), "a", k.ID, time.Now()); err != nil {
		t.Error(err)
	}
	if n := s.gate.Names(); n != 0 {
		t.Errorf("%d gates remain", n)
	}
}

// Only a few of one caller's writes to a workspace wait for its row at the same time.
func TestOneCallersWritesKeepNobodyWaiting(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Database(t)
	s := openTest(t, url)
	create(t, s, store.Home)
	create(t, s, "a")
	under := func() context.Context {
		return store.Under(t.Context(), store.Authority{Key: issue(t, s, store.Home).ID, Now: func() time.Time { return time.Time{} }})
	}
	many, one := under(), under()
	holder, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close(context.WithoutCancel(t.Context()))
	if _, err := holder.Exec(t.Context(), `BEGIN; SELECT FROM workspaces WHERE id = 'a' FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	var waiting sync.WaitGroup
	versions := make(chan uint64, 1)
	write := func(ctx context.Context, then func(uint64)) {
		record, key := storetest.NewRecord("a", "o"), storetest.NewKey(t)
		waiting.Go(func() {
			k, err := s.Issue(ctx, record, key, nil)
			if err != nil {
				t.Error(err)
			}
			then(k.Version)
		})
	}
	for range 50 {
		write(many, func(uint64) {})
	}
	testkit.Eventually(t, "writers wait for the lock", func() bool {
		return server.Query(t, url, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
			AND wait_event_type = 'Lock'`)[0] == fmt.Sprint(store.AtGate)
	})
	write(one, func(version uint64) { versions <- version })
	testkit.Eventually(t, "another comes to the gate", func() bool { return s.callers.Names() == 2 })
	if _, err := holder.Exec(t.Context(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	waiting.Wait()
	if version := <-versions; version > 10 { // version 1 is the workspace's own
		t.Errorf("another's write was number %d of 51", version-1)
	}
}

func TestWaitingForALockEnds(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Schema(t)
	openTest(t, url) // its migrations may wait for longer
	s := openTest(t, with(t, url, "lock_timeout", "100ms"))
	create(t, s, "a")
	err := s.write(t.Context(), "x", inTx(func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT FROM workspaces WHERE id = 'a' FOR UPDATE`); err != nil {
			return err
		}
		if _, err := s.Issue(ctx, storetest.NewRecord("a", "o"), storetest.NewKey(t), nil); !isCode(err, "55P03") {
			t.Errorf("got %v", err)
		}
		return nil
	}))
	if err != nil {
		t.Error(err)
	}
	issue(t, s, "a")
}

func TestAPanicInAChangeUndoesIt(t *testing.T) {
	s := openTest(t, pgtest.Shared(t).Schema(t))
	create(t, s, "acme")
	func() {
		defer func() { _ = recover() }()
		_, _ = s.UpdateWorkspace(t.Context(), "acme", func(w *store.Workspace) error {
			w.Name = "new"
			panic("in change")
		})
	}()
	w, err := s.UpdateWorkspace(t.Context(), "acme", func(*store.Workspace) error { return nil })
	if err != nil || w.Name != "" {
		t.Errorf("got %+v, %v", w, err)
	}
	if n := s.pool.Stat().AcquiredConns(); n != 0 {
		t.Errorf("%d connections are lost", n)
	}
}

func TestWhatTextCannotHoldIsRefused(t *testing.T) {
	s := openTest(t, pgtest.Shared(t).Schema(t))
	create(t, s, "acme")
	for _, bad := range []string{"\xff", "a\x00b"} {
		k := storetest.NewRecord("acme", "o")
		k.Scopes = []string{bad}
		if _, err := s.Issue(t.Context(), k, storetest.NewKey(t), nil); err == nil {
			t.Errorf("a scope %q passes", bad)
		}
		if _, err := s.Key(t.Context(), "acme", k.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("got %v", err)
		}
		if list, _, err := s.Keys(t.Context(), "acme", store.Filter{Owner: bad, Limit: 1}); err != nil || list == nil || len(list) > 0 {
			t.Errorf("got %v, %v", list, err)
		}
	}
	if w, err := s.Workspace(t.Context(), "acme"); err != nil || w.Version != 1 {
		t.Errorf("got %+v, %v", w, err)
	}
}

func TestErrorsSayWhatWasDone(t *testing.T) {
	s := openTest(t, pgtest.Shared(t).Schema(t))
	_, err := s.Issue(t.Context(), storetest.NewRecord("nobody", "o"), storetest.NewKey(t), nil)
	if err == nil || err.Error() != "postgres: issue key: not found" {
		t.Errorf("got %v", err)
	}
}

func TestDamageIsToldAndSpreadsNowhere(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Schema(t)
	s := openTest(t, url)
	create(t, s, "acme")
	k := issue(t, s, "acme")
	server.Exec(t, url, `UPDATE jwks SET kid = decode(repeat('00', 32), 'hex') WHERE kid = $1`, k.KID[:])
	if _, _, err := s.Published(t.Context(), "acme", func(jwks.Key, jwks.Attributes) error { return nil }); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("a JWK under a wrong kid: %v", err)
	}
	if _, err := s.Revoke(t.Context(), "acme", k.ID, time.Now()); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a missing JWK: %v", err)
	}
	if _, err := s.Retire(t.Context(), "acme", []uuid.UUID{k.ID}, k.ExpiresAt); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("a missing JWK of what is due: %v", err)
	}
	if got, err := s.Key(t.Context(), "acme", k.ID); err != nil || !got.RevokedAt.IsZero() {
		t.Errorf("the failed revocation was stored: %+v, %v", got, err)
	}
	// The log is ahead of its workspace, which must not use version 3 again.
	server.Exec(t, url, `INSERT INTO changes VALUES ('acme', 3, '', '')`)
	if _, err := s.Issue(t.Context(), storetest.NewRecord("acme", "o"), storetest.NewKey(t), nil); !isCode(err, uniqueViolation) {
		t.Errorf("a change that already exists: %v", err)
	}
	if w, err := s.Workspace(t.Context(), "acme"); err != nil || w.Version != 2 {
		t.Errorf("what failed took a version: %+v, %v", w, err)
	}
	server.Exec(t, url, `UPDATE changes SET added = decode(repeat('00', 256), 'hex') WHERE version = 2`)
	if _, err := s.Changes(t.Context(), "acme", 0, 10); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("a corrupt change: %v", err)
	}
}

func TestCompactGoesInSteps(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Schema(t)
	s := openTest(t, url)
	create(t, s, "acme")
	server.Exec(t, url, `INSERT INTO changes SELECT 'acme', n, '', decode(repeat('00', 32), 'hex') FROM generate_series(2, 2500) n`)
	server.Exec(t, url, `UPDATE workspaces SET version = 2500`)
	for _, step := range []struct {
		more bool
		left string
	}{{true, "1500"}, {true, "500"}, {false, "1"}, {false, "1"}} {
		more, err := s.Compact(t.Context(), "acme", 9999)
		if err != nil || more != step.more {
			t.Fatalf("got %v, %v, want %v", more, err, step.more)
		}
		if left := server.Query(t, url, `SELECT count(*) FROM changes`)[0]; left != step.left {
			t.Errorf("%s changes are left, want %s", left, step.left)
		}
	}
}
