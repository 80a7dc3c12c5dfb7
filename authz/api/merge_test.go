package api_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

const (
	acmePath = "/v1/workspaces/acme"
	allOf    = `{"name":"Acme","audiences":["acme","acme-test"],"allow_never_expires":false,
		"token_prefix":"acme-","bare_tokens_until":"2030-02-03T04:05:06Z",
		"policy":{"scopes":[{"name":"maps:read","description":"Look at maps"},{"name":"maps:write"}],"max_expires_in":3600,
			"default_expires_in":600,"keys_per_owner":3,"portal_never_expires":true,"default_audience":["acme-test"],"webhook":"https://hooks.example/x"},
		"portal":{"display_name":"Maps","accent":"#0a7b3c","base_url":"https://api.example","frame_ancestors":["https://a.example","https://b.example"],
			"oidc":{"issuer":"https://login.example","client_id":"c","owner_claim":"o","operator_claim":"g","operator_value":"ops"}}}`
)

// A patch changes only the members that it contains (RFC 7396).
func TestMergePatch(t *testing.T) {
	s := newServer(t)
	whole := s.do("PATCH", acmePath, allOf).want(200).object()
	settings := func() map[string]any { return s.do("GET", acmePath, nil).want(200).object() }
	for _, test := range []struct{ patch, at, want string }{
		{`{}`, "", ""},
		{`{"policy":{},"portal":{"oidc":{}}}`, "", ""},
		{`{"policy":{"max_expires_in":7200}}`, "policy.max_expires_in", `7200`},
		{`{"policy":{"max_expires_in":null}}`, "policy.max_expires_in", ``},
		{`{"policy":{"webhook":null}}`, "policy.webhook", ``},
		{`{"policy":{"scopes":[{"name":"maps:write"}]}}`, "policy.scopes", `[map[name:maps:write]]`},
		{`{"policy":{"scopes":null}}`, "policy.scopes", ``},
		{`{"policy":null}`, "policy", `map[]`},
		{`{"portal":{"accent":null}}`, "portal.accent", ``},
		{`{"portal":{"accent":"#000000"}}`, "portal.accent", `#000000`},
		{`{"portal":{"frame_ancestors":["https://c.example"]}}`, "portal.frame_ancestors", `[https://c.example]`},
		{`{"portal":{"oidc":{"client_id":"d"}}}`, "portal.oidc.client_id", `d`},
		{`{"portal":{"oidc":null}}`, "portal.oidc", ``},
		{`{"portal":null}`, "portal", `map[]`},
		{`{"name":null}`, "name", `acme`},
		{`{"name":"New"}`, "name", `New`},
		{`{"audiences":["acme-test","b"]}`, "audiences", `[acme-test b]`},
		{`{"policy":{"default_audience":null},"audiences":null}`, "audiences", `[acme]`},
		{`{"allow_never_expires":null}`, "allow_never_expires", `true`},
		{`{"bare_tokens_until":"2031-02-03T04:05:06.7Z"}`, "bare_tokens_until", `2031-02-03T04:05:06Z`},
		{`{"token_prefix":"acme-"}`, "", ``},
		{`{"bare_tokens_until":null}`, "bare_tokens_until", ``},
	} {
		t.Run(test.patch, func(t *testing.T) {
			s.do("PATCH", acmePath, `{"policy":null,"portal":null}`).want(200)
			s.do("PATCH", acmePath, allOf).want(200)
			answer := s.do("PATCH", acmePath, test.patch, header("Content-Type", "application/merge-patch+json")).want(200).object()
			got := settings()
			if fmt.Sprint(got) != fmt.Sprint(answer) {
				t.Errorf("answered %v, and it is %v", answer, got)
			}
			if value := take(got, test.at); value != test.want {
				t.Errorf("%s is %q, want %q", test.at, value, test.want)
			}
			// All other members, except the time and the version of the change, are the same as before.
			want := copied(whole)
			take(want, test.at)
			if strings.Contains(test.patch, "default_audience") {
				take(want, "policy.default_audience")
			}
			for _, m := range []map[string]any{got, want} {
				delete(m, "updated_at")
				delete(m, "version")
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("the rest is %v, want %v", got, want)
			}
		})
	}
}

// take removes a nested member and returns its value as a string.
func take(from map[string]any, place string) string {
	outer, inner, nested := strings.Cut(place, ".")
	if m, ok := from[outer].(map[string]any); nested && ok {
		return take(m, inner)
	}
	value, ok := from[outer]
	if delete(from, outer); !ok {
		return ""
	}
	return fmt.Sprint(value)
}

func copied(m map[string]any) map[string]any {
	c := make(map[string]any, len(m))
	for name, value := range m {
		if inner, ok := value.(map[string]any); ok {
			value = copied(inner)
		}
		c[name] = value
	}
	return c
}

