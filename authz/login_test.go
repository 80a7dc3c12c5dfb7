package authz_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

func TestWhatIsALogin(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	_, linked, err := s.StartSession(t.Context(), s.link(authz.LinkRequest{}), false)
	if err != nil || linked.Login {
		t.Error("a link's session is a login's:", err)
	}
	for _, owner := range []string{"cust_1", ""} {
		secret, session, err := s.StartLogin(t.Context(), "acme", owner, "jo")
		if err != nil || !session.Login {
			t.Errorf("%q: the session is no login's: %v", owner, err)
		}
		if kept, err := s.Session(t.Context(), secret); err != nil || !kept.Login {
			t.Errorf("%q: as it is kept, it is no login's: %v", owner, err)
		}
	}
}

// What strangers can write is bounded, and one workspace's strangers take nothing from
// another's.
func TestRefusedLogins(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.workspace("other")
	noted := func(workspace string) []store.Entry {
		entries, err := s.Audit(t.Context(), workspace, store.AuditFilter{Action: store.ActionLoginRefuse, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		return entries
	}
	refuse := func(workspace string, times int) {
		for range times {
			ctx := store.By(t.Context(), store.Actor{Kind: store.ActorOIDC, ID: "jo", From: "192.0.2.1"})
			if err := s.LoginRefused(ctx, workspace, "nonce"); err != nil {
				t.Fatal(err)
			}
		}
	}
	refuse("acme", 50)
	refuse("other", 1)
	if a, o := len(noted("acme")), len(noted("other")); a != 10 || o != 1 {
		t.Errorf("%d and %d are noted", a, o)
	}
	e := noted("acme")[0]
	if e.Result != store.ResultRefused || string(e.Detail) != `{"reason":"nonce"}` || fmt.Sprint(e.Actor) != "{oidc jo 192.0.2.1}" || e.Owner != "" {
		t.Errorf("the entry is %+v %s", e, e.Detail)
	}
	s.clock.advance(time.Minute)
	refuse("acme", 1)
	if n := len(noted("acme")); n != 11 {
		t.Errorf("a minute later %d are noted", n)
	}
	if err := s.LoginRefused(t.Context(), "none", "nonce"); !errors.Is(err, authz.ErrNotFound) {
		t.Error("of no workspace:", err)
	}
}
