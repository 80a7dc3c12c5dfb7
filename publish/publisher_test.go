package publish_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
	"github.com/burnkey/burnkey/store/storetest"
)

// If changes arrive out of order, the Publisher reads the missing change.
func TestPublisherReadsTheChangeThatIsMissing(t *testing.T) {
	here := newServer(t)
	here.workspace("acme")
	elsewhere := serverOn(t, here.path)
	theirs := elsewhere.issue("acme")
	ours := here.issue("acme")
	if !here.publishes("acme", theirs.KID) || !here.publishes("acme", ours.KID) {
		t.Error("a change is missing")
	}
	if here.store.Called("Published") != 1 {
		t.Error("the whole set was read, although a change was enough")
	}
	storetest.Agrees(t, here.store.Store, "acme", here.set("acme"))
}

func TestPublisherLoad(t *testing.T) {
	here := newServer(t)
	here.workspace("acme")
	elsewhere := serverOn(t, here.path)
	elsewhere.workspace("new")
	for range 7 {
		elsewhere.issue("acme")
	}
	if err := elsewhere.Revoke(t.Context(), elsewhere.issue("acme")); err != nil {
		t.Fatal(err)
	}
	if _, ok := here.publisher.Set("new"); ok || here.set("acme").Len() != 1 {
		t.Fatal("it knows already")
	}
	if err := here.publisher.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	storetest.Agrees(t, here.store.Store, "acme", here.set("acme"))
	storetest.Agrees(t, here.store.Store, "new", here.set("new"))
	if _, ok := here.publisher.Set("nobody"); ok {
		t.Error("a workspace that does not exist has a set")
	}
	before := here.store.Called("Changes")
	if err := here.publisher.Load(t.Context()); err != nil || here.store.Called("Changes") != before {
		t.Errorf("%v; what is up to date was read again", err)
	}
}

// After a failure the last good set stays published, and other tenants' sets are not delayed.
func TestPublisherLoadFails(t *testing.T) {
	for _, method := range []string{"Versions", "Changes", "Published"} {
		t.Run(method, func(t *testing.T) {
			here := newServer(t)
			for _, workspace := range []string{"a", "b", "c"} {
				here.workspace(workspace)
			}
			elsewhere := serverOn(t, here.path)
			elsewhere.issue("a")
			elsewhere.workspace("new")
			good := here.set("a")
			here.store.Fail(method)
			if err := here.publisher.Load(t.Context()); !errors.Is(err, storetest.ErrBroken) {
				t.Errorf("got %v, want the store's error", err)
			}
			if method != "Published" && here.set("a") != good {
				t.Error("the last good set was given up")
			}
			here.store.Heal()
			if err := here.publisher.Load(t.Context()); err != nil {
				t.Error(err)
			}
			storetest.Agrees(t, here.store.Store, "a", here.set("a"))
			storetest.Agrees(t, here.store.Store, "new", here.set("new"))
		})
	}
}

func TestPublisherLoadGoesOnBehindAFailure(t *testing.T) {
	here := newServer(t)
	elsewhere := serverOn(t, here.path)
	names := strings.Fields("a b c d e f g h")
	for _, workspace := range names {
		elsewhere.workspace(workspace)
	}
	first := true
	here.store.Hook("Published", func(context.Context) error {
		if first {
			first = false
			return storetest.ErrBroken
		}
		return nil
	})
	if err := here.publisher.Load(t.Context()); !errors.Is(err, storetest.ErrBroken) {
		t.Errorf("got %v", err)
	}
	published := 0
	for _, workspace := range names {
		if _, ok := here.publisher.Set(workspace); ok {
			published++
		}
	}
	if published != len(names)-1 {
		t.Errorf("%d of %d sets were read, want all but one", published, len(names))
	}
}

