package publish_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/sqlite"
	"github.com/burnkey/burnkey/store/storetest"
)

// server is a store with a Publisher that publishes its changes.
type server struct {
	t         *testing.T
	path      string // of the database
	store     *storetest.Faulty
	publisher *publish.Publisher
}

var newFile = storetest.Files(func(ctx context.Context, path string) (store.Store, error) { return sqlite.Open(ctx, path) })

// newServer returns a server with an empty database.
func newServer(t *testing.T) *server {
	t.Helper()
	return serverOn(t, newFile(t))
}

func serverOn(t *testing.T, path string) *server {
	t.Helper()
	db, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &server{t: t, path: path, store: &storetest.Faulty{Store: db}}
	s.publisher = publish.NewPublisher(s.store, nil)
	if err := s.publisher.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *server) workspace(id string) {
	s.t.Helper()
	tombstone := storetest.NewKey(s.t)
	w, err := s.store.CreateWorkspace(s.t.Context(), store.Workspace{ID: id}, tombstone)
	if err != nil {
		s.t.Fatal(err)
	}
	s.publisher.Apply(s.t.Context(), id, jwks.Change{Version: w.Version, Add: []jwks.Key{tombstone}})
}

// Issue issues a key and publishes it.
func (s *server) Issue(ctx context.Context, workspace string) (store.Key, error) {
	pub := storetest.NewKey(s.t)
	k, err := s.store.Issue(ctx, storetest.NewRecord(workspace, "a"), pub, nil)
	if err == nil {
		s.publisher.Apply(ctx, workspace, jwks.Change{Version: k.Version, Add: []jwks.Key{pub}})
	}
	return k, err
}

func (s *server) issue(workspace string) store.Key {
	s.t.Helper()
	k, err := s.Issue(s.t.Context(), workspace)
	if err != nil {
		s.t.Fatal(err)
	}
	return k
}

// Revoke revokes a key and publishes that.
func (s *server) Revoke(ctx context.Context, k store.Key) error {
	k, err := s.store.Revoke(ctx, k.Workspace, k.ID, k.CreatedAt)
	if err == nil {
		s.publisher.Apply(ctx, k.Workspace, jwks.Change{Version: k.RevokedVersion, Remove: []jwks.KID{k.KID}})
	}
	return err
}

// set returns the set that this server publishes.
func (s *server) set(workspace string) *publish.Set {
	s.t.Helper()
	set, ok := s.publisher.Set(workspace)
	if !ok {
		s.t.Fatalf("%s has no set", workspace)
	}
	return set
}

func (s *server) publishes(workspace string, kid jwks.KID) bool {
	s.t.Helper()
	_, ok := s.set(workspace).Lookup(kid)
	return ok
}

// exec changes the database directly.
func (s *server) exec(query string, args ...any) {
	s.t.Helper()
	db, err := sql.Open("sqlite", s.path+"?_pragma=busy_timeout(30000)") // a server may be writing
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(s.t.Context(), query, args...); err != nil {
		s.t.Fatal(err)
	}
}
