package postgres

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/store/postgres/pgtest"
)

// watching runs Watch and returns channels with the workspaces it reports and the error at its end.
func watching(t *testing.T, s *Store) (wakes chan string, ended chan error, cancel func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	wakes, ended = make(chan string, 1000), make(chan error, 1)
	go func() { ended <- s.Watch(ctx, func(workspace string) { wakes <- workspace }) }()
	expect(t, wakes, "")
	return wakes, ended, cancel
}

func expect(t *testing.T, wakes chan string, want string) {
	t.Helper()
	select {
	case got := <-wakes:
		if got != want {
			t.Fatalf("woken for %q, want %q", got, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("not woken for %q", want)
	}
}

func TestWatchIsWokenByAnotherStoresCommits(t *testing.T) {
	url := pgtest.Shared(t).Database(t)
	here, there := openTest(t, url), openTest(t, url)
	wakes, ended, cancel := watching(t, here)
	create(t, there, "acme")
	expect(t, wakes, "acme")
	create(t, there, "beta")
	expect(t, wakes, "beta")
	k := issue(t, there, "acme")
	expect(t, wakes, "acme")
	if _, err := there.Revoke(t.Context(), "acme", k.ID, time.Now()); err != nil {
		t.Fatal(err)
	}
	expect(t, wakes, "acme")
	if _, err := there.Revoke(t.Context(), "acme", k.ID, time.Now()); err != nil {
		t.Fatal(err)
	}
	create(t, there, "gamma") // nothing came of the second revocation
	expect(t, wakes, "gamma")
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestTheLastHintsAreSentByClose: a server that stops still notifies other servers of its last commits.
func TestTheLastHintsAreSentByClose(t *testing.T) {
	url := pgtest.Shared(t).Database(t)
	here := openTest(t, url)
	names := []string{"a", "b", "c", "d"}
	for _, name := range names {
		create(t, here, name)
	}
	wakes, _, _ := watching(t, here)
	create(t, here, "end")
	for got := ""; got != "end"; { // no hint of creating is under way any more
		got = <-wakes
	}
	for range 5 {
		there := openTest(t, url)
		for _, name := range names {
			issue(t, there, name)
		}
		if err := there.Close(); err != nil {
			t.Fatal(err)
		}
		for seen := map[string]bool{}; len(seen) < len(names); {
			select {
			case name := <-wakes:
				seen[name] = true
			case <-time.After(20 * time.Second):
				t.Fatalf("woken for %v alone", seen)
			}
		}
	}
}

func TestWatchReturnsWhenItsConnectionIsLost(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Database(t)
	s := openTest(t, url)
	_, ended, _ := watching(t, s)
	terminate(t, server, url, `query LIKE 'LISTEN%'`)
	select {
	case err := <-ended:
		if err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("Watch goes on")
	}
	wakes, ended, cancel := watching(t, s)
	create(t, s, "acme")
	expect(t, wakes, "acme")
	cancel()
	<-ended
	testkit.Eventually(t, "its connection is closed", func() bool {
		return server.Query(t, url, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
			AND query LIKE 'LISTEN%'`)[0] == "0"
	})
}

func TestCloseEndsWatch(t *testing.T) {
	s := openTest(t, pgtest.Shared(t).Schema(t))
	_, ended, _ := watching(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, errClosed) {
		t.Errorf("got %v", err)
	}
	if err := s.Watch(t.Context(), func(string) { t.Error("woken") }); !errors.Is(err, errClosed) {
		t.Errorf("got %v", err)
	}
}