// If the log does not lead to the store's set, the Publisher reads the set instead.
func TestPublisherDiverged(t *testing.T) {
	stranger := storetest.NewKey(t)
	for name, alter := range map[string]func([]jwks.Change) []jwks.Change{
		"no changes":           func([]jwks.Change) []jwks.Change { return nil },
		"a gap":                func(c []jwks.Change) []jwks.Change { return append(c[:1:1], c[2:]...) },
		"a gap further on":     func(c []jwks.Change) []jwks.Change { return append(c[:2:2], c[3:]...) },
		"an unknown key goes":  func(c []jwks.Change) []jwks.Change { c[1].Remove = []jwks.KID{stranger.KID()}; return c },
		"a known key is added": func(c []jwks.Change) []jwks.Change { c[2].Add = c[1].Add; return c },
		// The last published change belongs to another history.
		"another key led here": func(c []jwks.Change) []jwks.Change { c[0].Add = []jwks.Key{stranger}; return c },
		"the last key is gone": func(c []jwks.Change) []jwks.Change {
			c[0] = jwks.Change{Version: 1, Remove: []jwks.KID{c[0].Add[0].KID()}}
			return c
		},
	} {
		t.Run(name, func(t *testing.T) {
			here := newServer(t)
			here.workspace("acme")
			elsewhere := serverOn(t, here.path)
			for range 4 {
				elsewhere.issue("acme")
			}
			here.store.Alter(func(c []jwks.Change) []jwks.Change {
				if len(c) < 3 { // once the set was read
					return c
				}
				return alter(c)
			})
			if err := here.publisher.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
			storetest.Agrees(t, here.store.Store, "acme", here.set("acme"))
			if here.store.Called("Published") != 2 {
				t.Errorf("the set was read %d times, want at first and now", here.store.Called("Published"))
			}
		})
	}
}

// still is an empty store that works in a synctest bubble.
type still struct {
	storetest.Faulty
	loads chan struct{}
}

func (s *still) Versions(context.Context, func(string, uint64, jwks.Fingerprint) error) error {
	s.loads <- struct{}{}
	return s.Enter(context.Background(), "Versions")
}

func (s *still) Watch(ctx context.Context, _ func(string)) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		s := &still{loads: make(chan struct{}, 100)}
		publisher := publish.NewPublisher(s, registry)
		ctx, cancel := context.WithCancel(t.Context())
		var log bytes.Buffer
		var following sync.WaitGroup
		following.Go(func() {
			publisher.Follow(ctx, publish.FollowOptions{Every: time.Second, Log: slog.New(slog.NewTextHandler(&log, nil))})
		})

		s.Fail("Versions")
		<-time.After(2500 * time.Millisecond) // synctest's time, which takes none
		synctest.Wait()
		if len(s.loads) != 2 {
			t.Errorf("looked %d times in 2.5 s, want 2", len(s.loads))
		}
		expectMetric(t, registry, "burnkey_publish_failures_total", 2)
		if n, err := testutil.GatherAndCount(registry, "burnkey_publish_age_seconds"); n != 0 || err != nil {
			t.Errorf("an age of nothing: %d, %v", n, err)
		}
		s.Heal()
		<-time.After(time.Second)
		synctest.Wait()
		<-time.After(250 * time.Millisecond)
		expectMetric(t, registry, "burnkey_publish_age_seconds", 0.75)
		expectMetric(t, registry, "burnkey_publish_failures_total", 2)
		cancel()
		following.Wait()
		if got := strings.Count(log.String(), storetest.ErrBroken.Error()); got != 1 || strings.Count(log.String(), "recovered: ") != 1 {
			t.Errorf("a failure that went on for a second was logged %d times: %s", got, log.String())
		}
	})
}

func expectMetric(t *testing.T, registry *prometheus.Registry, name string, want float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		m := f.GetMetric()[0]
		if got := m.GetGauge().GetValue() + m.GetCounter().GetValue(); got < want-1e-6 || got > want+1e-6 {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
		return
	}
	t.Errorf("there is no %s", name)
}

// The end of the context is not logged as a failure, even while versions are read.
func TestFollowEndsQuietly(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	serverOn(t, s.path).issue("acme")
	ctx, cancel := context.WithCancel(t.Context())
	s.store.Hook("Versions", func(context.Context) error {
		cancel()
		return ctx.Err()
	})
	registry := prometheus.NewRegistry()
	publisher := publish.NewPublisher(s.store, registry)
	publisher.Follow(ctx, publish.FollowOptions{Every: time.Millisecond, Log: slog.New(slog.DiscardHandler)})
	expectMetric(t, registry, "burnkey_publish_failures_total", 0)
}

func TestPublisherMetrics(t *testing.T) {
	s := newServer(t)
	registry := prometheus.NewRegistry()
	s.publisher = publish.NewPublisher(s.store, registry)
	expectMetric(t, registry, "burnkey_workspaces", 0)
	s.workspace("acme")
	s.workspace("other")
	issued := s.issue("acme")
	expectMetric(t, registry, "burnkey_workspaces", 2)
	expectMetric(t, registry, "burnkey_published_keys", 3)
	if err := s.Revoke(t.Context(), issued); err != nil {
		t.Fatal(err)
	}
	expectMetric(t, registry, "burnkey_published_keys", 2)

	serverOn(t, s.path).issue("acme")
	s.store.Fail("Changes")
	s.issue("acme")
	expectMetric(t, registry, "burnkey_publish_failures_total", 1)
}
