package authz_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// environment creates an environment of acme.
func (s *server) environment(name string) store.Workspace {
	s.t.Helper()
	w, err := s.CreateWorkspace(s.t.Context(), authz.WorkspaceRequest{ID: "acme-" + name, Environment: name, EnvironmentOf: "acme"})
	if err != nil {
		s.t.Fatal(err)
	}
	return w
}

func (s *server) change(id string, change func(*store.Workspace)) (store.Workspace, error) {
	s.t.Helper()
	return s.UpdateWorkspace(s.t.Context(), id, func(w *store.Workspace) error { change(w); return nil })
}

func TestEnvironmentsAreRefusedWithTheField(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.environment("test")
	minted := s.minter.mintings()
	for _, c := range []struct {
		r     authz.WorkspaceRequest
		field string
		rule  authz.Rule
	}{
		{authz.WorkspaceRequest{EnvironmentOf: "acme"}, "environment", authz.RuleEnvironmentName},
		{authz.WorkspaceRequest{EnvironmentOf: "acme", Environment: "Test"}, "environment", authz.RuleEnvironmentName},
		{authz.WorkspaceRequest{Environment: "1"}, "environment", authz.RuleEnvironmentName},
		{authz.WorkspaceRequest{EnvironmentOf: "acme", Environment: "test"}, "environment", authz.RuleSameEnvironment},
		{authz.WorkspaceRequest{EnvironmentOf: "acme", Environment: "live"}, "environment", authz.RuleSameEnvironment},
		{authz.WorkspaceRequest{EnvironmentOf: "nobody", Environment: "test"}, "environment_of", authz.RuleNotFirst},
		{authz.WorkspaceRequest{EnvironmentOf: "acme-test", Environment: "more"}, "environment_of", authz.RuleNotFirst},
		{authz.WorkspaceRequest{EnvironmentOf: authz.Home, Environment: "test"}, "environment_of", authz.RuleNoEnvironments},
	} {
		c.r.ID = "x"
		_, err := s.CreateWorkspace(t.Context(), c.r)
		wantRule(t, err, c.field, c.rule)
	}
	if got := s.minter.mintings(); got != minted {
		t.Errorf("%d tombstones were minted for refused environments", got-minted)
	}
	for i := 1; i < store.MaxEnvironments; i++ {
		s.environment(fmt.Sprint("e", i))
	}
	_, err := s.CreateWorkspace(t.Context(), authz.WorkspaceRequest{ID: "x", EnvironmentOf: "acme", Environment: "x"})
	wantRule(t, err, "environment_of", authz.RuleTooManyEnvironments)

	_, err = s.change("acme", func(w *store.Workspace) { w.Environment = "test" })
	wantRule(t, err, "environment", authz.RuleSameEnvironment)
	_, err = s.change("acme", func(w *store.Workspace) { w.Environment = "Live" })
	wantRule(t, err, "environment", authz.RuleEnvironmentName)
	_, err = s.change("acme", func(w *store.Workspace) { w.Inherits = []string{store.PartPolicy} })
	wantRule(t, err, "inherits", authz.RuleNotEnvironment)
}

func wantRule(t *testing.T, err error, field string, rule authz.Rule) {
	t.Helper()
	var bad authz.InputError
	if !errors.As(err, &bad) || bad[0].Field != field || bad[0].Code != rule.Code {
		t.Errorf("got %v, want %s: %s", err, field, rule.Text)
	}
}