func TestBadMergePatches(t *testing.T) {
	s := newServer(t)
	s.do("PATCH", acmePath, allOf).want(200)
	before := s.do("GET", acmePath, nil).want(200)
	for body, field := range map[string]string{
		`[]`: "body", `null`: "body", `"x"`: "body", `{"policy":{}}{}`: "body", `{`: "body",
		`{"polizy":{}}`: "polizy", `{"id":"b"}`: "id", `{"version":null}`: "version",
		`{"policy":{"max_expires":1}}`: "policy.max_expires", `{"policy":{"max_expires":null}}`: "policy.max_expires",
		`{"policy":{"max_expires_in":"1h"}}`:                                           "policy.max_expires_in",
		`{"policy":{"max_expires_in":-1}}`:                                             "policy.max_expires_in",
		`{"policy":{"max_expires_in":1.5}}`:                                            "policy.max_expires_in",
		`{"policy":{"default_expires_in":3601}}`:                                       "policy.default_expires_in",
		`{"policy":{"keys_per_owner":1,"keys_per_owner":2}}`:                           "policy.keys_per_owner",
		`{"policy":{},"policy":null}`:                                                  "policy",
		`{"policy":[]}`:                                                                "policy",
		`{"policy":"` + marker + `"}`:                                                  "policy",
		`{"policy":{"scopes":{"maps:read":null}}}`:                                     "policy.scopes",
		`{"policy":{"scopes":[null]}}`:                                                 "policy.scopes",
		`{"policy":{"scopes":[{"description":"` + marker + `"}]}}`:                     "policy.scopes",
		`{"policy":{"scopes":[{"name":"a","title":"` + marker + `"}]}}`:                "policy.scopes",
		`{"policy":{"default_audience":["` + marker + `"]}}`:                           "policy.default_audience",
		`{"policy":{"default_audience":["acme-test"]},"audiences":["` + marker + `"]}`: "policy.default_audience",
		`{"portal":{"logo":"%%%"}}`:                                                    "portal.logo",
		`{"portal":{"logo":"` + b64([]byte(marker)) + `"}}`:                            "portal.logo",
		`{"portal":{"oidc":{"issuer":null}}}`:                                          "portal.oidc.issuer",
		`{"portal":{"oidc":{"client_id":null}}}`:                                       "portal.oidc.client_id",
		`{"portal":{"oidc":{"operator_value":null}}}`:                                  "portal.oidc.operator_value",
		`{"portal":{"oidc":{"secret":"` + marker + `"}}}`:                              "portal.oidc.secret",
		`{"token_prefix":"b-"}`:                                                        "token_prefix",
		`{"token_prefix":null}`:                                                        "token_prefix",
		`{"token_prefix":"b"}`:                                                         "token_prefix",
		`{"name":""}`:                                                                  "name",
		`{"audiences":[]}`:                                                             "audiences",
		`{"audiences":["a",null]}`:                                                     "audiences",
		`{"name":"Never","policy":{"webhook":"http://hooks.example"}}`:                 "policy.webhook",
	} {
		t.Run(body, func(t *testing.T) { s.wantRefused(t, s.do("PATCH", acmePath, body), field) })
	}
	for _, logo := range []string{"x", "%%%", "iVBOR", "eHh4eA"} {
		p := s.do("PATCH", acmePath, `{"portal":{"logo":"`+logo+`"}}`).problem()
		if len(p.Errors) != 1 || p.Errors[0].Field != "portal.logo" || p.Errors[0].Detail != "must be a PNG picture in base64" {
			t.Errorf("of a logo %q it says %v", logo, p.Errors)
		}
	}
	if p := s.do("PATCH", acmePath, `{"policy":{"max_expires_in":599}}`).problem(); len(p.Errors) != 1 ||
		p.Errors[0].Field != "policy.default_expires_in" ||
		!strings.HasPrefix(p.Errors[0].Detail, "is 600, and must be 0 to 599 seconds") {
		t.Errorf("of a maximum below the default it says %v", p.Errors)
	}
	s.do("PATCH", "/v1/workspaces/other", `{"portal":{"oidc":{"client_id":"d"}}}`).want(422)
	for _, patch := range []string{`{"token_prefix":"other-"}`, `{"bare_tokens_until":"2030-02-03T04:05:06Z"}`} {
		s.wantRefused(t, s.do("PATCH", "/v1/workspaces/other", patch), "bare_tokens_until")
	}
	s.do("PATCH", acmePath, `{}`, header("Content-Type", "text/plain")).want(415)
	if after := s.do("GET", acmePath, nil).want(200); string(after.body) != string(before.body) || strings.Contains(s.log.String(), marker) {
		t.Errorf("a refused call left a trace: %s", after.body)
	}
}

// Concurrent patches of different members do not overwrite each other.
func TestMergePatchesAtOnce(t *testing.T) {
	s := newServer(t)
	for round := range 20 {
		s.do("PATCH", acmePath, `{"policy":null,"portal":null}`).want(200)
		name := fmt.Sprint("n", round)
		var patches sync.WaitGroup
		for _, body := range []string{
			`{"policy":{"max_expires_in":3600}}`, `{"policy":{"keys_per_owner":3}}`, `{"policy":{"webhook":"https://hooks.example/x"}}`,
			`{"portal":{"display_name":"` + name + `"}}`, `{"portal":{"accent":"#000000"}}`, `{"name":"` + name + `"}`,
		} {
			patches.Go(func() {
				if a, err := s.try("PATCH", acmePath, body); err != nil || a.status != 200 {
					t.Errorf("%s: %d, %v", body, a.status, err)
				}
			})
		}
		patches.Wait()
		wantSubset(t, s.do("GET", acmePath, nil).want(200).object(), `{"name":"`+name+`",
			"policy":{"max_expires_in":3600,"keys_per_owner":3,"webhook":"https://hooks.example/x"},
			"portal":{"display_name":"`+name+`","accent":"#000000"}}`)
	}
}
