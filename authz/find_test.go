package authz_test

import (
	"errors"
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
	for _, bad := range []string{"", "x", text[1:], text + "x", strings.ToLower(text), "Bearer " + text} {
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
