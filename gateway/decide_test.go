package gateway

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/gateway/gatewaytest"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
)

func TestDecideRefuses(t *testing.T) {
	g, _ := follow(t, nil)
	good := own().Token(payload("acme"))
	invalid := func(why string) string {
		return `Bearer realm="api", error="invalid_token", error_description="` + why + `"`
	}
	const plain = `Bearer realm="api"`
	const form = plain + `, error="invalid_request", ` +
		`error_description="The header Authorization must be sent once, as the word Bearer and a token."`
	issuer, malformed := invalid("The token is from another issuer."), invalid("The token is malformed.")
	unknown := invalid("The token was revoked or suspended, or is from another issuer.")
	for _, test := range []struct {
		name      string
		headers   []string
		status    int
		challenge string
	}{
		{"none", nil, 401, plain},
		{"empty", []string{""}, 401, plain},
		{"Basic", []string{"Basic dTpw"}, 401, plain},
		{"twice", []string{"Bearer " + good, "Bearer " + good}, 400, form},
		{"two schemes", []string{"Bearer " + good, "Basic dTpw"}, 400, form},
		{"no token", []string{"Bearer "}, 400, form},
		{"opaque", []string{"Bearer abc"}, 401, malformed},
		{"too long", []string{"Bearer " + strings.Repeat("a", jwks.MaxTokenLen+1)}, 401, malformed},
		{"a workspace that is not ours", []string{"Bearer " + own().Token(payload("gamma"))}, 401, issuer},
		{"a workspace by an id that begins alike", []string{"Bearer " + own().Token(payload("acme2"))}, 401, issuer},
		{"a path after the workspace", []string{"Bearer " + own().Token(payload("acme/x"))}, 401, issuer},
		{"no workspace", []string{"Bearer " + own().Token(payload(""))}, 401, issuer},
		{"another server", []string{"Bearer " + own().Token(payload("acme", "auth.example", "auth.other"))}, 401, issuer},
		{"acme's key says beta", []string{"Bearer " + own().Token(payload("beta"))}, 401, unknown},
		{"beta's key says acme", []string{"Bearer " + other().Token(payload("acme"))}, 401, unknown},
		{
			"iss twice",
			[]string{"Bearer " + own().Token(payload("acme", `"sub"`, `"iss":"`+gatewaytest.PublicURL+jwks.IssuerPath+`beta","sub"`))},
			401, malformed,
		},
		{
			"rubbish after an iss that is not the first",
			[]string{"Bearer " + newPair().Token(payload("acme", `{"iss"`, `{"a":"b","iss"`, `"iat":1`, `"iat":oops`))},
			401,
			unknown,
		},
		{
			"an iss far from the start",
			[]string{"Bearer " + own().Token(payload("acme", `{"iss"`, `{"a":"`+strings.Repeat("b", lookMax)+`","iss"`))},
			401,
			malformed,
		},
		{"an iss after an array", []string{"Bearer " + own().Token(payload("acme", `{"iss"`, `{"a":[],"iss"`))}, 401, malformed},
		{"an iss that is no text", []string{"Bearer " + own().Token(payload("acme", `{"iss":`, `{"iss":1,"x":`))}, 401, malformed},
		{"no object", []string{"Bearer " + own().Token(`"iss"`)}, 401, malformed},
		{"no iss", []string{"Bearer " + own().Token(`{}`)}, 401, malformed},
		{"iss escaped", []string{"Bearer " + own().Token(payload(`\u0061cme`))}, 401, issuer},
		{"expired", []string{"Bearer " + own().Token(payload("acme", `"iat":1`, `"iat":1,"exp":2`))}, 401, invalid("The token has expired.")},
		{"a line end in the owner", []string{"Bearer " + own().Token(payload("acme", "cust_1", `a\r\nx-admin: 1`))}, 401, malformed},
		{"an owner that would come out as another's", []string{"Bearer " + own().Token(payload("acme", "cust_1", "cust_1 "))}, 401, malformed},
		{"a control character in the scope", []string{"Bearer " + own().Token(payload("acme", "maps:read", `a\u0000b`))}, 401, malformed},
	} {
		v := ask(g, request(test.headers...))
		if v.status != test.status || v.headers.Get("WWW-Authenticate") != test.challenge {
			t.Errorf("%s: %d %s", test.name, v.status, v.headers.Get("WWW-Authenticate"))
		}
		wantProblem(t, test.name, v)
	}
}

func TestDecideAllows(t *testing.T) {
	g, _ := follow(t, nil)
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
			"iss is not the first", own().Token(payload("acme", `{"iss"`, `{"a":"b","iss"`)),
			map[string]string{"key_id": "key-1", "owner": "cust_1", "workspace": "acme", "scopes": "maps:read tiles:read"},
			"x-burnkey-issuer",
		},
		{
			"an owner in another script", own().Token(payload("acme", "cust_1", "Ærøskøbing 北京")),
			map[string]string{"key_id": "key-1", "owner": "Ærøskøbing 北京", "workspace": "acme", "scopes": "maps:read tiles:read"},
			"x-burnkey-issuer",
		},
	} {
		v := ask(g, request("bearer  "+test.token))
		if v.status != 200 || strings.Join(v.removed, " ") != test.removed ||
			len(v.fields) != len(test.want) || len(v.headers) != len(test.want) {
			t.Errorf("%s: %+v", test.name, v)
		}
		for name, want := range test.want {
			if header := v.headers.Get("x-burnkey-" + strings.ReplaceAll(name, "_", "-")); header != want || v.fields[name] != want {
				t.Errorf("%s: %s: %q and %q, want %q", test.name, name, header, v.fields[name], want)
			}
		}
	}
}

