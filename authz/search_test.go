package authz_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/publish"
	"github.com/burnkey/burnkey/store"
)

// slow is a Store whose lists return only when their context ends.
type slow struct {
	store.Store
	mu            sync.Mutex
	running, most int
}

func (s *slow) Standing(context.Context) error { return nil }

func (s *slow) Workspace(context.Context, string) (store.Workspace, error) {
	return store.Workspace{}, nil
}

func (s *slow) Keys(ctx context.Context, _ string, _ store.Filter) ([]store.Key, uuid.UUID, error) {
	return nil, uuid.Nil, s.look(ctx)
}

func (s *slow) Audit(ctx context.Context, _ string, _ store.AuditFilter) ([]store.Entry, uuid.UUID, error) {
	return nil, uuid.Nil, s.look(ctx)
}

func (s *slow) Workspaces(ctx context.Context, _ store.WorkspaceFilter) ([]store.Workspace, string, error) {
	return nil, "", s.look(ctx)
}

func (s *slow) look(ctx context.Context) error {
	s.mu.Lock()
	s.running++
	s.most = max(s.most, s.running)
	s.mu.Unlock()
	<-ctx.Done()
	s.mu.Lock()
	s.running--
	s.mu.Unlock()
	return ctx.Err()
}

// Searches without an index are limited in number and in time, including the time in the queue.
func TestSearchesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &slow{}
		s := authz.New(authz.Options{Store: st, Publisher: publish.NewPublisher(st, nil)})
		var all sync.WaitGroup
		for range 5 {
			for _, f := range []store.Filter{{Query: "x", Limit: 1}, {Status: store.Active, Limit: 1}} {
				all.Go(func() {
					if _, _, err := s.Keys(t.Context(), "acme", f); !errors.Is(err, authz.ErrTooSlow) {
						t.Errorf("got %v", err)
					}
				})
			}
		}
		for _, f := range []store.AuditFilter{{Action: "x", Limit: 1}, {ActorID: "x", Limit: 1}, {Result: "x", Limit: 1}} {
			all.Go(func() {
				if _, _, err := s.Audit(t.Context(), "acme", f); !errors.Is(err, authz.ErrTooSlow) {
					t.Errorf("%+v: %v", f, err)
				}
			})
		}
		all.Go(func() {
			if _, _, err := s.Workspaces(t.Context(), store.WorkspaceFilter{Query: "x", Limit: 1}); !errors.Is(err, authz.ErrTooSlow) {
				t.Errorf("workspaces: %v", err)
			}
		})
		all.Wait()
		if st.most != max(2, runtime.GOMAXPROCS(0)) {
			t.Errorf("%d searched at once", st.most)
		}
	})
}

// A search that a client cancels is not counted as slow.
func TestSearchClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &slow{}
		s := authz.New(authz.Options{Store: st, Publisher: publish.NewPublisher(st, nil)})
		ctx, leave := context.WithCancel(t.Context())
		go func() { synctest.Wait(); leave() }()
		if _, _, err := s.Keys(ctx, "acme", store.Filter{Query: "x", Limit: 1}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

// swift is a Store whose lists are empty.
type swift struct{ slow }

func (s *swift) Keys(context.Context, string, store.Filter) ([]store.Key, uuid.UUID, error) {
	return nil, uuid.Nil, nil
}

// A caller that sends one request after another is never crowded, however fast it is.
func TestSuccessiveReadsAreNotCrowded(t *testing.T) {
	st := &swift{}
	s := authz.New(authz.Options{Store: st, Publisher: publish.NewPublisher(st, nil)})
	session := store.Session{Workspace: "acme", Owner: "cust_1"}
	for i := range 10_000 {
		ctx, done := s.AsSession(t.Context(), session)
		_, _, err := s.Keys(authz.BySession(ctx, &session), "acme", store.Filter{Limit: 1})
		done()
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
}
