package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
	"github.com/burnkey/burnkey/store/storetest"
)

func TestWaitingForTheWriterEndsWithTheContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "burnkey.db")
	s := openTest(t, path)
	create(t, s, "acme")
	blocked, unblock := make(chan struct{}), make(chan struct{})
	done := make(chan error)
	hold := func(holder *Store) {
		done <- holder.write(t.Context(), func(*tx) error {
			close(blocked)
			<-unblock
			return nil
		})
	}
	for name, holder := range map[string]*Store{"this store's": s, "another process's": openTest(t, path)} {
		blocked, unblock = make(chan struct{}), make(chan struct{})
		go hold(holder)
		<-blocked
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		began := time.Now()
		_, err := s.Issue(ctx, storetest.NewRecord("acme", "o"), storetest.NewKey(t), nil)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waiting for %s: got %v", name, err)
		}
		if waited := time.Since(began); waited > 8*time.Second {
			t.Errorf("waiting for %s: took %v", name, waited)
		}
		cancel()
		// Reads do not wait for writes.
		if _, err := s.Workspace(t.Context(), "acme"); err != nil {
			t.Error(err)
		}
		close(unblock)
		if err := <-done; err != nil {
			t.Error(err)
		}
		k, err := s.Issue(t.Context(), storetest.NewRecord("acme", "o"), storetest.NewKey(t), nil)
		if err != nil {
			t.Error(err)
		}
		if _, err := s.Revoke(t.Context(), "acme", k.ID, time.Now()); err != nil {
			t.Error(err)
		}
	}
}

// Only a few of one caller's writes wait for the only connection at the same time, because the connection
// serves writes in no particular order.
func TestOneCallersWritesKeepNobodyWaiting(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "burnkey.db"))
	create(t, s, store.Home)
	caller := func() context.Context {
		k, err := s.Issue(t.Context(), storetest.NewRecord(store.Home, "o"), storetest.NewKey(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		at := func() time.Time { return k.CreatedAt }
		return store.Under(t.Context(), store.Authority{Key: k.ID, Now: at})
	}
	many, one := caller(), caller()
	waiting := func(n int64) {
		t.Helper()
		for began := time.Now(); s.writer.Stats().WaitCount < n; runtime.Gosched() {
			if time.Since(began) > time.Minute {
				t.Fatalf("%d wait, not %d", s.writer.Stats().WaitCount, n)
			}
		}
	}
	var all sync.WaitGroup
	var order []bool // whether it was the busy caller's; one connection, so one at a time
	write := func(ctx context.Context, ones bool) {
		all.Go(func() {
			if err := s.write(ctx, func(*tx) error { order = append(order, ones); return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	blocked, unblock := make(chan struct{}), make(chan struct{})
	all.Go(func() {
		if err := s.write(t.Context(), func(*tx) error { close(blocked); <-unblock; return nil }); err != nil {
			t.Error(err)
		}
	})
	<-blocked
	before := s.writer.Stats().WaitCount
	for range 100 {
		write(many, false)
	}
	waiting(before + store.AtGate)
	write(one, true)
	waiting(before + store.AtGate + 1)
	close(unblock)
	all.Wait()
	// Most writes of the busy caller still wait at the gate, so the other write comes early.
	if at := slices.Index(order, true); at > 20 {
		t.Errorf("another's write was number %d of %d", at+1, len(order))
	}
}

func TestAPanicInAChangeUndoesIt(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "burnkey.db"))
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
}

func TestWhatJSONCannotHoldIsRefused(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "burnkey.db"))
	create(t, s, "acme")
	k := storetest.NewRecord("acme", "o")
	k.Scopes = []string{"\xff"}
	if _, err := s.Issue(t.Context(), k, storetest.NewKey(t), nil); err == nil {
		t.Error("a scope that is not UTF-8 passes")
	}
	if _, err := s.Key(t.Context(), "acme", k.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestErrorsSayWhatWasDone(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "burnkey.db"))
	_, err := s.Issue(t.Context(), storetest.NewRecord("nobody", "o"), storetest.NewKey(t), nil)
	if err == nil || err.Error() != "sqlite: issue key: not found" {
		t.Errorf("got %v", err)
	}
}

func TestDamageIsToldAndSpreadsNowhere(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "burnkey.db"))
	create(t, s, "acme")
	k, err := s.Issue(t.Context(), storetest.NewRecord("acme", "o"), storetest.NewKey(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	damage := func(query string) {
		t.Helper()
		if _, err := s.writer.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	damage(`UPDATE jwks SET kid = zeroblob(32) WHERE n = (SELECT added FROM changes WHERE version = 2)`)
	if _, _, err := s.Published(t.Context(), "acme", func(jwks.Key, jwks.Attributes) error { return nil }); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("a JWK under a wrong kid: %v", err)
	}
	damage(`DELETE FROM jwks WHERE kid = zeroblob(32)`)
	if _, err := s.Revoke(t.Context(), "acme", k.ID, time.Now()); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a missing JWK: %v", err)
	}
	if _, err := s.Retire(t.Context(), "acme", []uuid.UUID{k.ID}, k.ExpiresAt); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("a missing JWK of what is due: %v", err)
	}
	if w, err := s.Workspace(t.Context(), "acme"); err != nil || w.Version != 2 {
		t.Errorf("the failed revocation took a version: %+v, %v", w, err)
	}
	if got, err := s.Key(t.Context(), "acme", k.ID); err != nil || !got.RevokedAt.IsZero() {
		t.Errorf("the failed revocation was stored: %+v, %v", got, err)
	}
	damage(`UPDATE changes SET added = zeroblob(256) WHERE version = 2`)
	if _, err := s.Changes(t.Context(), "acme", 0, 10); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("a corrupt change: %v", err)
	}
}

