package authz_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/storetest"
)

// reaping runs Reap until the test ends.
func (s *server) reaping(o authz.ReapOptions) *prometheus.Registry {
	s.t.Helper()
	metrics := prometheus.NewRegistry()
	o.Every, o.Metrics = time.Millisecond, metrics
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Reap(ctx, o)
	}()
	s.t.Cleanup(func() {
		cancel()
		<-done
	})
	return metrics
}

func lag(t *testing.T, metrics *prometheus.Registry) float64 {
	t.Helper()
	families, err := metrics.Gather()
	if err != nil || len(families) != 1 || families[0].GetName() != "burnkey_reap_lag_seconds" {
		t.Fatal(families, err)
	}
	return families[0].GetMetric()[0].GetGauge().GetValue()
}

// While the database does not answer, the metric shows the lag.
func TestReapLagIsNotHealedByAFailure(t *testing.T) {
	for _, broken := range [][]string{{"Retire"}, {"Retire", "NextDue"}} {
		s := newServer(t)
		s.workspace("acme")
		issued := s.issue("acme", authz.IssueRequest{ExpiresIn: seconds(60)})
		metrics := s.reaping(authz.ReapOptions{})
		testkit.Eventually(t, "Reap looks", func() bool { return s.store.Called("NextDue") > 1 })
		for _, method := range broken {
			s.store.Fail(method)
		}
		s.clock.Advance(90 * time.Second)
		seen := s.store.Called("NextDue")
		testkit.Eventually(t, "Reap fails", func() bool { return s.store.Called("NextDue") > seen+2 })
		if got := lag(t, metrics); got < 30 || got > 31 {
			t.Errorf("without %v the lag is %v s", broken, got)
		}
		s.store.Heal()
		testkit.Eventually(t, "it is made up for", func() bool { return !s.publishes("acme", issued.KID) && lag(t, metrics) == 0 })
	}
}

// twoServers returns two servers on one database, neither of which follows changes of the other.
func twoServers(t *testing.T) (s, other *server) {
	t.Helper()
	s = newServer(t)
	s.workspace("acme")
	return s, serverOn(t, s.path)
}

// due issues two keys that expire in a minute, and rotates a third, whose grace also ends in a minute.
func (s *server) due() (keys []authz.Issued) {
	s.t.Helper()
	for range 2 {
		keys = append(keys, s.issue("acme", authz.IssueRequest{ExpiresIn: seconds(60)}))
	}
	keys = append(keys, s.issue("acme", authz.IssueRequest{}))
	s.rotate(keys[2].ID, grace(time.Minute))
	return keys
}

func (s *server) load() {
	s.t.Helper()
	if err := s.publisher.Load(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

func TestWhatIsDueAtOnceLeavesByOneVersion(t *testing.T) {
	s, other := twoServers(t)
	s.workspace("shop")
	keys := s.due()
	elsewhere := s.issue("shop", authz.IssueRequest{ExpiresIn: seconds(60)})
	other.load()
	version := s.version("acme")
	s.clock.Advance(time.Minute)
	if _, err := s.ReapDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.version("acme"); got != version+1 || s.version("shop") != elsewhere.Version+1 || s.set("acme").Len() != 2 {
		t.Errorf("version %d after %d, with %d keys", got, version, s.set("acme").Len())
	}
	other.load()
	for _, key := range keys {
		if s.publishes("acme", key.KID) || other.publishes("acme", key.KID) {
			t.Errorf("%s is published", key.KID)
		}
	}
	if s.set("acme").Fingerprint() != other.set("acme").Fingerprint() || s.set("shop").Len() != 1 {
		t.Error("the servers publish different sets")
	}
}

// Another server removes two keys from the set in one change. A call for one of them publishes the whole
// change.
func TestRevokingWhatLeftAlongWithOthers(t *testing.T) {
	s, other := twoServers(t)
	keys := s.due()
	other.load()
	s.clock.Advance(time.Minute)
	if _, err := s.ReapDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Revoke(t.Context(), "acme", keys[2].ID); err != nil {
		t.Fatal(err)
	}
	if s.set("acme").Fingerprint() != other.set("acme").Fingerprint() {
		t.Error("a part of the change is published")
	}
	old := s.issue("acme", authz.IssueRequest{})
	other.load()
	s.rotate(old.ID, grace(0))
	if _, err := other.Revoke(t.Context(), "acme", old.ID); err != nil {
		t.Fatal(err)
	}
	if s.set("acme").Fingerprint() != other.set("acme").Fingerprint() {
		t.Error("a successor is not published")
	}
}

// A corrupt key does not block others.
func TestWhatCannotLeaveTogetherLeavesOneByOne(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	keys := s.due()
	version := s.version("acme")
	s.clock.Advance(time.Minute)
	var calls int
	s.store.Hook("Retire", func(context.Context) error {
		if calls++; calls < 3 { // all together, and the first
			return store.ErrDamaged
		}
		return nil
	})
	if next, err := s.ReapDue(t.Context()); !errors.Is(err, store.ErrDamaged) || next.After(s.Now()) {
		t.Errorf("next is %v, %v", next, err)
	}
	if got := s.version("acme"); got != version+2 || s.set("acme").Len() != 3 {
		t.Errorf("version %d after %d, with %d keys", got, version, s.set("acme").Len())
	}
	if !s.publishes("acme", keys[0].KID) && !s.publishes("acme", keys[1].KID) && !s.publishes("acme", keys[2].KID) {
		t.Error("the one that can't leave has left")
	}
}

// A corrupt key blocks neither other keys of its workspace nor other workspaces.
func TestADamagedKeyKeepsNoOther(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.workspace("shop")
	bad, beside := s.issue("acme", authz.IssueRequest{ExpiresIn: seconds(60)}), s.issue("acme", authz.IssueRequest{ExpiresIn: seconds(60)})
	theirs := s.issue("shop", authz.IssueRequest{ExpiresIn: seconds(61)})
	s.exec(`UPDATE keys SET scopes = '{' WHERE id = ?`, bad.ID[:])
	s.clock.Advance(2 * time.Minute)
	if next, err := s.ReapDue(t.Context()); !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), bad.ID.String()) ||
		!next.Equal(bad.ExpiresAt) {
		t.Errorf("next is %v, %v", next, err)
	}
	if s.publishes("acme", beside.KID) || s.publishes("shop", theirs.KID) || !s.publishes("acme", bad.KID) {
		t.Error("others are kept, or the one that is damaged is gone")
	}
	s.exec(`UPDATE keys SET scopes = '[]' WHERE id = ?`, bad.ID[:])
	if next, err := s.ReapDue(t.Context()); err != nil || !next.IsZero() || s.publishes("acme", bad.KID) {
		t.Errorf("after a repair next is %v, %v", next, err)
	}
}