func TestStripAuthorization(t *testing.T) {
	g, _ := follow(t, func(o *Options) { o.StripAuthorization = true })
	v := ask(g, request("Bearer "+own().Token(payload("acme"))))
	if v.status != 200 || !slices.Contains(v.removed, "authorization") {
		t.Errorf("%+v", v)
	}
}

func TestRequireExpiration(t *testing.T) {
	g, _ := follow(t, func(o *Options) { o.RequireExpiration = true })
	exp := fmt.Sprintf(`"iat":1,"exp":%d`, time.Now().Add(time.Hour).Unix())
	for name, test := range map[string]struct {
		token  string
		status int
		detail string
	}{
		"it expires":       {own().Token(payload("acme", `"iat":1`, exp)), 200, ""},
		"it never does":    {own().Token(payload("acme")), 401, "The token never expires, which is not accepted here."},
		"it says null":     {own().Token(payload("acme", `"iat":1`, `"iat":1,"exp":null`)), 401, ""},
		"it says 0":        {own().Token(payload("acme", `"iat":1`, `"iat":1,"exp":0`)), 401, ""},
		"it expired":       {own().Token(payload("acme", `"iat":1`, `"iat":1,"exp":2`)), 401, "The token has expired."},
		"another's claims": {other().Token(payload("acme")), 401, "revoked"},
	} {
		for range 2 { // also once it is known
			v := ask(g, request("Bearer "+test.token))
			if v.status != test.status || !strings.Contains(v.headers.Get("WWW-Authenticate"), test.detail) {
				t.Errorf("%s: %d %s", name, v.status, v.headers.Get("WWW-Authenticate"))
			}
		}
	}
}

func TestRequirements(t *testing.T) {
	log := new(testkit.Log)
	g, _ := follow(t, func(o *Options) {
		o.Audience, o.AnyAudience = []string{"maps", "else"}, false
		o.Log = log.Logger()
	})
	token := "Bearer " + own().Token(payload("acme"))
	for _, test := range []struct {
		extensions string // as JSON
		status     int
		challenge  string // a part
	}{
		{`{}`, 200, ""},
		{`{"scopes":"maps:read"}`, 200, ""},
		{`{"scopes":" tiles:read  maps:read "}`, 200, ""},
		{
			`{"scopes":"maps:read maps:write"}`, 403,
			`error="insufficient_scope", error_description="The token lacks a scope that is required here.", scope="maps:read maps:write"`,
		},
		{`{"scopes":"maps"}`, 403, "insufficient_scope"},
		{`{"scopes":"MAPS:READ"}`, 403, "insufficient_scope"},
		{`{"scopes":"maps:read,tiles:read"}`, 500, ""},
		{`{"scopes":"maps:read, tiles:read"}`, 500, ""},
		{`{"audience":"x"}`, 200, ""},
		{`{"audience":"y x"}`, 200, ""},
		{`{"audience":"y"}`, 401, "The token is for another audience."},
		{`{"workspace":"acme"}`, 200, ""},
		{`{"workspace":"beta acme"}`, 200, ""},
		{`{"workspace":"beta"}`, 401, `error="invalid_token", error_description="The token's workspace is not accepted here."`},
		{`{"workspace":"acm"}`, 401, "The token's workspace is not accepted here."},
		{`{"workspace":"beta,acme"}`, 500, ""},
		{`{"audience":"y,x"}`, 401, "The token is for another audience."},
		{`{"workspace":"acme","audience":"maps","scopes":"maps:read"}`, 200, ""},
		{`{"workspace":"acme","audience":"maps","scopes":"admin"}`, 403, "insufficient_scope"},
		{`{"scope":"maps:read"}`, 500, ""},
		{`{"Scopes":"maps:read"}`, 500, ""},
		{`{"scopes":"maps:read","audiences":"maps"}`, 500, ""},
		{`{"":"x"}`, 500, ""},
		{`{"scopes":""}`, 500, ""},
		{`{"audience":" "}`, 500, ""},
		{`{"workspace":"\t"}`, 500, ""},
	} {
		var extensions map[string]string
		check(t, json.Unmarshal([]byte(test.extensions), &extensions))
		v := ask(g, with(request(token), extensions))
		if v.status != test.status || !strings.Contains(v.headers.Get("WWW-Authenticate"), test.challenge) {
			t.Errorf("%s: %d %s", test.extensions, v.status, v.headers.Get("WWW-Authenticate"))
		}
		if test.status != 200 {
			wantProblem(t, test.extensions, v)
		}
		if v := ask(g, with(request(), extensions)); v.status != max(401, test.status/500*500) {
			t.Errorf("%s: %d without a token", test.extensions, v.status)
		}
	}
	if v := ask(g, request("Bearer "+own().Token(payload("acme", `"maps",`, "")))); v.status != 401 {
		t.Errorf("without the global audience: %d", v.status)
	}
	text := log.String()
	for _, fault := range []string{
		"scope is unknown; must be audience, scopes, workspace or route", "audiences is unknown", "scopes contains a comma",
		"scopes is empty", "audience is empty",
		"workspace contains a comma", "host=api.example.com path=/v1/tiles\n",
	} {
		if !strings.Contains(text, fault) {
			t.Errorf("the log does not say %s:\n%s", fault, text)
		}
	}
	if strings.Contains(text, token[40:60]) || strings.Contains(text, "x=1") {
		t.Error("the log has a token, or a query")
	}
}
