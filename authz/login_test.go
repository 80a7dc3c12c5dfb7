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
	for role, owner := range map[string]string{store.RoleOwner: "cust_1", store.RoleOperator: ""} {
		secret, session, err := s.StartLogin(t.Context(), "acme", authz.Login{Role: role, Owner: owner, Subject: "jo"})
		if err != nil || !session.Login || session.Role != role || session.Owner != owner {
			t.Errorf("%s: the session is %+v, %v", role, session, err)
		}
		if kept, err := s.Session(t.Context(), secret); err != nil || !kept.Login {
			t.Errorf("%s: it was not stored as a login: %v", role, err)
		}
	}
}

// A login is refused if its role, owner or subject is missing, or is not valid for the workspace.
func TestNobodyLogsIn(t *testing.T) {
	s := newHome(t)
	s.workspace("acme")
	for _, c := range []struct {
		workspace, field string
		l                authz.Login
	}{
		{"acme", "owner", authz.Login{Role: store.RoleOwner, Subject: "jo"}},
		{"acme", "role", authz.Login{Subject: "jo"}},
		{"acme", "role", authz.Login{Owner: "cust_1", Subject: "jo"}},
		{"acme", "role", authz.Login{Role: "admin", Owner: "cust_1", Subject: "jo"}},
		{"acme", "owner", authz.Login{Role: store.RoleOperator, Owner: "cust_1", Subject: "jo"}},
		{"acme", "subject", authz.Login{Role: store.RoleOperator}},
		{authz.Home, "workspace", authz.Login{Role: store.RoleOwner, Owner: "cust_1", Subject: "jo"}},
		{authz.Home, "workspace", authz.Login{Role: store.RoleOwner, Subject: "jo"}},
		{authz.Home, "role", authz.Login{Subject: "jo"}},
	} {
		var bad authz.InputError
		if _, _, err := s.StartLogin(t.Context(), c.workspace, c.l); !errors.As(err, &bad) || bad[0].Field != c.field {
			t.Errorf("%s %+v: %v", c.workspace, c.l, err)
		}
	}
}

// A session covers all workspaces if it belongs to an operator of Home.
func TestOperatorsOfAllWorkspaces(t *testing.T) {
	s := newHome(t)
	s.workspace("acme")
	for workspace, all := range map[string]bool{authz.Home: true, "acme": false} {
		_, login, err := s.StartLogin(t.Context(), workspace, authz.Login{Role: store.RoleOperator, Subject: "jo"})
		if err != nil || authz.OperatesAll(&login) != all {
			t.Errorf("by a login to %s: %+v, %v", workspace, login, err)
		}
		link, _, err := s.PortalLink(t.Context(), workspace, authz.LinkRequest{Role: store.RoleOperator, Subject: "jo"})
		if err != nil {
			t.Fatal(err)
		}
		_, linked, err := s.StartSession(t.Context(), link, false)
		if err != nil || authz.OperatesAll(&linked) != all {
			t.Errorf("by a link to %s: %+v, %v", workspace, linked, err)
		}
	}
	var bad authz.InputError
	if _, _, err := s.PortalLink(t.Context(), authz.Home, authz.LinkRequest{Owner: "cust_1"}); !errors.As(err, &bad) ||
		bad[0].Field != "workspace" {
		t.Error("an owner's link:", err)
	}
	if authz.OperatesAll(&store.Session{Workspace: authz.Home, Role: store.RoleOwner}) ||
		authz.OperatesAll(&store.Session{Workspace: authz.Home}) {
		t.Error("an owner is an operator")
	}
}

// Audit entries about refused logins of unknown callers are limited, for each workspace separately.
func TestRefusedLogins(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.workspace("other")
	noted := func(workspace string) []store.Entry {
		entries, _, err := s.Audit(t.Context(), workspace, store.AuditFilter{Action: store.ActionLoginRefuse, Limit: 1000})
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
	if e.Result != store.ResultRefused || string(e.Detail) != `{"reason":"nonce"}` ||
		fmt.Sprint(e.Actor) != "{oidc jo 192.0.2.1}" || e.Owner != "" {
		t.Errorf("the entry is %+v %s", e, e.Detail)
	}
	s.clock.Advance(time.Minute)
	refuse("acme", 1)
	if n := len(noted("acme")); n != 11 {
		t.Errorf("a minute later %d are noted", n)
	}
	if err := s.LoginRefused(t.Context(), "none", "nonce"); !errors.Is(err, authz.ErrNotFound) {
		t.Error("of no workspace:", err)
	}
}

// Until an expired link is pruned, its use is recorded with its owner, as often as refused logins are. The use
// of an unknown link is not recorded.
func TestExpiredLinksAreNoted(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	used, late, kept := s.link(authz.LinkRequest{}), s.link(authz.LinkRequest{}), s.link(authz.LinkRequest{ExpiresIn: seconds(3600)})
	session, _, err := s.StartSession(t.Context(), used, false)
	if err != nil {
		t.Fatal(err)
	}
	noted := func() []store.Entry {
		entries, _, err := s.Audit(t.Context(), "acme", store.AuditFilter{Result: store.ResultRefused, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		return entries
	}
	open := func(secret authz.Secret) {
		t.Helper()
		ctx := store.By(t.Context(), store.Actor{Kind: store.ActorSession, From: "192.0.2.1"})
		if _, _, err := s.StartSession(ctx, secret, false); !errors.Is(err, authz.ErrNoSession) {
			t.Error("it is opened:", err)
		}
	}
	s.clock.Advance(authz.SessionLife)
	for _, secret := range []authz.Secret{used, session, authz.Secret(string(kept)[1:] + "A")} {
		open(secret)
	}
	if entries := noted(); len(entries) != 0 {
		t.Errorf("noted of what is no link: %+v", entries)
	}
	for range 20 {
		open(late)
	}
	entries := noted()
	if len(entries) != 10 {
		t.Fatalf("%d are noted", len(entries))
	}
	if e := entries[0]; e.Action != store.ActionLoginRefuse || e.Owner != "cust_1" ||
		string(e.Detail) != `{"reason":"expired-link"}` || e.Actor.From != "192.0.2.1" {
		t.Errorf("the entry is %+v %s", e, e.Detail)
	}
	if _, _, err := s.StartSession(t.Context(), kept, false); err != nil {
		t.Error("another link:", err)
	}
	s.clock.Advance(time.Minute)
	if err := s.store.PruneSessions(t.Context(), s.Now()); err != nil {
		t.Fatal(err)
	}
	if open(late); len(noted()) != 10 {
		t.Error("a link that is gone is noted")
	}
}