// TestRequestsUseIndexes checks that no query of a request sorts or reads a whole table.
func TestRequestsUseIndexes(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "burnkey.db"))
	queries := []storetest.Query{bare(selectJWKs)}
	for _, query := range append(readQueries, writeQueries...) {
		queries = append(queries, bare(query))
	}
	for _, f := range []store.Filter{
		{},
		{Owner: "o"},
		{After: uuid.Max},
		{Owner: "o", After: uuid.Max},
		{Status: store.Active},
		{Status: store.Expired, Owner: "o"},
		{Query: "q"},
		{Query: uuid.NewString(), Owner: "o"},
		{Query: strings.Repeat("A", 43), Status: store.Revoked},
		{Status: store.Deprecated, Owner: "o"},
		{Scope: "x"},
		{CreatedBefore: time.Now()},
		{Owner: "o", Live: true, After: uuid.Max},
		{Live: true},
		{Live: true, Owner: "o", Scope: "x", CreatedBefore: time.Now()},
		{Live: true, UnusedSince: time.Now()},
		{Owner: "o", UnusedSince: time.Now()},
	} {
		f.Limit, f.Rows = 50, 100
		listed := storetest.Queries(t, f.Query, func(q rows.Query) error {
			_, _, err := dialect.Keys(q, "acme", f)
			return err
		})
		index := "keys_by_owner"
		if f.Status == store.Deprecated {
			index = "keys_in_grace"
		}
		if plan := explain(t, s, listed[len(listed)-2]); f.Owner != "" && !strings.Contains(plan, index) {
			t.Errorf("%+v does not use %s:\n%s", f, index, plan)
		}
		queries = append(queries, listed...)
	}
	environments := storetest.Queries(t, "acme", func(q rows.Query) error {
		_, _, err := dialect.Workspaces(q, store.WorkspaceFilter{EnvironmentOf: "acme", Limit: store.MaxEnvironments})
		return err
	})
	queries = append(queries, environments...)
	for _, query := range []storetest.Query{bare(selectEnvironments), environments[0]} {
		if plan := explain(t, s, query); !strings.Contains(plan, "workspaces_by_first") {
			t.Errorf("%s\ndoes not use the index:\n%s", query.Text, plan)
		}
	}
	for _, f := range []store.AuditFilter{
		{},
		{After: uuid.Max},
		{Owner: "o"},
		{Owner: "o", Action: "x", After: uuid.Max},
		{Key: uuid.Max, Result: "ok"},
		{Since: time.Now(), Until: time.Now()},
	} {
		f.Limit, f.Rows = 50, 100
		listed := storetest.Queries(t, "", func(q rows.Query) error {
			_, _, err := dialect.Audit(q, "acme", f)
			return err
		})
		for index, named := range map[string]bool{"audit_by_owner": f.Owner != "", "audit_by_key": f.Key != uuid.Nil} {
			if plan := explain(t, s, listed[len(listed)-2]); named && !strings.Contains(plan, index) {
				t.Errorf("%+v does not use %s:\n%s", f, index, plan)
			}
		}
		queries = append(queries, listed...)
	}
	for index, f := range map[string]store.RequestFilter{
		"sqlite_autoindex_requests_1": {After: uuid.Max}, "requests_by_status": {Status: store.RequestOpen},
		"requests_by_owner": {Owner: "o", Status: store.RequestOpen},
		"requests_by_key":   {Key: uuid.Max},
	} {
		f.Limit = 50
		listed := storetest.Queries(t, "", func(q rows.Query) error {
			_, _, err := dialect.Requests(q, "acme", f)
			return err
		})
		if plan := explain(t, s, listed[0]); !strings.Contains(plan, index) {
			t.Errorf("%+v does not use %s:\n%s", f, index, plan)
		}
		queries = append(queries, listed...)
	}
	if plan := explain(t, s, bare(rows.ListUnsent)); !strings.Contains(plan, "requests_unsent") {
		t.Errorf("the search for unsent requests uses another index:\n%s", plan)
	}
	if plan := explain(t, s, bare(countGrace)); !strings.Contains(plan, "keys_in_grace") {
		t.Errorf("the count of keys in their grace uses another index:\n%s", plan)
	}
	for query, index := range map[string]string{
		deleteSilent: "usage_reporters_by_report", deleteOldest: "usage_reporters_by_report", updateUntil: "usage_reporters_by_until",
		upsertReporter: "", upsertReport: "", upsertUse: "", endSessions: "sessions_by_owner", pruneSessions: "sessions_by_expiry",
		cutAudit: "sqlite_autoindex_audit_1",
	} {
		if plan := explain(t, s, bare(query)); !strings.Contains(plan, index) {
			t.Errorf("%s\ndoes not use %s:\n%s", query, index, plan)
		}
		queries = append(queries, bare(query))
	}
	for _, query := range queries {
		plan := strings.NewReplacer("SCAN json_each", "", "SCAN (subquery", "", "SCAN found", "").Replace(explain(t, s, query)) // short ones
		if strings.Contains(plan, "SCAN") || strings.Contains(plan, "TEMP B-TREE") || strings.Contains(plan, "MULTI-INDEX") {
			t.Errorf("%s\n%s", query.Text, plan)
		}
	}
}

