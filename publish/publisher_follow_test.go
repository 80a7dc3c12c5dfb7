package publish_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
	"github.com/burnkey/burnkey/store/sqlite"
	"github.com/burnkey/burnkey/store/storetest"
)

// hinted is a store whose hints are sent by the test.
type hinted struct {
	*storetest.Faulty
	hints chan string // "lost" ends the Watch
}

func (h *hinted) Watch(ctx context.Context, wake func(string)) error {
	wake("")
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case hint := <-h.hints:
			if hint == "lost" {
				return storetest.ErrBroken
			}
			wake(hint)
		}
	}
}

// follow runs a Publisher that follows the server's database until the test ends.
func follow(t *testing.T, s *server, o publish.FollowOptions) (*publish.Publisher, *hinted, *prometheus.Registry, *testkit.Log) {
	t.Helper()
	registry, log := prometheus.NewRegistry(), new(testkit.Log)
	db, err := sqlite.Open(t.Context(), s.path)
	if err != nil {
		t.Fatal(err)
	}
	h := &hinted{&storetest.Faulty{Store: db}, make(chan string)}
	publisher := publish.NewPublisher(h, registry)
	o.Log = slog.New(slog.NewTextHandler(log, nil))
	ctx, cancel := context.WithCancel(context.Background())
	var following sync.WaitGroup
	following.Go(func() { publisher.Follow(ctx, o) })
	t.Cleanup(func() {
		cancel()
		following.Wait()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return publisher, h, registry, log
}

func reaches(p *publish.Publisher, workspace string, version uint64) func() bool {
	return func() bool {
		set, ok := p.Set(workspace)
		return ok && set.Version() == version
	}
}

const (
	never       = 24 * time.Hour
	keptChanges = 10000 // of the log
)

// Without polling, a hint alone suffices.
func TestFollowHints(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	p, h, _, log := follow(t, s, publish.FollowOptions{Every: never})
	testkit.Eventually(t, "the set is read at the beginning", reaches(p, "acme", 1))

	s.issue("acme")
	s.issue("acme")
	h.hints <- "acme"
	testkit.Eventually(t, "the hint is followed", reaches(p, "acme", 3))
	s.workspace("new")
	h.hints <- "new"
	testkit.Eventually(t, "a new workspace is followed", reaches(p, "new", 1))
	h.hints <- "nobody" // is no reason to stop

	s.issue("acme")
	h.hints <- "lost"
	testkit.Eventually(t, "the lost hint is made up for", reaches(p, "acme", 4))
	if !strings.Contains(log.String(), "lost the store's hints") {
		t.Error("the log does not say so")
	}
}

// A hint for one workspace is handled while another workspace's large set is being read.
func TestFollowHintsBesideALongRead(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	p, h, _, _ := follow(t, s, publish.FollowOptions{Every: 5 * time.Millisecond})
	testkit.Eventually(t, "the set is read", reaches(p, "acme", 1))
	reading, done := make(chan struct{}), make(chan struct{})
	defer close(done)
	var once sync.Once
	h.Hook("Published", func(ctx context.Context) error {
		once.Do(func() { close(reading) })
		<-done
		return ctx.Err()
	})
	s.workspace("large")
	<-reading
	s.issue("acme")
	h.hints <- "acme"
	testkit.Eventually(t, "the hint is followed", reaches(p, "acme", 2))
}

func TestCheckFindsAnyDivergence(t *testing.T) {
	for name, damage := range map[string]string{
		"the last JWK deleted by hand":  `DELETE FROM jwks WHERE kid = (SELECT max(kid) FROM jwks WHERE workspace = 'acme')`,
		"the first JWK deleted by hand": `DELETE FROM jwks WHERE kid = (SELECT min(kid) FROM jwks WHERE workspace = 'acme')`,
		"a JWK inserted by hand":        `UPDATE jwks SET workspace = 'acme' WHERE workspace = 'other'`,
		"attributes set by hand":        `UPDATE jwks SET attributes = '{"never_expires":true}'`,
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.workspace("acme")
			s.workspace("other")
			s.issue("acme")
			s.issue("acme")
			p, _, registry, _ := follow(t, s, publish.FollowOptions{Every: time.Millisecond})
			testkit.Eventually(t, "the set is read", reaches(p, "acme", 3))
			if err := p.Check(t.Context(), "acme"); err != nil {
				t.Fatalf("a set that is the store's: %v", err)
			}
			expectMetric(t, registry, "burnkey_publish_divergences_total", 0)
			index, _ := p.Index("acme")
			s.exec(damage)
			if err := p.Check(t.Context(), "acme"); !errors.Is(err, publish.ErrDiverged) {
				t.Errorf("got %v", err)
			}
			expectMetric(t, registry, "burnkey_publish_divergences_total", 1)
			if err := p.Check(t.Context(), "acme"); err != nil {
				t.Errorf("it is not mended: %v", err)
			}
			if now, _ := p.Index("acme"); now != index {
				t.Error("watchers of the index watch another one")
			}
			s.publisher = p
			storetest.Agrees(t, s.store.Store, "acme", s.set("acme"))
		})
	}
}

