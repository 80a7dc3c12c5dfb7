package gateway

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/gateway/gatewaytest"
	"github.com/burnkey/burnkey/internal/testkit"
)

func TestDecideRefuses(t *testing.T) {
	g, _ := follow(t, nil)
	for _, attack := range gatewaytest.Attacks() {
		v := ask(g, request(attack.Authorization...))
		if v.status != attack.Status || v.headers.Get("WWW-Authenticate") != attack.Challenge {
			t.Errorf("%s: %d %s", attack.Name, v.status, v.headers.Get("WWW-Authenticate"))
		}
		wantProblem(t, attack.Name, v)
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
	for _, test := range gatewaytest.Routes() {
		v := ask(g, with(request(token), test.Requirements))
		if v.status != test.Status || !strings.Contains(v.headers.Get("WWW-Authenticate"), test.Challenge) {
			t.Errorf("%v: %d %s", test.Requirements, v.status, v.headers.Get("WWW-Authenticate"))
		}
		if test.Status != 200 {
			wantProblem(t, fmt.Sprint(test.Requirements), v)
		}
		if v := ask(g, with(request(), test.Requirements)); v.status != max(401, test.Status/500*500) {
			t.Errorf("%v: %d without a token", test.Requirements, v.status)
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
