package authz_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
)

func TestKeyOfToken(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.workspace("other")
	issued := s.issue("acme", authz.IssueRequest{Owner: "cust_1"})
	for range 2 {
		k, err := s.KeyOfToken(t.Context(), "acme", issued.Token)
		if err != nil || k.ID != issued.ID {
			t.Errorf("got %v, %v", k.ID, err)
		}
		if _, err := s.Revoke(t.Context(), "acme", issued.ID); err != nil {
			t.Fatal(err)
		}
	}
	for _, workspace := range []string{"other", "nosuch"} {
		if _, err := s.KeyOfToken(t.Context(), workspace, issued.Token); !errors.Is(err, authz.ErrNotFound) {
			t.Errorf("in %s: %v", workspace, err)
		}
	}
	text := issued.Token.Reveal()
	if k, err := s.KeyOfToken(t.Context(), "acme", jwks.Token("Bearer "+text+"\n")); err != nil || k.ID != issued.ID {
		t.Errorf("with what surrounds it: %v", err)
	}
	for _, bad := range []string{"", "x", text[1:], text + "x", strings.ToLower(text)} {
		var input authz.InputError
		_, err := s.KeyOfToken(t.Context(), "acme", jwks.Token(bad))
		if !errors.As(err, &input) || input[0].Field != "token" {
			t.Errorf("%d characters: %v", len(bad), err)
		}
		if len(bad) > 20 && strings.Contains(err.Error(), bad[20:60]) {
			t.Error("the error has a part of it")
		}
	}
}

// An imported key is found by its text, in any surroundings and state, and by its digest.
func TestFindImportedKey(t *testing.T) {
	const secret, uuid, peppered = "IL1deIyHyQA40WpeLeA1bIUXuvTwlGjo==", "550e8400-e29b-41d4-a716-446655440000", "q1w2e3"
	s := newServer(t)
	s.workspace("acme")
	pepper := []byte("sixteen bytes or more")
	entries := []authz.ImportEntry{
		{Digest: jwks.SHA256Digest(secret).String(), Owner: "cust_1"},
		{Digest: jwks.SHA256Digest(uuid).String(), Owner: "cust_2"},
		{Digest: jwks.HMACDigest(pepper, peppered).String(), Owner: "cust_3"},
	}
	imported, err := s.Import(t.Context(), "acme", entries)
	testkit.Check(t, err)
	with := authz.New(authz.Options{
		Store: s.store, Minter: s.minter, Publisher: publish.NewPublisher(s.store, nil), PublicURL: publicURL, Now: s.clock.Now, Pepper: pepper,
	})
	all := func(string) bool { return true }
	find := func(s *authz.Service, text string, want *authz.Imported) {
		t.Helper()
		k, err := s.KeyOfImported(t.Context(), jwks.Token(text), all)
		if want == nil && !errors.Is(err, authz.ErrNotFound) || want != nil && (err != nil || k.ID != want.Key.ID) {
			t.Errorf("%s: %v, %v", text, k.ID, err)
		}
	}
	_, err = s.Revoke(t.Context(), "acme", imported[0].Key.ID)
	testkit.Check(t, err)
	for _, text := range []string{
		secret, "\ufeff " + secret + "\r\n", "Authorization: Bearer " + secret, `{"key":"` + secret + `"}`, "ACME_KEY=" + secret,
		"It is \u201c" + secret + "\u201d.", "https://api.example.com/?key=" + secret, "X-API-Key:" + secret,
	} {
		find(s.Service, text, &imported[0])
	}
	find(s.Service, "export KEY='"+uuid+"'", &imported[1])
	find(with, "it is "+peppered, &imported[2])
	none := func(string) bool { return false }
	if _, err := s.KeyOfImported(t.Context(), secret, none); !errors.Is(err, authz.ErrNotFound) {
		t.Errorf("without permission: %v", err)
	}
	issued := s.issue("acme", authz.IssueRequest{})
	for _, text := range []string{
		"", peppered, secret[1:], jwks.SHA256Digest(secret).String(), issued.Token.Reveal(), "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 " + secret,
	} {
		find(s.Service, text, nil)
	}

	for i, e := range entries {
		for _, text := range []string{e.Digest, "\n" + e.Digest + " "} {
			if k, err := s.KeyNamed(t.Context(), "acme", text); err != nil || k.ID != imported[i].Key.ID {
				t.Errorf("named %s: %v", text, err)
			}
			if k, err := s.FindKey(t.Context(), text, all); err != nil || k.ID != imported[i].Key.ID {
				t.Errorf("found %s: %v", text, err)
			}
		}
		if _, err := s.KeyNamed(t.Context(), "other", e.Digest); !errors.Is(err, authz.ErrNotFound) {
			t.Errorf("in another workspace: %v", err)
		}
		if _, err := s.FindKey(t.Context(), e.Digest, none); !errors.Is(err, authz.ErrNotFound) {
			t.Errorf("without permission: %v", err)
		}
	}
}

func TestWorkspaceOfToken(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	token := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Claims: []byte(`{"ws":"other"}`)}).Token
	if ws, err := authz.WorkspaceOfToken(token); err != nil || ws != "acme" {
		t.Errorf("it is of %q, %v", ws, err)
	}
	const claims = `{"iss":%q,"sub":"a","aud":["x"],"jti":"j","iat":1}`
	for iss, want := range map[string]string{
		"https://before.example.com/v1/auth/oauth/acme":   "acme", // where the server was reached then
		"https://keys.example.com/v1/auth/oauth/burnkey":  authz.Home,
		"https://keys.example.com/v1/auth/oauth/":         "",
		"https://keys.example.com/v1/auth/oauth/acme/x":   "",
		"https://keys.example.com/v1/auth/oauth/../other": "",
		"acme": "",
	} {
		ws, err := authz.WorkspaceOfToken(sign([]byte(fmt.Sprintf(claims, iss))).Token)
		var input authz.InputError
		if ws != want || want == "" && !errors.As(err, &input) {
			t.Errorf("%s: %q, %v", iss, ws, err)
		}
	}
	if _, err := authz.WorkspaceOfToken(token[1:]); err == nil {
		t.Error("a workspace was found in a text that is not a token")
	}
}

func TestKeyNamed(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.workspace("other")
	issued := s.issue("acme", authz.IssueRequest{Owner: "cust_1"})
	for _, text := range []string{issued.ID.String(), strings.ToUpper(issued.ID.String()), issued.KID.String()} {
		if k, err := s.KeyNamed(t.Context(), "acme", text); err != nil || k.ID != issued.ID {
			t.Errorf("%s: %v, %v", text, k.ID, err)
		}
		for _, workspace := range []string{"other", "nosuch"} {
			if _, err := s.KeyNamed(t.Context(), workspace, text); !errors.Is(err, authz.ErrNotFound) {
				t.Errorf("%s in %s: %v", text, workspace, err)
			}
		}
	}
	for _, text := range []string{"", "x", strings.ReplaceAll(issued.ID.String(), "-", ""), "cust_1"} {
		var input authz.InputError
		if _, err := s.KeyNamed(t.Context(), "acme", text); !errors.As(err, &input) || input[0].Field != "key" {
			t.Errorf("%q: %v", text, err)
		}
	}
}