// While servers run, their database is restored to an earlier state.
func TestFollowARewoundStore(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	kept := s.issue("acme")
	p, _, registry, log := follow(t, s, publish.FollowOptions{Every: time.Millisecond})
	testkit.Eventually(t, "the first key is published", reaches(p, "acme", 2))
	s.issue("acme")
	lost := s.issue("acme")
	testkit.Eventually(t, "all keys are published", reaches(p, "acme", 4))
	s.exec(`DELETE FROM jwks WHERE kid IN (SELECT kid FROM keys WHERE version > 2);
		DELETE FROM keys WHERE version > 2; DELETE FROM changes WHERE workspace = 'acme' AND version > 2;
		UPDATE workspaces SET version = 2 WHERE id = 'acme'`)
	testkit.Eventually(t, "the store's state is published", reaches(p, "acme", 2))
	set, _ := p.Set("acme")
	if _, ok := set.Lookup(lost.KID); ok {
		t.Error("a key is published that the store has not")
	}
	if _, ok := set.Lookup(kept.KID); !ok {
		t.Error("a key is not published that the store has")
	}
	expectMetric(t, registry, "burnkey_publish_divergences_total", 1)
	testkit.Eventually(t, "the log tells", func() bool { return strings.Contains(log.String(), "differed from the database") })
}

// Changes during a comparison are not reported as a divergence, and none of them is lost.
func TestCheckUnderLoad(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	p, h, registry, _ := follow(t, s, publish.FollowOptions{Every: time.Millisecond, CheckEvery: time.Millisecond})
	testkit.Eventually(t, "the set is read", reaches(p, "acme", 1))
	var reads atomic.Int64
	change := func(context.Context) error { // between the set that is compared and what is read
		if reads.Add(1) > 30 {
			return nil
		}
		_, err := s.Issue(context.Background(), "acme")
		if err != nil {
			return err
		}
		passing, err := s.Issue(context.Background(), "acme")
		if err != nil {
			return err
		}
		err = s.Revoke(context.Background(), passing)
		return err
	}
	h.Hook("Versions", change)
	h.Hook("Published", change)
	testkit.Eventually(t, "30 sets were compared", func() bool {
		if err := p.Check(t.Context(), "acme"); err != nil {
			t.Error(err)
		}
		return reads.Load() > 30
	})
	expectMetric(t, registry, "burnkey_publish_divergences_total", 0)
	testkit.Eventually(t, "the last change is followed", reaches(p, "acme", 1+3*30))
	set, _ := p.Set("acme")
	storetest.Agrees(t, s.store.Store, "acme", set)
}

// The set that replaces a wrong set must include the changes that were published while it was read.
func TestCheckUndoesNothing(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	victim := s.issue("acme")
	s.exec(`DELETE FROM jwks WHERE kid NOT IN (SELECT kid FROM keys)`)
	published := 0
	s.store.HookAfter("Published", func() error {
		if published++; published == 1 { // the set that was read still has the key
			err := s.Revoke(context.Background(), victim)
			return err
		}
		return nil
	})
	if err := s.publisher.Check(t.Context(), "acme"); !errors.Is(err, publish.ErrDiverged) {
		t.Errorf("got %v", err)
	}
	if published != 1 || s.publishes("acme", victim.KID) {
		t.Errorf("after %d reads the revoked key is published again", published)
	}
	storetest.Agrees(t, s.store.Store, "acme", s.set("acme"))
}

func TestFollowCompacts(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	const changes = keptChanges + 5
	s.exec(`WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i <= ?)
		INSERT INTO changes (workspace, version, added, removed) SELECT 'acme', i, x'', x'' FROM n`, changes)
	s.exec(`UPDATE workspaces SET version = ?`, changes+1)
	p, h, _, _ := follow(t, s, publish.FollowOptions{Every: never, CompactEvery: time.Millisecond})
	testkit.Eventually(t, "the set is read", reaches(p, "acme", changes+1))
	var log []jwks.Change
	testkit.Eventually(t, "the log is shorter", func() bool {
		var err error
		log, err = h.Store.Changes(t.Context(), "acme", changes+1-keptChanges, 2)
		if err != nil {
			t.Fatal(err)
		}
		_, err = h.Store.Changes(t.Context(), "acme", changes-keptChanges, 2)
		return err != nil
	})
	if len(log) != 2 || log[0].Version != changes+2-keptChanges {
		t.Errorf("the log begins with %+v", log)
	}
}

// The check reads a set only if the fingerprint of the published set differs from the stored fingerprint.
func TestFollowComparesFingerprints(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.issue("acme")
	p, h, registry, _ := follow(t, s, publish.FollowOptions{Every: never, CheckEvery: time.Millisecond})
	testkit.Eventually(t, "the set is read", reaches(p, "acme", 2))
	compared := h.Called("Versions")
	testkit.Eventually(t, "it is compared", func() bool { return h.Called("Versions") > compared+5 })
	if n := h.Called("Published"); n != 1 {
		t.Errorf("a set that does not differ was read %d times", n)
	}
	s.exec(`DELETE FROM jwks WHERE kid IN (SELECT kid FROM keys)`)
	testkit.Eventually(t, "the deleted key is no longer published", func() bool {
		set, _ := p.Set("acme")
		return set.Len() == 1
	})
	expectMetric(t, registry, "burnkey_publish_divergences_total", 1)
}
