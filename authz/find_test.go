package authz_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
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