// If many due keys can't be removed, each is tried only once, and the keys after them are removed.
func TestWhatCannotLeaveIsPassedOnce(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.workspace("shop")
	stays, leaves := s.issue("acme", authz.IssueRequest{ExpiresIn: seconds(60)}), s.issue("shop", authz.IssueRequest{ExpiresIn: seconds(60)})
	s.exec(`UPDATE keys SET expires_at = (SELECT max(expires_at) FROM keys)`)
	s.exec(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)
		INSERT INTO keys (workspace, id, kid, owner, name, scopes, audience, claims, metadata, created_at, updated_at, expires_at, version)
		SELECT workspace, randomblob(16), randomblob(32), owner, name, scopes, audience, claims, metadata, 
			created_at, updated_at, expires_at, version
		FROM keys, n WHERE id = ?`, stays.ID[:])
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var asked int
	s.store.Hook("Retire", func(context.Context) error {
		if asked++; asked < 4 { // acme's, 500 at once
			return storetest.ErrBroken
		}
		if asked > 4 { // or it would never end
			cancel()
		}
		return nil
	})
	s.clock.Advance(2 * time.Minute)
	if _, err := s.ReapDue(ctx); !errors.Is(err, storetest.ErrBroken) || asked != 4 || s.publishes("shop", leaves.KID) {
		t.Errorf("the store was asked %d times, %v", asked, err)
	}
}

// A long list of due keys does not delay shutdown: ReapDue returns when its context ends.
func TestReapDueEndsWithItsContext(t *testing.T) {
	s := newServer(t)
	workspaces := []string{"a", "b", "c"}
	for _, workspace := range workspaces {
		s.workspace(workspace)
		s.issue(workspace, authz.IssueRequest{ExpiresIn: seconds(60)})
	}
	published := func() (n int) {
		for _, workspace := range workspaces {
			n += s.set(workspace).Len() - 1
		}
		return n
	}
	s.clock.Advance(time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	s.store.Hook("Retire", func(context.Context) error { cancel(); return nil })
	if _, err := s.ReapDue(ctx); !errors.Is(err, context.Canceled) || s.store.Called("Retire") != 1 {
		t.Errorf("%v, after %d workspaces", err, s.store.Called("Retire"))
	}
	// ReapDue finishes the workspace in progress. The next call does the others.
	if n := published(); n != 2 {
		t.Errorf("%d keys are published", n)
	}
	if _, err := s.ReapDue(t.Context()); err != nil || published() != 0 {
		t.Error("they were not made up for:", err)
	}
}

// While many sessions are being deleted slowly, due keys are still removed in time.
func TestReapDoesNotWaitForSessions(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.store.Hook("PruneSessions", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	issued := s.issue("acme", authz.IssueRequest{ExpiresIn: seconds(60)})
	s.reaping(authz.ReapOptions{PruneEvery: time.Millisecond})
	testkit.Eventually(t, "sessions are being deleted", func() bool {
		s.clock.Advance(time.Millisecond)
		return s.store.Called("PruneSessions") > 0
	})
	s.clock.Advance(time.Minute)
	testkit.Eventually(t, "the key leaves", func() bool { return !s.publishes("acme", issued.KID) })
}
