package jwks

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
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
		if no.Status != http.StatusUnauthorized || no.OAuth != "invalid_token" || no.Detail == "" || seen[no.Reason] {
			t.Errorf("%v: %+v", err, no)
		}
		seen[no.Reason] = true
	}
	if no := InvalidToken(ErrAddress); no.Status != http.StatusForbidden || no.OAuth != "" || no.Detail == "" || seen[no.Reason] {
		t.Errorf("%+v", no)
	}
}

func TestChallenge(t *testing.T) {
	const bearer = "bearer"
	for _, test := range []struct {
		places   string
		no       *Refusal
		metadata string
		want     string
	}{
		{bearer, NoToken, "", `Bearer realm="r"`},
		{bearer, NotNow, "", ""},
		{bearer, InvalidToken(ErrAddress), "", `Bearer realm="r"`},
		{bearer, TooNarrow, "", `Bearer realm="r", error="insufficient_scope", error_description="` + TooNarrow.Detail + `", scope="a b"`},
		{bearer, InvalidToken(ErrExpired), "", `Bearer realm="r", error="invalid_token", error_description="The token has expired."`},
		{"header:X-API-Key,query:key", NoToken, "", `Bearer realm="r"`},
		{"header:X-API-Key,apikey", NoToken, "", `ApiKey realm="r"`},
		{"bearer,apikey,header:X-API-Key,basic", NoToken, "", `Bearer realm="r", ApiKey realm="r", Basic realm="r"`},
		{bearer, NoToken, "https://api/m", `Bearer realm="r", resource_metadata="https://api/m"`},
		{
			"basic,apikey", InvalidToken(ErrExpired), "",
			`Basic realm="r", error="invalid_token", error_description="The token has expired.", ApiKey realm="r"`,
		},
	} {
		if got := test.no.Challenge(Protection{parsed(t, test.places), "r", test.metadata}, "a b"); got != test.want {
			t.Errorf("%s, %s: %s", test.places, test.no.Reason, got)
		}
	}
}

func TestResourceMetadataURL(t *testing.T) {
	for resource, want := range map[string]string{
		"https://api.example.com":    "https://api.example.com/.well-known/oauth-protected-resource",
		"https://api.example.com/":   "https://api.example.com/.well-known/oauth-protected-resource",
		"https://api.example.com/v1": "https://api.example.com/.well-known/oauth-protected-resource/v1",
		"http://127.0.0.1:8080/a":    "http://127.0.0.1:8080/.well-known/oauth-protected-resource/a", "https://a/a b": "",
		"https://api.example.com/?a=b": "", "https://api.example.com/#a": "", "api.example.com": "", "ftp://a": "", "https://u@a": "",
		"https://a'b": "", "https://a/%2F": "", "": "",
	} {
		got, path, err := ResourceMetadataURL(resource)
		if got != want || (err == nil) != (want != "") || !strings.HasSuffix(want, path) {
			t.Errorf("%s: %s, %s, %v", resource, got, path, err)
		}
	}
}

// refusals are all that this package defines.
var refusals = []*Refusal{
	NoToken, BadToken, BadBasic, BadQuery, TwoKeys, TooNarrow, NotNow,
	WrongWorkspace, WrongEnvironment, NeverExpires, OverLimit, Uncounted, Misconfigured, malformed,
}

// Each refusal has a code that is listed with its status, and each code has a refusal.
func TestRefusalCodes(t *testing.T) {
	used := make(map[string]bool)
	for _, known := range tokenErrors {
		refusals = append(refusals, known.refusal)
	}
	for _, no := range refusals {
		var p problem
		if err := json.Unmarshal(no.Problem("https://auth.example.com/"), &p); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(RefusalCodes(), RefusalCode{no.Code(), no.Status, p.Title}) {
			t.Errorf("%s is not listed", no.Code())
		}
		if want := "https://auth.example.com/docs/refusals#" + p.Code; p.Type != want && no != OverLimit || p.Code != no.Code() {
			t.Errorf("%s: %+v", no.Code(), p)
		}
		used[p.Code] = true
	}
	for _, code := range []string{"body_too_large", "user_missing", "user_invalid"} {
		used[code] = true // by Envoy alone
	}
	for _, c := range RefusalCodes() {
		if !used[c.Code] {
			t.Errorf("no refusal has the code %s", c.Code)
		}
	}
}

func TestProblem(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{
			string(NoToken.Problem("")),
			`{"type":"about:blank","title":"Unauthorized","status":401,"detail":"An API key is required.","code":"missing"}`,
		},
		{
			string(OverLimit.Problem("https://a", "burst")),
			`{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Quota exceeded","status":429,` +
				`"detail":"` + OverLimit.Detail + `","code":"limit","violated-policies":["burst"]}`,
		},
	} {
		if test.got != test.want {
			t.Errorf("got %s, want %s", test.got, test.want)
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
