package jwks

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestPrefixPattern(t *testing.T) {
	pattern := regexp.MustCompile(PrefixPattern)
	for _, text := range []string{
		"", "-", "a", "a-", "acme-live-", "a--", "1-", "-a-", "a1-", "A-", "a_", "a_-", "acme", "é-", "a\n-", "a-\n", "a.-",
		strings.Repeat("a", 31) + "-", strings.Repeat("a", 32) + "-",
	} {
		if got, want := IsPrefix(text), pattern.MatchString(text) && !strings.Contains(text, "\n"); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func FuzzCutPrefix(f *testing.F) {
	token := ownPair().token(testPayload)
	for _, seed := range []string{
		token, "a-" + token, "acme-live-" + token, "A-" + token, "a- " + token, strings.Repeat("a", 32) + "-" + token, "a-a-",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		prefix, jwt := CutPrefix(text)
		if prefix+jwt != text || prefix != "" && (!IsPrefix(prefix) || !strings.HasPrefix(jwt, TokenPrefix)) {
			t.Errorf("%q is cut into %q and %q", text, prefix, jwt)
		}
	})
}

// A Verifier that knows the settings of the workspace requires the workspace's prefix.
func TestVerifyPrefix(t *testing.T) {
	token := ownPair().token(testPayload)
	issued := time.Unix(testIssued, 0)
	taken := &Settings{TokenPrefix: "acme-live-", BareUntil: issued.Add(1)}
	for _, test := range []struct {
		settings *Settings
		token    string
		want     error
	}{
		{nil, token, nil},
		{nil, "any-" + token, nil},
		{nil, "Any-" + token, ErrMalformed},
		{nil, "any_" + token, ErrMalformed},
		{nil, "-" + token, ErrMalformed},
		{nil, strings.Repeat("a", 32) + "-" + token, ErrMalformed},
		{nil, "a-b-" + token[1:], ErrMalformed},
		{&Settings{}, token, nil},
		{&Settings{}, "any-" + token, ErrPrefix},
		{&Settings{TokenPrefix: "acme-live-"}, "acme-live-" + token, nil},
		{&Settings{TokenPrefix: "acme-live-"}, "acme-" + token, ErrPrefix},
		{&Settings{TokenPrefix: "acme-live-"}, "acme-live-acme-live-" + token, ErrPrefix},
		{&Settings{TokenPrefix: "acme-live-"}, token, ErrPrefix},
		{taken, "acme-live-" + token, nil},
		{taken, token, nil},
		{taken, "acme-" + token, ErrPrefix},
		{&Settings{TokenPrefix: "acme-live-", BareUntil: issued}, token, ErrPrefix},
		{&Settings{TokenPrefix: "acme-live-", BareUntil: issued}, "acme-live-" + token, nil},
	} {
		v, table := tableVerifier(t)
		if test.settings != nil {
			if err := table.Apply(Change{Version: 2, Unsigned: Unsigned{Settings: test.settings}}); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 { // the second time, the table remembers the token
			if _, err := v.Verify(test.token); !errors.Is(err, test.want) || err == nil != (test.want == nil) {
				t.Errorf("%v, %.20q: %v, want %v", test.settings, test.token, err, test.want)
			}
		}
		if _, err := v.Authentic(test.token); err != nil && !errors.Is(test.want, ErrMalformed) {
			t.Errorf("%.20q is not authentic: %v", test.token, err)
		}
	}
	if kid, err := KIDOf("acme-" + token); err != nil || kid != ownPair().key.kid {
		t.Errorf("the kid is %s: %v", kid, err)
	}
}

// Both forms of a token share one mark, and a prefix costs no allocation.
func TestPrefixCostsNothing(t *testing.T) {
	v, table := tableVerifier(t)
	token := ownPair().token(testPayload)
	settings := &Settings{TokenPrefix: "a-", BareUntil: time.Unix(testExpiry, 0)}
	if err := table.Apply(Change{Version: 2, Unsigned: Unsigned{Settings: settings}}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(token); err != nil {
		t.Fatal(err)
	}
	spoil(t, table, ownPair().key.kid)
	claims := new(Claims)
	count := func(token string) float64 {
		return testing.AllocsPerRun(100, func() {
			if err := v.VerifyInto(token, claims); err != nil {
				t.Error(err)
			}
		})
	}
	if bare, prefixed := count(token), count("a-"+token); prefixed > bare {
		t.Errorf("%v allocations with a prefix, %v without", prefixed, bare)
	}
}

func TestMiddlewareTakesPrefix(t *testing.T) {
	v, table := tableVerifier(t)
	if err := table.Apply(Change{Version: 2, Unsigned: Unsigned{Settings: &Settings{TokenPrefix: "acme-live-"}}}); err != nil {
		t.Fatal(err)
	}
	handler := (&Middleware{Verifier: v}).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for prefix, want := range map[string]int{"acme-live-": 200, "": 401, "other-": 401} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer "+prefix+ownPair().token(testPayload))
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%q: %d, want %d", prefix, w.Code, want)
		}
	}
}
