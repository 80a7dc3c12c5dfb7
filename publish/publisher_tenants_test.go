package publish_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/publish"
	"github.com/burnkey/burnkey/store/storetest"
)

// While the whole set of one tenant is read, which takes long, changes of other tenants are published,
// whether hints or polling report them.
func TestFollowBesideASetThatIsReadWhole(t *testing.T) {
	for name, hint := range map[string]bool{"by hints": true, "by looking": false} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.workspace("big")
			s.workspace("small")
			every := never
			if !hint {
				every = 5 * time.Millisecond
			}
			p, h, _, log := follow(t, s, publish.FollowOptions{Every: every})
			for _, workspace := range []string{"big", "small"} {
				testkit.Eventually(t, "the sets are read", reaches(p, workspace, 1))
			}
			reading, done := make(chan struct{}, 1), make(chan struct{})
			h.Hook("Published", func(context.Context) error {
				reading <- struct{}{}
				<-done
				return nil
			})
			end := func() { close(done) }
			defer func() { end() }()
			// In one call: otherwise the Publisher could read the log before its beginning is deleted.
			s.exec(`INSERT INTO changes (workspace, version, added, removed)
					SELECT workspace, 3, added, removed FROM changes WHERE workspace = 'big';
				DELETE FROM changes WHERE workspace = 'big' AND version < 3;
				UPDATE workspaces SET version = 3 WHERE id = 'big'`)
			if hint {
				h.hints <- "big"
			}
			<-reading
			for version := uint64(2); version < 5; version++ {
				s.issue("small")
				if hint {
					h.hints <- "small"
				}
				testkit.Eventually(t, "the other's change is shown", reaches(p, "small", version))
			}
			if !hint {
				testkit.Eventually(t, "the age of a set that is not current grows, and no other's", func() bool {
					return p.AgeOf("big") > 100*time.Millisecond && p.AgeOf("small") < p.AgeOf("big") && p.Age() >= p.AgeOf("small")
				})
			}
			end()
			end = func() {}
			testkit.Eventually(t, "the big set is shown", reaches(p, "big", 3))
			if strings.Contains(log.String(), "level=ERROR") {
				t.Error(log.String())
			}
		})
	}
}

// damage makes a modulus of the workspace "bad" invalid.
const damage = `UPDATE jwks SET n = zeroblob(256) WHERE workspace = 'bad'`

// One tenant's damaged set does not keep a server from serving the other sets.
func TestLoadBesideADamagedSet(t *testing.T) {
	s := newServer(t)
	for _, workspace := range []string{"a", "bad", "c"} {
		s.workspace(workspace)
	}
	s.exec(damage)
	registry := prometheus.NewRegistry()
	p := publish.NewPublisher(s.store, registry)
	if err := p.Load(t.Context()); !errors.Is(err, publish.ErrPartly) {
		t.Errorf("got %v", err)
	}
	for workspace, damaged := range map[string]bool{"a": false, "bad": true, "c": false, "nobody": false} {
		_, ok := p.Set(workspace)
		if p.Unread(workspace) != damaged || ok != (!damaged && workspace != "nobody") {
			t.Errorf("%s: served %t, unread %t", workspace, ok, p.Unread(workspace))
		}
	}
	expectMetric(t, registry, "burnkey_workspaces_unread", 1)
	expectMetric(t, registry, "burnkey_workspaces", 2)
	first := p.AgeOf("bad")
	if err := p.Load(t.Context()); !errors.Is(err, publish.ErrPartly) {
		t.Errorf("again: %v", err)
	}
	expectMetric(t, registry, "burnkey_workspaces_damaged", 1)
	before, all, after, bad := p.AgeOf("a"), p.Age(), p.AgeOf("a"), p.AgeOf("bad")
	if all < before || all > after || bad < first {
		t.Errorf("ages: %v of the damaged, %v to %v of another, %v of all", bad, before, after, all)
	}
	s.exec(`UPDATE jwks SET n = (SELECT added FROM changes WHERE workspace = 'bad') WHERE workspace = 'bad'`)
	if err := p.Load(t.Context()); err != nil || p.Unread("bad") {
		t.Errorf("mended: %v", err)
	}
	expectMetric(t, registry, "burnkey_workspaces_damaged", 0)
	s.store.Fail("Versions")
	if err := p.Load(t.Context()); !errors.Is(err, storetest.ErrBroken) || errors.Is(err, publish.ErrPartly) {
		t.Errorf("where nothing can be read: %v", err)
	}
}

// If a change in the log can't be read, the whole set is read instead.
func TestFollowAfterADamagedChange(t *testing.T) {
	for _, at := range []int{1, 2, 3} { // the last published one, and those after it
		s := newServer(t)
		s.workspace("bad")
		p := publish.NewPublisher(s.store, nil)
		if err := p.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.issue("bad")
		s.issue("bad")
		s.exec(`UPDATE changes SET added = zeroblob(256) WHERE workspace = 'bad' AND version = ?`, at)
		if err := p.Load(t.Context()); err != nil {
			t.Errorf("change %d: %v", at, err)
		}
		s.publisher = p
		storetest.Agrees(t, s.store.Store, "bad", s.set("bad"))
	}
}

// Hints about workspaces that do not exist have no effect: anyone with access to the database can send them.
func TestFollowForeignHints(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	p, h, registry, log := follow(t, s, publish.FollowOptions{Every: never})
	testkit.Eventually(t, "the set is read", reaches(p, "acme", 1))
	for range 3 {
		h.hints <- "nobody"
	}
	testkit.Eventually(t, "a foreign hint is looked at", func() bool { return h.Called("Published") > 1 })
	s.issue("acme")
	h.hints <- "acme"
	testkit.Eventually(t, "a true hint is followed", reaches(p, "acme", 2))
	expectMetric(t, registry, "burnkey_publish_failures_total", 0)
	if strings.Contains(log.String(), "level=ERROR") {
		t.Error(log.String())
	}
}
