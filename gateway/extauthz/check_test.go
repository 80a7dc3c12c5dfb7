package extauthz

import (
	"maps"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/burnkey/burnkey/gateway/gatewaytest"
)

// TestCheckRefuses checks the response for each kind of refusal. Tests in package gateway check which refusal a
// request gets.
func TestCheckRefuses(t *testing.T) {
	s, _ := follow(t, nil)
	acme := own().Bearer("acme")
	expired := "Bearer " + own().Token(payload("acme", `"iat":1`, `"iat":1,"exp":2`))
	invalid := `Bearer realm="api", error="invalid_token", error_description=`
	for _, test := range []struct {
		reason        string
		authorization string
		requirements  map[string]string
		status, code  int
		challenge     string // its start
	}{
		{"no_token", "", nil, 401, 16, `Bearer realm="api"`},
		{"bad_request", acme + "," + acme, nil, 400, 3, `Bearer realm="api", error="invalid_request"`},
		{"malformed", "Bearer x", nil, 401, 16, invalid},
		{"unknown", other().Bearer("acme"), nil, 401, 16, invalid},
		{"issuer", own().Bearer("gamma"), nil, 401, 16, invalid},
		{"expired", expired, nil, 401, 16, invalid},
		{"audience", acme, map[string]string{"audience": "y"}, 401, 16, invalid},
		{"workspace", acme, map[string]string{"workspace": "beta"}, 401, 16, invalid},
		{
			"scope", acme,
			map[string]string{"scopes": "maps:read admin"},
			403, 7,
			`Bearer realm="api", error="insufficient_scope", error_description="The token lacks a scope that is required here.", ` +
				`scope="maps:read admin"`,
		},
		{
			"scope", acme,
			map[string]string{"scopes": "root"},
			403, 7,
			`Bearer realm="api", error="insufficient_scope", error_description="The token lacks a scope that is required here.", scope="root"`,
		},
		{"configuration", acme, map[string]string{"scope": "admin"}, 500, 13, ""},
	} {
		in := func(method string) *authv3.CheckRequest {
			return with(request(method, test.authorization), test.requirements)
		}
		for range 2 { // the second response is cached
			response, err := s.Check(t.Context(), in("GET"))
			check(t, err)
			v := ask(t, s, in("GET"))
			challenge := v.headers.Get("WWW-Authenticate")
			if v.status != test.status || int(response.GetStatus().GetCode()) != test.code || v.meta["refused"] != test.reason ||
				!strings.HasPrefix(challenge, test.challenge) || (challenge == "") != (test.challenge == "") {
				t.Errorf("%s: %d %s, %v", test.reason, v.status, challenge, v.meta)
			}
			wantProblem(t, test.reason, v)
			if head := ask(t, s, in("HEAD")); head.body != "" || head.status != v.status || !maps.EqualFunc(head.headers, v.headers, slices.Equal) {
				t.Errorf("%s: HEAD: %d with %d bytes", test.reason, head.status, len(head.body))
			}
		}
	}
}

func TestCheckUnavailable(t *testing.T) {
	o := gatewaytest.NewOrigin(t, "acme")
	o.SetHook(gatewaytest.Outage)
	s := start(t, options(o, "acme"), nil)
	v := ask(t, s, request("GET", own().Bearer("acme")))
	if v.status != 503 || v.headers.Get("Retry-After") != "1" || v.headers.Get("WWW-Authenticate") != "" ||
		v.meta["refused"] != "unavailable" {
		t.Errorf("%+v", v)
	}
	wantProblem(t, "503", v)
}

// TestCheckPasses checks the form of the response. Tests in package gateway check which requests pass.
func TestCheckPasses(t *testing.T) {
	s, _ := follow(t, nil)
	for _, test := range []struct {
		name, token string
		want        map[string]string
		removed     string
	}{
		{
			"scopes", own().Token(payload("acme")),
			map[string]string{"key_id": "key-1", "owner": "cust_1", "workspace": "acme", "scopes": "maps:read tiles:read"},
			"x-burnkey-issuer",
		},
		{
			"no scopes", other().Token(payload("beta", `,"scope":"maps:read tiles:read"`, "")),
			map[string]string{"key_id": "key-1", "owner": "cust_1", "workspace": "beta"},
			"x-burnkey-issuer x-burnkey-scopes",
		},
		{
			"an owner in another script", own().Token(payload("acme", "cust_1", "Ærøskøbing 北京")),
			map[string]string{"key_id": "key-1", "owner": "Ærøskøbing 北京", "workspace": "acme", "scopes": "maps:read tiles:read"},
			"x-burnkey-issuer",
		},
	} {
		v := ask(t, s, request("GET", "bearer  "+test.token))
		if v.status != 200 || strings.Join(v.removed, " ") != test.removed || len(v.meta) != len(test.want) || len(v.headers) != len(test.want) {
			t.Errorf("%s: %+v", test.name, v)
		}
		for name, want := range test.want {
			if header := v.headers.Get("x-burnkey-" + strings.ReplaceAll(name, "_", "-")); header != want || v.meta[name] != want {
				t.Errorf("%s: %s: %q and %q, want %q", test.name, name, header, v.meta[name], want)
			}
		}
	}
}

func TestCheckRawHeaders(t *testing.T) {
	s, _ := follow(t, nil)
	good := "Bearer " + own().Token(payload("acme"))
	raw := func(values ...string) *authv3.CheckRequest {
		in := request("GET")
		in.Attributes.Request.Http.Headers = nil
		in.Attributes.Request.Http.HeaderMap = &corev3.HeaderMap{}
		for _, value := range values {
			in.Attributes.Request.Http.HeaderMap.Headers = append(in.Attributes.Request.Http.HeaderMap.Headers,
				&corev3.HeaderValue{Key: "Authorization", RawValue: []byte(value)})
		}
		return in
	}
	for want, in := range map[int]*authv3.CheckRequest{200: raw(good), 401: raw(), 400: raw(good, good)} {
		if v := ask(t, s, in); v.status != want {
			t.Errorf("%d, want %d", v.status, want)
		}
	}
	if v := ask(t, s, &authv3.CheckRequest{}); v.status != 401 {
		t.Errorf("no request in it: %d", v.status)
	}
}
