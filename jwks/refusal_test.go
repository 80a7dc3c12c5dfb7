package jwks

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestInvalidToken(t *testing.T) {
	seen := make(map[string]bool)
	for _, err := range []error{ErrMalformed, ErrUnknown, ErrSignature, ErrClaims, ErrIssuer, ErrAudience, ErrExpired} {
		no := InvalidToken(fmt.Errorf("%w: more", err))
		if no != InvalidToken(err) {
			t.Errorf("%v: two of one refusal", err)
		}
		if no.Status != http.StatusUnauthorized || no.Code != "invalid_token" || no.Detail == "" || seen[no.Reason] {
			t.Errorf("%v: %+v", err, no)
		}
		seen[no.Reason] = true
	}
	if no := InvalidToken(ErrAddress); no.Status != http.StatusForbidden || no.Code != "" || no.Detail == "" || seen[no.Reason] {
		t.Errorf("%+v", no)
	}
}

func TestChallenge(t *testing.T) {
	for _, test := range []struct {
		no   *Refusal
		want string
	}{
		{NoToken, `Bearer realm="r"`},
		{NotNow, ""},
		{InvalidToken(ErrAddress), `Bearer realm="r"`},
		{TooNarrow, `Bearer realm="r", error="insufficient_scope", error_description="` + TooNarrow.Detail + `", scope="a b"`},
		{InvalidToken(ErrExpired), `Bearer realm="r", error="invalid_token", error_description="The token has expired."`},
	} {
		if got := test.no.Challenge("r", "a b"); got != test.want {
			t.Errorf("%s: %s", test.no.Reason, got)
		}
	}
}

func TestBearerToken(t *testing.T) {
	long := strings.Repeat("a", MaxTokenLen)
	for text, want := range map[string]string{
		"Bearer aZ09-._~+/==": "aZ09-._~+/==", "bearer   a": "a", "Bearer " + long: long,
		// The syntax of an overlong token is not checked, since checking takes longer than verifying.
		"Bearer " + long + "\"": long + "\"",
	} {
		if got, no := BearerToken(text); got != want || no != nil {
			t.Errorf("%.20s: %.20s, %v", text, got, no)
		}
	}
	for text, want := range map[string]*Refusal{
		"": NoToken, "Bearer": BadToken, "Bearer ": BadToken, "Bearer =": BadToken, "Bearer a=b": BadToken, "Bearer a,b": BadToken,
		"Bearer a\"": BadToken, "Bearer a b": BadToken, "Bearer \x80": BadToken, "Basic a": NoToken, "Bearer" + long: NoToken,
	} {
		if got, no := BearerToken(text); got != "" || no != want {
			t.Errorf("%.20q: %.20s, %v", text, got, no)
		}
	}
}