// An environment inherits a part until a change alters it, and again when a change gives it back.
func TestEnvironmentsInheritUntilTheyHaveTheirOwn(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	set := func(id string, change func(*store.Workspace)) store.Workspace {
		t.Helper()
		w, err := s.change(id, change)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	set("acme", func(w *store.Workspace) { w.Policy.KeysPerOwner, w.Portal.Accent = 3, "#000000" })
	w := s.environment("test")
	if w.Policy.KeysPerOwner != 3 || w.Portal.Accent != "#000000" || !slices.Equal(w.Audiences, []string{"acme-test"}) {
		t.Errorf("inherited: %+v", w)
	}
	for _, c := range []struct {
		what, id string
		change   func(*store.Workspace)
		want     string // inherited parts, and keys for each owner of acme-test
	}{
		{"its own addresses", "acme-test", func(w *store.Workspace) {
			w.Portal.BaseURL, w.Policy.DefaultAudience = "https://test.example", []string{"acme-test"}
		}, "[policy portal] 3"},
		{"a change of the first workspace", "acme", func(w *store.Workspace) { w.Policy.KeysPerOwner = 4 }, "[policy portal] 4"},
		{"its own policy", "acme-test", func(w *store.Workspace) { w.Policy.KeysPerOwner = 1 }, "[portal] 1"},
		{"another change of the first workspace", "acme", func(w *store.Workspace) { w.Policy.KeysPerOwner = 5 }, "[portal] 1"},
		{"its own look", "acme-test", func(w *store.Workspace) { w.Portal.DisplayName = "Test" }, "[] 1"},
		{"the policy again", "acme-test", func(w *store.Workspace) { w.Inherits = []string{store.PartPolicy} }, "[policy] 5"},
		{"allow_never_expires", "acme-test", func(w *store.Workspace) { w.AllowNeverExpires = !w.AllowNeverExpires }, "[] 5"},
	} {
		set(c.id, c.change)
		w, err := s.Workspace(t.Context(), "acme-test")
		if got := fmt.Sprint(w.Inherits, " ", w.Policy.KeysPerOwner); err != nil || got != c.want || w.Portal.BaseURL != "https://test.example" {
			t.Errorf("%s: got %s, %s, %v, want %s", c.what, got, w.Portal.BaseURL, err, c.want)
		}
	}
	_, err := s.change("acme-test", func(w *store.Workspace) {
		w.Inherits, w.Policy.KeysPerOwner = []string{store.PartPolicy}, 9
	})
	wantRule(t, err, "policy", authz.RuleInheritsOrHas)
}

// When a change of a plan returns, this server has published it in all environments.
func TestPlansOfEnvironmentsArePublished(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	if _, err := s.limits(plan("gold", "", burst...)); err != nil {
		t.Fatal(err)
	}
	s.environment("test")
	published := func(what string, want ...string) {
		t.Helper()
		if got := s.shared("acme-test"); !slices.Equal(got, want) || s.set("acme-test").Version() != s.version("acme-test") {
			t.Errorf("%s: %q, published %d of %d, want %q", what, got, s.set("acme-test").Version(), s.version("acme-test"), want)
		}
	}
	published("created", "plan/gold [{burst 100 60 }]")
	raise := func(l *store.LimitSet) error { l.Limits[0].Requests = 200; return nil }
	if _, err := s.UpdateLimits(t.Context(), "acme", jwks.OnPlan, "gold", raise); err != nil {
		t.Fatal(err)
	}
	published("changed", "plan/gold [{burst 200 60 }]")
	if err := s.DeleteLimits(t.Context(), "acme-test", jwks.OnPlan, "gold"); !errors.Is(err, authz.ErrInherited) {
		t.Error(err)
	}
	if err := s.DeleteLimits(t.Context(), "acme", jwks.OnPlan, "gold"); err != nil {
		t.Fatal(err)
	}
	published("deleted")
}

// A link opens the environments that it names, and no other.
func TestALinkOpensItsEnvironments(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.workspace("other")
	s.environment("test")
	s.environment("stage")
	for _, id := range []string{"other", "nobody"} {
		_, _, err := s.PortalLink(t.Context(), "acme", authz.LinkRequest{Owner: "cust_1", Environments: []string{"acme-test", id}})
		wantRule(t, err, "environments", authz.RuleNotFamily)
	}
	if _, err := s.change("acme-test", func(w *store.Workspace) { w.Policy.Scopes = offered("maps:read", "") }); err != nil {
		t.Fatal(err)
	}
	_, _, err := s.PortalLink(t.Context(), "acme", authz.LinkRequest{
		Owner: "cust_1", Environments: []string{"acme-test"}, ScopesAllowed: []string{"maps:write"},
	})
	wantRule(t, err, "scopes_allowed", authz.RuleScopeNotOffered)
	open := func(link authz.Secret) (opened []string) {
		t.Helper()
		_, session, err := s.StartSession(t.Context(), link, false)
		if err != nil {
			t.Fatal(err)
		}
		further, err := s.StartFurther(t.Context(), link, &session)
		if err != nil {
			t.Fatal(err)
		}
		for _, of := range further {
			found, err := s.Session(t.Context(), of.Secret)
			if err != nil || found.Workspace != of.Session.Workspace || found.Owner != "cust_1" || found.Role != store.RoleOwner {
				t.Errorf("%+v, %v", found, err)
			}
			opened = append(opened, found.Workspace)
		}
		return opened
	}
	if got := open(s.link(authz.LinkRequest{})); got != nil {
		t.Errorf("a link without environments opens %q", got)
	}
	both := s.link(authz.LinkRequest{Environments: []string{"acme", "acme-test"}})
	if got := open(both); !slices.Equal(got, []string{"acme-test"}) {
		t.Errorf("a link to two opens, besides, %q", got)
	}
	if further, err := s.StartFurther(t.Context(), both, &store.Session{Workspace: "acme"}); err != nil || len(further) > 0 {
		t.Errorf("used again, it opens %v, %v", further, err)
	}
	// The sessions of one environment can be ended before the link is used.
	all := s.link(authz.LinkRequest{Environments: []string{"acme-test", "acme-stage"}})
	if n, err := s.EndSessions(t.Context(), "acme-test", "cust_1"); n != 2 || err != nil {
		t.Errorf("ended %d, %v", n, err)
	}
	if got := open(all); !slices.Equal(got, []string{"acme-stage"}) {
		t.Errorf("after the end of one, it opens %q", got)
	}
	// An ended link opens nothing: its holder can compute no text that opens a part by itself.
	ended := s.link(authz.LinkRequest{Environments: []string{"acme-test"}})
	if _, err := s.EndSessions(t.Context(), "acme", "cust_1"); err != nil {
		t.Fatal(err)
	}
	part := "burnkey environment\x00acme-test\x00" + ended.Reveal()
	sum := sha256.Sum256([]byte(part))
	for _, text := range []string{ended.Reveal(), part, base64.RawURLEncoding.EncodeToString(sum[:])} {
		if _, session, err := s.StartSession(t.Context(), authz.Secret(text), false); !errors.Is(err, authz.ErrNoSession) {
			t.Errorf("an ended link opens %s: %v", session.Workspace, err)
		}
	}
}
