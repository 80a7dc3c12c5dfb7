package authz_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store/storetest"
)

// Changes are applied in a different order than they were committed in. Half of the callers use a second server
// on the same database.
func TestPublisherUnderConcurrency(t *testing.T) {
	const callers, rounds = 16, 6
	servers := [2]*server{newServer(t)}
	servers[0].workspace("acme")
	servers[1] = serverOn(t, servers[0].path)
	servers[0].minter.blank, servers[1].minter.blank = true, true
	var all sync.WaitGroup
	for i := range callers {
		s := servers[i%2]
		all.Go(func() {
			for round := range rounds {
				issued, err := s.Issue(context.Background(), "acme", authz.IssueRequest{Owner: "a"})
				if err != nil || !s.publishes("acme", issued.KID) {
					t.Errorf("issue: %v, or not published when it returned", err)
					return
				}
				if round%2 == 0 {
					continue
				}
				if _, err := s.Revoke(context.Background(), "acme", issued.ID); err != nil || s.publishes("acme", issued.KID) {
					t.Errorf("revoke: %v, or published when it returned", err)
				}
			}
		})
	}
	all.Wait()
	for _, s := range servers {
		if err := s.publisher.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		storetest.Agrees(t, s.store.Store, "acme", s.set("acme"))
	}
	if got := servers[0].version("acme"); got != 1+callers*rounds*3/2 {
		t.Errorf("version %d", got)
	}
}

// Creating a workspace succeeds even if its set can't be read at that moment.
func TestCreateWorkspaceWhenPublishingFails(t *testing.T) {
	s := newServer(t)
	s.store.Fail("Published")
	if _, err := s.CreateWorkspace(t.Context(), authz.WorkspaceRequest{ID: "acme"}); err != nil {
		t.Errorf("%v, but it is there", err)
	}
	s.store.Heal()
	issued := s.issue("acme", authz.IssueRequest{})
	if issued.ID == uuid.Nil || !s.publishes("acme", issued.KID) {
		t.Error("its keys are not published afterwards")
	}
	storetest.Agrees(t, s.store.Store, "acme", s.set("acme"))
}

func TestCreateWorkspaceFails(t *testing.T) {
	for _, method := range []string{"Workspace", "CreateWorkspace"} {
		s := newServer(t)
		s.store.Fail(method)
		if _, err := s.CreateWorkspace(t.Context(), authz.WorkspaceRequest{ID: "acme"}); !errors.Is(err, storetest.ErrBroken) {
			t.Errorf("%s: %v", method, err)
		}
		if _, ok := s.publisher.Set("acme"); ok {
			t.Errorf("%s: it is published", method)
		}
	}
}
