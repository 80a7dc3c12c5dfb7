package authz_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

func (s *server) link(r authz.LinkRequest) authz.Secret {
	s.t.Helper()
	if r.Owner == "" {
		r.Owner = "cust_1"
	}
	secret, _, err := s.PortalLink(s.t.Context(), "acme", r)
	if err != nil {
		s.t.Fatal(err)
	}
	return secret
}

func TestALinkOpensOneSession(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	link := s.link(authz.LinkRequest{ScopesAllowed: []string{"maps:read"}, ReturnURL: "https://app.example.com/settings"})
	if _, err := s.Session(t.Context(), link); !errors.Is(err, authz.ErrNoSession) {
		t.Error("the link itself is a session:", err)
	}
	for range 2 {
		if asked, err := s.Link(t.Context(), link); err != nil || asked.Owner != "cust_1" || asked.Workspace != "acme" {
			t.Errorf("it is for %+v, %v", asked, err)
		}
	}
	secret, session, err := s.StartSession(t.Context(), link, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []authz.Secret{link, secret, "x"} {
		if _, err := s.Link(t.Context(), text); !errors.Is(err, authz.ErrNoSession) {
			t.Error("what is no link any more is one:", err)
		}
	}
	if session.Owner != "cust_1" || session.Workspace != "acme" || session.Role != store.RoleOwner ||
		len(session.ScopesAllowed) != 1 || session.ReturnURL != "https://app.example.com/settings" {
		t.Errorf("the session is %+v", session)
	}
	if _, _, err := s.StartSession(t.Context(), link, false); !errors.Is(err, authz.ErrNoSession) {
		t.Error("the link works twice:", err)
	}
	if _, _, err := s.StartSession(t.Context(), secret, false); !errors.Is(err, authz.ErrNoSession) {
		t.Error("a session's secret is a link:", err)
	}
	found, err := s.Session(t.Context(), secret)
	if err != nil || found.Owner != "cust_1" {
		t.Error(found, err)
	}
	s.clock.Advance(authz.SessionLife)
	if _, err := s.Session(t.Context(), secret); !errors.Is(err, authz.ErrNoSession) {
		t.Error("it does not end:", err)
	}
}

func TestALinkOfAnOperator(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	link, _, err := s.PortalLink(t.Context(), "acme", authz.LinkRequest{Role: store.RoleOperator, Subject: "staff"})
	if err != nil {
		t.Fatal(err)
	}
	who := store.Actor{Kind: store.ActorSession, From: "192.0.2.1"} // whom only the link knows
	_, session, err := s.StartSession(store.By(t.Context(), who), link, false)
	if err != nil || session.Role != store.RoleOperator || session.Owner != "" || session.Subject != "staff" ||
		session.ExpiresAt.Sub(session.CreatedAt) != authz.LoginLife {
		t.Errorf("%+v, %v", session, err)
	}
	who.Kind, who.ID = store.ActorOperator, "staff"
	entries, _, err := s.Audit(t.Context(), "acme", store.AuditFilter{Action: store.ActionSessionStart, Limit: 1})
	if err != nil || len(entries) != 1 || entries[0].Actor != who {
		t.Errorf("the audit has %+v, %v", entries, err)
	}
}

// Revoking a management key ends the unused links that it made, and the sessions that they opened. Expiry of
// the key does not.
func TestARevokedKeyEndsWhatItOpened(t *testing.T) {
	s := newHome(t)
	s.workspace("acme")
	manager := func() authz.Issued {
		return s.issue(authz.Home, authz.IssueRequest{Scopes: []string{authz.ScopeAdmin}, ExpiresIn: seconds(60)})
	}
	revoked, expired := manager(), manager()
	link := func(workspace, role, owner string, by authz.Issued) authz.Secret {
		t.Helper()
		secret, _, err := s.PortalLink(t.Context(), workspace, authz.LinkRequest{Role: role, Owner: owner, MadeBy: by.ID})
		if err != nil {
			t.Fatal(err)
		}
		return secret
	}
	type links struct{ unopened, owner, operator, all authz.Secret }
	made := func(by authz.Issued) links {
		l := links{
			link("acme", "", "cust_1", by), link("acme", "", "cust_1", by), link("acme", store.RoleOperator, "", by),
			link(authz.Home, store.RoleOperator, "", by),
		}
		for _, secret := range []*authz.Secret{&l.owner, &l.operator, &l.all} {
			var err error
			if *secret, _, err = s.StartSession(t.Context(), *secret, false); err != nil {
				t.Fatal(err)
			}
		}
		return l
	}
	ended, kept := made(revoked), made(expired)
	s.clock.Advance(time.Minute)
	good := func(l links, want error) {
		t.Helper()
		for name, secret := range map[string]authz.Secret{"an owner's": l.owner, "an operator's": l.operator, "that over all": l.all} {
			if _, err := s.Session(t.Context(), secret); !errors.Is(err, want) {
				t.Errorf("%s session: %v, want %v", name, err, want)
			}
		}
		if _, err := s.Link(t.Context(), l.unopened); !errors.Is(err, want) {
			t.Errorf("the link: %v, want %v", err, want)
		}
		if _, _, err := s.StartSession(t.Context(), l.unopened, false); !errors.Is(err, want) {
			t.Errorf("opening the link: %v, want %v", err, want)
		}
	}
	if _, err := s.Revoke(t.Context(), authz.Home, revoked.ID); err != nil {
		t.Fatal(err)
	}
	good(ended, authz.ErrNoSession)
	good(kept, nil)
	entries, _, err := s.Audit(t.Context(), "acme", store.AuditFilter{Result: store.ResultRefused, Limit: 10})
	if err != nil || len(entries) != 1 || entries[0].Owner != "cust_1" || string(entries[0].Detail) != `{"reason":"revoked-key"}` {
		t.Errorf("the refusals that are noted are %+v, %v", entries, err)
	}
}

func TestALinkEnds(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	link := s.link(authz.LinkRequest{ExpiresIn: seconds(60)})
	s.clock.Advance(time.Minute)
	if _, _, err := s.StartSession(t.Context(), link, false); !errors.Is(err, authz.ErrNoSession) {
		t.Error(err)
	}
}

func TestEndSession(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	secret, _, err := s.StartSession(t.Context(), s.link(authz.LinkRequest{}), false)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.EndSession(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Session(t.Context(), secret); !errors.Is(err, authz.ErrNoSession) {
		t.Error(err)
	}
}

// A session that another server ended can't list anything here, even in a call in progress, whose context does
// not end. Otherwise, an export would continue to its last page.
func TestASessionThatEndedElsewhereReadsNoMore(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	secret, session, err := s.StartSession(t.Context(), s.link(authz.LinkRequest{}), false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := s.AsSession(t.Context(), session)
	defer leave()
	reads := map[string]func() error{
		"audit":      func() error { _, _, err := s.Audit(ctx, "acme", store.AuditFilter{Limit: 1}); return err },
		"keys":       func() error { _, _, err := s.Keys(ctx, "acme", store.Filter{Limit: 1}); return err },
		"workspaces": func() error { _, _, err := s.Workspaces(ctx, store.WorkspaceFilter{Limit: 1}); return err },
	}
	for name, read := range reads {
		if err := read(); err != nil {
			t.Errorf("%s before the end: %v", name, err)
		}
	}
	if err := serverOn(t, s.path).EndSession(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	for name, read := range reads {
		if err := authz.Ended(ctx, read()); !errors.Is(err, authz.ErrNoSession) {
			t.Errorf("%s after the end: %v", name, err)
		}
	}
}

func TestNoSessionForWhatIsNoSecret(t *testing.T) {
	s := newServer(t)
	for _, text := range []authz.Secret{"", "x", authz.Secret(strings.Repeat("A", 43)), authz.Secret(strings.Repeat("A", 44))} {
		if _, err := s.Session(t.Context(), text); !errors.Is(err, authz.ErrNoSession) {
			t.Errorf("%d characters: %v", len(text), err)
		}
		if _, _, err := s.StartSession(t.Context(), text, false); !errors.Is(err, authz.ErrNoSession) {
			t.Errorf("%d characters as a link: %v", len(text), err)
		}
	}
}

func TestPortalLinkInput(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.patch(func(set *store.Workspace) {
		set.Policy = store.Policy{Scopes: []store.OfferedScope{{Name: "maps:read"}}}
	})
	for _, test := range []struct {
		name, field string
		r           authz.LinkRequest
	}{
		{"no owner", "owner", authz.LinkRequest{}},
		{"a scope that is not offered", "scopes_allowed", authz.LinkRequest{Owner: "c", ScopesAllowed: []string{"admin"}}},
		{"a script to return to", "return_url", authz.LinkRequest{Owner: "c", ReturnURL: "javascript:alert(1)"}},
		{"a user in the URL", "return_url", authz.LinkRequest{Owner: "c", ReturnURL: "https://a:b@example.com"}},
		{"a relative URL", "return_url", authz.LinkRequest{Owner: "c", ReturnURL: "/settings"}},
		{"too short a life", "expires_in", authz.LinkRequest{Owner: "c", ExpiresIn: seconds(59)}},
		{"a subject that is more than a line", "subject", authz.LinkRequest{Owner: "c", Subject: "a\nb"}},
		{"an unknown role", "role", authz.LinkRequest{Role: "admin", Owner: "c"}},
		{"an operator with an owner", "owner", authz.LinkRequest{Role: store.RoleOperator, Owner: "c"}},
		{"an operator with scopes", "scopes_allowed", authz.LinkRequest{Role: store.RoleOperator, ScopesAllowed: []string{}}},
		{"too long a life", "expires_in", authz.LinkRequest{Owner: "c", ExpiresIn: seconds(3601)}},
	} {
		var bad authz.InputError
		if _, _, err := s.PortalLink(t.Context(), "acme", test.r); !errors.As(err, &bad) || bad[0].Field != test.field {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	if _, _, err := s.PortalLink(t.Context(), "nosuch", authz.LinkRequest{Owner: "c"}); !errors.Is(err, authz.ErrNotFound) {
		t.Error(err)
	}
}

// The database stores only hashes of secrets, and a hash opens nothing.
func TestNoSecretAtRest(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	link, other := s.link(authz.LinkRequest{}), s.link(authz.LinkRequest{})
	session, _, err := s.StartSession(t.Context(), link, false)
	if err != nil {
		t.Fatal(err)
	}
	login, _, err := s.StartLogin(t.Context(), "acme", authz.Login{Role: store.RoleOperator, Subject: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{s.path, s.path + "-wal"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []authz.Secret{link, other, session, login} {
			if bytes.Contains(data, []byte(secret.Reveal())) {
				t.Error("a secret is in", file)
			}
		}
	}
}
