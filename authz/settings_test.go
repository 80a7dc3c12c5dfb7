package authz_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// settings returns the settings that a workspace's gateways have, by this server's feed.
func (s *server) settings(workspace string) jwks.Settings {
	s.t.Helper()
	return s.set(workspace).Settings()
}

// Tokens have the prefix of their workspace, and everything that reads a token takes it.
func TestTokenPrefix(t *testing.T) {
	s := newServer(t)
	w, err := s.CreateWorkspace(t.Context(), authz.WorkspaceRequest{ID: "acme", TokenPrefix: "acme-live-", AllowNeverExpires: true})
	if err != nil || w.Settings.TokenPrefix != "acme-live-" || s.settings("acme") != w.Settings {
		t.Fatalf("created %v, published %v: %v", w.Settings, s.settings("acme"), err)
	}
	first := s.issue("acme", authz.IssueRequest{})
	rotated, err := s.Rotate(t.Context(), "acme", first.ID, authz.RotateRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []jwks.Token{first.Token, rotated.Token} {
		prefix, jwt := jwks.CutPrefix(token.Reveal())
		if prefix != "acme-live-" || !strings.HasPrefix(jwt, jwks.TokenPrefix) {
			t.Errorf("a token begins with %.20q", token.Reveal())
		}
		for _, form := range []string{token.Reveal(), jwt, "other-" + jwt} {
			if k, err := s.KeyOfToken(t.Context(), "acme", jwks.Token("key: "+form)); err != nil || k.Workspace != "acme" {
				t.Errorf("%.20q is not found: %v", form, err)
			}
			if _, err := s.LimitsOfToken(t.Context(), "acme", jwks.Token(form), netip.Addr{}); err != nil {
				t.Errorf("no limits of %.20q: %v", form, err)
			}
		}
		if id, err := authz.WorkspaceOfToken(token); id != "acme" || err != nil {
			t.Errorf("workspace %q: %v", id, err)
		}
	}
	for _, issued := range []authz.Issued{rotated, first} {
		if _, err := s.RevokeToken(t.Context(), "acme", issued.Token); err != nil {
			t.Error(err)
		}
		if k, err := s.store.Key(t.Context(), "acme", issued.ID); err != nil || k.RevokedAt.IsZero() {
			t.Errorf("the key is not revoked: %v", err)
		}
	}
}

func TestTokenPrefixInput(t *testing.T) {
	s := newServer(t)
	s.workspace("bare")
	for name, prefix := range map[string]string{"acme": "Acme-", "b": "acme", "c": "-", "d": strings.Repeat("a", 32) + "-", authz.Home: "a-"} {
		var bad authz.InputError
		_, err := s.CreateWorkspace(t.Context(), authz.WorkspaceRequest{ID: name, TokenPrefix: prefix})
		if !errors.As(err, &bad) || bad[0].Field != "token_prefix" {
			t.Errorf("%s: %v", prefix, err)
		}
	}
	soon := s.clock.Now().Add(time.Hour).Truncate(time.Second)
	for _, test := range []struct {
		name, field string
		settings    jwks.Settings
	}{
		{"a time alone", "bare_tokens_until", jwks.Settings{BareUntil: soon}},
		{"no year", "bare_tokens_until", jwks.Settings{TokenPrefix: "a-", BareUntil: soon.AddDate(300, 0, 0)}},
		{"bad", "token_prefix", jwks.Settings{TokenPrefix: "a", BareUntil: soon}},
		{"taken on", "", jwks.Settings{TokenPrefix: "a-", BareUntil: soon}},
		{"the same", "", jwks.Settings{TokenPrefix: "a-", BareUntil: soon}},
		{"another", "token_prefix", jwks.Settings{TokenPrefix: "b-", BareUntil: soon}},
		{"none", "token_prefix", jwks.Settings{}},
		{"a later end", "", jwks.Settings{TokenPrefix: "a-", BareUntil: soon.AddDate(1, 0, 0)}},
		{"the end", "", jwks.Settings{TokenPrefix: "a-"}},
	} {
		before := s.settings("bare")
		_, err := s.UpdateWorkspace(t.Context(), "bare", func(w *store.Workspace) error { w.Settings = test.settings; return nil })
		var bad authz.InputError
		switch {
		case test.field == "" && err != nil, test.field != "" && (!errors.As(err, &bad) || bad[0].Field != test.field):
			t.Errorf("%s: %v", test.name, err)
		case test.field != "" && s.settings("bare") != before:
			t.Errorf("%s: a refused change is published", test.name)
		case test.field == "" && !equal(s.settings("bare"), test.settings):
			t.Errorf("%s: published %v", test.name, s.settings("bare"))
		}
	}
}

func equal(a, b jwks.Settings) bool { return a.Equal(&b) }

// A token gets the prefix that its workspace has when the key is stored, even if the key was requested before the prefix was set.
func TestTokenPrefixIsThatOfTheTransaction(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	old := s.issue("acme", authz.IssueRequest{})
	s.minter.minted = func() {
		_, err := s.UpdateWorkspace(t.Context(), "acme", func(w *store.Workspace) error {
			w.Settings.TokenPrefix = "acme-"
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	issued := s.issue("acme", authz.IssueRequest{})
	if !strings.HasPrefix(issued.Token.Reveal(), "acme-"+jwks.TokenPrefix) {
		t.Errorf("the token begins with %.20q", issued.Token.Reveal())
	}
	if _, err := s.RevokeToken(t.Context(), "acme", old.Token); err != nil {
		t.Error(err)
	}
}
