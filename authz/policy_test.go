package authz_test

import (
	"bytes"
	"errors"
	"image"
	"image/png"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

func picture(t *testing.T, side int) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := png.Encode(&out, image.NewGray(image.Rect(0, 0, side, side))); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// offered takes scopes as alternating names and descriptions.
func offered(pairs ...string) (scopes []store.OfferedScope) {
	for i := 0; i < len(pairs); i += 2 {
		scopes = append(scopes, store.OfferedScope{Name: pairs[i], Description: pairs[i+1]})
	}
	return scopes
}

func TestPolicyInput(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	policy := func(p store.Policy) func(*store.Workspace) error {
		return func(set *store.Workspace) error { set.Policy = p; return nil }
	}
	portal := func(p store.Portal) func(*store.Workspace) error {
		return func(set *store.Workspace) error { set.Portal = p; return nil }
	}
	oidc := func(change func(*store.OIDC)) func(*store.Workspace) error {
		o := store.OIDC{Issuer: "https://login.example.com", ClientID: "burnkey", OwnerClaim: "customer_id"}
		change(&o)
		return portal(store.Portal{OIDC: &o})
	}
	for _, test := range []struct {
		name, field string // no field: it is good
		p           func(*store.Workspace) error
	}{
		{"all of it", "", policy(store.Policy{
			Scopes: offered("maps:read", "Read maps"), MaxExpiresIn: 3600, DefaultExpiresIn: 60, KeysPerOwner: 5, DefaultAudience: []string{"web"},
		})},
		{"nothing", "", policy(store.Policy{})},
		{"no scope token", "policy.scopes", policy(store.Policy{Scopes: offered("a b", "")})},
		{"a scope twice", "policy.scopes", policy(store.Policy{Scopes: offered("a", "", "a", "x")})},
		{"a long description", "policy.scopes", policy(store.Policy{Scopes: offered("a", strings.Repeat("x", 256))})},
		{"a negative life", "policy.max_expires_in", policy(store.Policy{MaxExpiresIn: -1})},
		{"a life of eleven years", "policy.max_expires_in", policy(store.Policy{MaxExpiresIn: authz.MaxExpiresIn + 1})},
		{"a default above the maximum", "policy.default_expires_in", policy(store.Policy{MaxExpiresIn: 60, DefaultExpiresIn: 61})},
		{"a negative number of keys", "policy.keys_per_owner", policy(store.Policy{KeysPerOwner: -1})},
		{"a foreign audience", "policy.default_audience", policy(store.Policy{DefaultAudience: []string{"other"}})},
		{"a webhook", "", policy(store.Policy{Webhook: "https://hooks.acme.example/burnkey?v=1"})},
		{"a webhook in the clear", "policy.webhook", policy(store.Policy{Webhook: "http://hooks.acme.example/"})},
		{"a webhook on the server's machine", "policy.webhook", policy(store.Policy{Webhook: "http://127.0.0.1:9000/"})},
		{"a webhook with a password", "policy.webhook", policy(store.Policy{Webhook: "https://u:p@hooks.acme.example/"})},
		{"a webhook without a host", "policy.webhook", policy(store.Policy{Webhook: "https://:443/"})},
		{"a webhook with a port that no host has", "policy.webhook", policy(store.Policy{Webhook: "https://hooks.acme.example:99999/"})},
		{"a webhook at port 0", "policy.webhook", policy(store.Policy{Webhook: "https://hooks.acme.example:0/"})},
		{"a webhook that reads as another", "policy.webhook", policy(store.Policy{Webhook: "https://hooks.acme.example/\u202egnp.exe"})},
		{"a webhook with a space", "policy.webhook", policy(store.Policy{Webhook: "https://hooks.acme.example/a b"})},
		{"a webhook of another kind", "policy.webhook", policy(store.Policy{Webhook: "file:///etc/passwd"})},
		{"a long webhook", "policy.webhook", policy(store.Policy{Webhook: "https://hooks.acme.example/" + strings.Repeat("x", authz.MaxURL)})},
		{"a portal", "", portal(store.Portal{
			DisplayName: "Acme", BaseURL: "https://api.acme.example/v2", Accent: "#0a7b3c", Logo: picture(t, 64),
			FrameAncestors: []string{"https://app.acme.example", "http://localhost:3000"},
		})},
		{"no URL", "portal.base_url", portal(store.Portal{BaseURL: "api.acme.example"})},
		{"a colour by name", "portal.accent", portal(store.Portal{Accent: "red"})},
		{"a colour that ends a rule", "portal.accent", portal(store.Portal{Accent: "#000000;}"})},
		{"an SVG", "portal.logo", portal(store.Portal{Logo: []byte("<svg/>")})},
		{"a wide picture", "portal.logo", portal(store.Portal{Logo: picture(t, 1025)})},
		{"any parent", "portal.frame_ancestors", portal(store.Portal{FrameAncestors: []string{"*"}})},
		{"parents by a pattern", "portal.frame_ancestors", portal(store.Portal{FrameAncestors: []string{"https://*.example.com"}})},
		{"a parent with a path", "portal.frame_ancestors", portal(store.Portal{FrameAncestors: []string{"https://example.com/"}})},
		{
			"a directive in a parent", "portal.frame_ancestors",
			portal(store.Portal{FrameAncestors: []string{"https://example.com; script-src *"}}),
		},
		{"an OpenID provider", "", oidc(func(*store.OIDC) {})},
		{"one on the server's machine", "portal.oidc.issuer", oidc(func(o *store.OIDC) { o.Issuer = "http://127.0.0.1:5556/dex" })},
		{"one in the clear", "portal.oidc.issuer", oidc(func(o *store.OIDC) { o.Issuer = "http://login.example.com" })},
		{"one at a port that no host has", "portal.oidc.issuer", oidc(func(o *store.OIDC) { o.Issuer = "https://login.example.com:65536" })},
		{"one that reads as another", "portal.oidc.issuer", oidc(func(o *store.OIDC) { o.Issuer = "https://login.example.com/\u200bx" })},
		{"an API's URL that reads as another", "portal.base_url", portal(store.Portal{BaseURL: "https://api.example.com/\u202e1v"})},
		{"no client", "portal.oidc.client_id", oidc(func(o *store.OIDC) { o.ClientID = "" })},
		{"no owner's claim", "portal.oidc.owner_claim", oidc(func(o *store.OIDC) { o.OwnerClaim = "" })},
		{"half an operator", "portal.oidc.operator_value", oidc(func(o *store.OIDC) { o.OperatorClaim = "groups" })},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := s.UpdateWorkspace(t.Context(), "acme", test.p)
			var bad authz.InputError
			switch errors.As(err, &bad); {
			case test.field == "" && err != nil:
				t.Error(err)
			case test.field != "" && (len(bad) != 1 || bad[0].Field != test.field):
				t.Errorf("got %v, want a fault of %s", err, test.field)
			}
		})
	}
}