// TestOperatorsUseIndexes: lists in an order, searches of all workspaces and counts sort nothing and read no whole table.
func TestOperatorsUseIndexes(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "burnkey.db"))
	for index, queries := range storetest.OperatorQueries(t, &dialect, "acme") {
		if index == "keys_pkey" {
			index = "sqlite_autoindex_keys"
		}
		for _, query := range queries {
			plan := strings.ReplaceAll(explain(t, s, query), "SCAN found", "") // the limited rows
			if !strings.Contains(plan, index) || strings.Contains(plan, "SCAN") || strings.Contains(plan, "TEMP B-TREE") {
				t.Errorf("%s %v does not use %s:\n%s", query.Text, query.Args, index, plan)
			}
		}
	}
	count := storetest.Query{Text: rows.CountLive, Args: []any{"acme", 1, 2, 3}}
	if plan := explain(t, s, count); !strings.Contains(plan, "COVERING INDEX keys_live") {
		t.Errorf("the count reads records:\n%s", plan)
	}
}

// bare returns a query with NULL for each argument.
func bare(query string) storetest.Query {
	return storetest.Query{Text: query, Args: make([]any, strings.Count(query, "?")+strings.Count(query, "$"))}
}

func explain(t *testing.T, s *Store, query storetest.Query) string {
	t.Helper()
	found, err := s.writer.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query.Text, query.Args...)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	var plan strings.Builder
	for found.Next() {
		var id, parent, unused int
		var detail string
		if err := found.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan.WriteString("  " + detail + "\n")
	}
	return plan.String()
}