func TestPolicyOfIssuing(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.patch(func(set *store.Workspace) {
		set.Policy = store.Policy{
			Scopes: []store.OfferedScope{{Name: "maps:read"}, {Name: "maps:write"}}, MaxExpiresIn: 3600, DefaultExpiresIn: 60,
			KeysPerOwner: 2, DefaultAudience: []string{"batch"},
		}
	})
	issued := s.issue("acme", authz.IssueRequest{Owner: "one"})
	if issued.ExpiresAt.Unix()-issued.CreatedAt.Unix() != 60 || !slices.Equal(issued.Audience, []string{"batch"}) {
		t.Errorf("the defaults: %+v", issued.Key)
	}
	for field, r := range map[string]authz.IssueRequest{
		"scopes":        {Owner: "one", Scopes: []string{"maps:read", "admin"}},
		"expires_in":    {Owner: "one", ExpiresIn: seconds(3601)},
		"never_expires": {Owner: "one", NeverExpires: true},
	} {
		var bad authz.InputError
		if _, err := s.Issue(t.Context(), "acme", r); !errors.As(err, &bad) || len(bad) != 1 || bad[0].Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	never := true // by itself: the maximum is one for all
	s.patch(func(set *store.Workspace) { set.AllowNeverExpires = never })
	var bad authz.InputError
	if _, err := s.Issue(t.Context(), "acme", authz.IssueRequest{Owner: "one", NeverExpires: true}); !errors.As(err, &bad) ||
		bad[0].Field != "never_expires" ||
		!strings.Contains(bad[0].Detail(), "seconds at most") {
		t.Error("a key without an end, past the maximum:", err)
	}
	second := s.issue("acme", authz.IssueRequest{Owner: "one", ExpiresIn: seconds(3600), Scopes: []string{"maps:write"}})
	if _, err := s.Issue(t.Context(), "acme", authz.IssueRequest{Owner: "one"}); !errors.Is(err, authz.ErrTooMany) {
		t.Error("a third key:", err)
	}
	s.issue("acme", authz.IssueRequest{Owner: "two"}) // who has none
	if _, err := s.Revoke(t.Context(), "acme", second.ID); err != nil {
		t.Fatal(err)
	}
	s.issue("acme", authz.IssueRequest{Owner: "one"})
}

// TestAWebhookBesideALocalServer: a webhook may use plain HTTP only on this machine, and only if the server is
// local.
func TestAWebhookBesideALocalServer(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	local := authz.New(authz.Options{Store: s.store, Minter: s.minter, Publisher: s.publisher, PublicURL: "http://127.0.0.1:8080"})
	for webhook, good := range map[string]bool{
		"http://127.0.0.1:9000/hook": true, "http://[::1]:9000/": true, "http://localhost/": true,
		"http://hooks.acme.example/": false, "http://127.0.0.1.acme.example/": false,
	} {
		_, err := local.UpdateWorkspace(t.Context(), "acme", func(set *store.Workspace) error {
			set.Policy = store.Policy{Webhook: webhook}
			return nil
		})
		if (err == nil) != good {
			t.Errorf("%s: %v", webhook, err)
		}
	}
}

func TestHomeTakesNoPolicy(t *testing.T) {
	s := newServer(t)
	if _, err := s.IssueManagement(t.Context(), authz.AdminRequest()); err != nil {
		t.Fatal(err)
	}
	var bad authz.InputError
	policy := store.Policy{KeysPerOwner: 1}
	if _, err := s.UpdateWorkspace(t.Context(), authz.Home, func(set *store.Workspace) error {
		set.Policy = policy
		return nil
	}); !errors.As(err, &bad) || bad[0].Field != "policy" {
		t.Error(err)
	}
}

// Only operators log in to Home, so the settings of its provider need the claim for operators, and no other
// claim.
func TestLoginToHome(t *testing.T) {
	s := newHome(t)
	for field, o := range map[string]store.OIDC{
		"":                           {Issuer: "https://login.example.com", ClientID: "burnkey", OperatorClaim: "groups", OperatorValue: "staff"},
		"portal.oidc.operator_claim": {Issuer: "https://login.example.com", ClientID: "burnkey", OwnerClaim: "customer_id"},
		"portal.oidc.operator_value": {Issuer: "https://login.example.com", ClientID: "burnkey", OperatorClaim: "groups"},
	} {
		var bad authz.InputError
		_, err := s.UpdateWorkspace(t.Context(), authz.Home, func(set *store.Workspace) error { set.Portal = store.Portal{OIDC: &o}; return nil })
		if field == "" && err != nil || field != "" && (!errors.As(err, &bad) || bad[0].Field != field) {
			t.Errorf("%q: %v", field, err)
		}
	}
}

func TestAnAccentInUpperCase(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	w, err := s.UpdateWorkspace(t.Context(), "acme", func(set *store.Workspace) error {
		set.Portal = store.Portal{Accent: "#0A7B3C"}
		return nil
	})
	if err != nil || w.Portal.Accent != "#0a7b3c" {
		t.Errorf("%q, %v", w.Portal.Accent, err)
	}
}

// A change is applied to the latest stored values, and leaves other values unchanged.
func TestMerge(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.patch(func(set *store.Workspace) {
		set.Policy = store.Policy{KeysPerOwner: 3, Webhook: "https://hooks.acme.example/"}
		set.Portal = store.Portal{DisplayName: "Acme"}
	})
	before, err := s.Workspace(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	s.clock.Advance(time.Minute)
	w, err := s.UpdateWorkspace(t.Context(), "acme", func(c *store.Workspace) error {
		if c.Policy.KeysPerOwner != 3 || c.Portal.DisplayName != "Acme" || c.AllowNeverExpires != before.AllowNeverExpires {
			t.Errorf("it is given %+v", c)
		}
		c.Policy.KeysPerOwner, c.AllowNeverExpires, c.Portal.Accent = 4, !c.AllowNeverExpires, "#ABCDEF"
		return nil
	})
	if err != nil || w.Policy.KeysPerOwner != 4 || w.Policy.Webhook != before.Policy.Webhook || w.Portal.DisplayName != "Acme" ||
		w.Portal.Accent != "#abcdef" || w.AllowNeverExpires == before.AllowNeverExpires || w.Name != before.Name ||
		!w.UpdatedAt.After(before.UpdatedAt) {
		t.Errorf("it becomes %+v, %v", w, err)
	}
	mine := errors.New("mine")
	if _, err := s.UpdateWorkspace(t.Context(), "acme", func(c *store.Workspace) error {
		c.Policy.KeysPerOwner = 9
		return mine
	}); !errors.Is(err, mine) {
		t.Error(err)
	}
	if _, err := s.UpdateWorkspace(t.Context(), "none", func(*store.Workspace) error { return nil }); !errors.Is(err, authz.ErrNotFound) {
		t.Error(err)
	}
	for field, change := range map[string]func(*store.Workspace){
		"portal.accent":         func(c *store.Workspace) { c.Portal.Accent = "red" },
		"policy.max_expires_in": func(c *store.Workspace) { c.Policy.MaxExpiresIn = -1 },
		"portal.base_url":       func(c *store.Workspace) { c.Portal.BaseURL = "x" },
	} {
		var bad authz.InputError
		_, err := s.UpdateWorkspace(t.Context(), "acme", func(c *store.Workspace) error { change(c); return nil })
		if !errors.As(err, &bad) || bad[0].Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if now, err := s.Workspace(t.Context(), "acme"); err != nil || now.Policy.KeysPerOwner != 4 || now.Portal.Accent != "#abcdef" {
		t.Errorf("it is %+v, %v", now, err)
	}
}

// The audit records every change, except one without effect.
func TestAnUpdateThatChangesNothing(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	logo := picture(t, 64)
	changes := []func(*store.Workspace){
		func(w *store.Workspace) { w.Name = "Acme" },
		func(w *store.Workspace) { w.Audiences[0] = "mobile" },
		func(w *store.Workspace) { w.AllowNeverExpires = true },
		func(w *store.Workspace) { w.Policy.Scopes = []store.OfferedScope{{Name: "maps:read"}} },
		func(w *store.Workspace) { w.Portal.Accent = "#0A7B3C" },
		func(w *store.Workspace) {
			w.Portal.OIDC = &store.OIDC{Issuer: "https://login.example", ClientID: "b", OwnerClaim: "c"}
		},
		func(w *store.Workspace) { w.Portal.Logo = logo },
	}
	for i, change := range changes {
		var was store.Workspace
		for range 2 {
			s.clock.Advance(time.Second)
			w, err := s.UpdateWorkspace(t.Context(), "acme", func(w *store.Workspace) error { change(w); return nil })
			if err != nil {
				t.Fatal(err)
			}
			if !was.UpdatedAt.IsZero() && !reflect.DeepEqual(w, was) {
				t.Errorf("change %d, once more: %+v, was %+v", i, w, was)
			}
			was = w
		}
		kept, err := s.Workspace(t.Context(), "acme")
		if err != nil || !reflect.DeepEqual(kept, was) {
			t.Errorf("change %d: kept is %+v, %v", i, kept, err)
		}
		entries, _, err := s.Audit(t.Context(), "acme", store.AuditFilter{Action: store.ActionWorkspaceUpdate, Limit: 100})
		if err != nil || len(entries) != i+1 {
			t.Errorf("after change %d there are %d entries, %v", i, len(entries), err)
		}
	}
}
