package api_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
)

func TestJWKS(t *testing.T) {
	s := newServer(t)
	key := s.issue("acme", map[string]any{})
	a := s.do("GET", jwksPath, nil).want(200)
	published, _ := s.publisher.Set("acme")
	tag := "2." + published.Fingerprint().String()[:16]
	for name, want := range map[string]string{
		"Content-Type": "application/jwk-set+json", "Etag": `"` + tag + `"`, "Cache-Control": "public, max-age=5, no-transform",
		"Access-Control-Allow-Origin": "*", "Content-Encoding": "", "Vary": "Accept-Encoding",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	keys, err := jwks.ParseSet(a.body)
	must(t, err)
	if len(keys) != 2 { // the tombstone and the key
		t.Errorf("%d keys are published", len(keys))
	}
	var set struct{ Keys []map[string]string }
	must(t, json.Unmarshal(a.body, &set))
	for _, k := range set.Keys {
		if len(k) != 6 {
			t.Errorf("a JWK has the members %v", k)
		}
	}

	one := s.do("GET", jwksPath+"?kid="+key.kid, nil).want(200)
	keys, err = jwks.ParseSet(one.body)
	if err != nil || len(keys) != 1 || keys[0].KID().String() != key.kid {
		t.Errorf("?kid= gives %s", one.body)
	}
	head := s.do("HEAD", jwksPath, nil).want(200)
	if len(head.body) != 0 || head.header.Get("Content-Length") != a.header.Get("Content-Length") || head.header.Get("Etag") != `"`+tag+`"` {
		t.Errorf("HEAD differs: %v", head.header)
	}
	for _, match := range []string{`"` + tag + `"`, `"` + tag + `-gzip"`, `"1", "` + tag + `"`, `W/"` + tag + `"`, `*`} {
		if b := s.do("GET", jwksPath, nil, header("If-None-Match", match)).want(304); len(b.body) > 0 || b.header.Get("Etag") != `"`+tag+`"` {
			t.Errorf("304 for %s: %v", match, b.header)
		}
		s.do("HEAD", jwksPath, nil, header("If-None-Match", match)).want(304)
	}
	for _, other := range []string{`"1"`, `"2"`, `"2.AAAAAAAAAAAAAAAA"`} {
		s.do("GET", jwksPath, nil, header("If-None-Match", other)).want(200)
	}

	zipped := s.do("GET", jwksPath, nil, header("Accept-Encoding", "br, gzip")).want(200)
	if zipped.header.Get("Etag") != `"`+tag+`-gzip"` || zipped.header.Get("Content-Encoding") != "gzip" {
		t.Errorf("gzip: %v", zipped.header)
	}
	r, err := gzip.NewReader(bytes.NewReader(zipped.body))
	must(t, err)
	if plain, err := io.ReadAll(r); err != nil || !bytes.Equal(plain, a.body) {
		t.Errorf("unzips to something else: %v", err)
	}
	s.do("GET", jwksPath, nil, header("Accept-Encoding", "gzip"), header("If-None-Match", `"`+tag+`"`)).want(304)
}

func TestJWKSNotFound(t *testing.T) {
	s := newServer(t)
	for _, path := range []string{
		"/v1/auth/oauth/none/.well-known/jwks.json", "/v1/auth/oauth/ACME/.well-known/jwks.json",
		"/v1/auth/oauth/acme%2Fx/.well-known/jwks.json", "/v1/auth/oauth/none/.well-known/openid-configuration",
		"/.well-known/oauth-authorization-server/v1/auth/oauth/none",
	} {
		s.do("GET", path, nil).want(404)
		s.do("HEAD", path, nil).want(404)
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
		s.do(method, jwksPath, nil).want(405)
	}
}

// For a kid that is not published, the set has only the tombstone. After a 404, many clients would continue to
// use the revoked key.
func TestJWKSOfAKeyThatIsNotPublished(t *testing.T) {
	s := newServer(t)
	foreign, revoked := s.issue("other", map[string]any{}), s.issue("acme", map[string]any{})
	tag := s.do("GET", jwksPath+"?kid="+revoked.kid, nil).want(200).header.Get("Etag")
	s.do("DELETE", keysPath+"/"+revoked.id, nil).want(200)
	all, err := jwks.ParseSet(s.do("GET", jwksPath, nil).want(200).body)
	must(t, err)
	if len(all) != 1 {
		t.Fatalf("%d keys are published beside the tombstone", len(all)-1)
	}
	want := all[0].KID().String()
	s.issue("acme", map[string]any{}) // must not be served instead
	for _, query := range []string{revoked.kid, foreign.kid, "", "x", "a&kid=b", want + "x", "%zz"} {
		for range 2 {
			a := s.do("GET", jwksPath+"?kid="+query, nil, header("If-None-Match", tag)).want(200)
			keys, err := jwks.ParseSet(a.body)
			if err != nil || len(keys) != 1 || keys[0].KID().String() != want || a.header.Get("Etag") != `"`+want+`"` {
				t.Errorf("?kid=%s: %s, %v", query, a.body, a.header)
			}
		}
		s.do("HEAD", jwksPath+"?kid="+query, nil).want(200)
		s.do("GET", jwksPath+"?kid="+query, nil, header("If-None-Match", `W/"`+want+`"`)).want(304)
	}
	s.do("GET", "/v1/auth/oauth/none/.well-known/jwks.json?kid="+revoked.kid, nil).want(404)
}

// Web pages of any origin may make the public calls and read the answers, including errors.
func TestPublicCallsOfAnyOrigin(t *testing.T) {
	s := newServer(t)
	for _, path := range []string{
		jwksPath, jwksPath + "?kid=x", changesPath, issuer + "/revoke", issuer + "/.well-known/openid-configuration",
		"/openapi.json", "/.well-known/oauth-authorization-server" + issuer, "/.well-known/openid-configuration" + issuer,
	} {
		a := s.do("OPTIONS", path, nil, header("Origin", "https://a.test"), header("Access-Control-Request-Method", "GET")).want(204)
		for name, want := range map[string]string{
			"Allow-Origin": "*", "Allow-Headers": "If-None-Match", "Allow-Methods": "",
			"Max-Age": "86400",
		} {
			if got := a.header.Get("Access-Control-" + name); !strings.Contains(got, want) || got == "" {
				t.Errorf("OPTIONS %s: Access-Control-%s is %q", path, name, got)
			}
		}
	}
	for path, status := range map[string]int{
		"/v1/auth/oauth/none/.well-known/jwks.json": 404, "/v1/auth/oauth/none/changes": 404, changesPath + "?after=x": 400,
		issuer + "/nothing": 404, issuer + "/revoke": 405, "/.well-known/oauth-authorization-server/v1/auth/oauth/none": 404,
	} {
		if a := s.do("GET", path, nil).want(status); a.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("GET %s: %d without CORS", path, status)
		}
	}
	if a := s.do("POST", issuer+"/revoke", "", form).want(400); a.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Error("POST /revoke: 400 without CORS")
	}
	for _, path := range []string{keysPath, "/v1/workspaces", "/metrics"} {
		for _, method := range []string{"GET", "OPTIONS"} {
			if a := s.do(method, path, nil); a.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s %s may be read by pages", method, path)
			}
		}
	}
}

func TestMetadata(t *testing.T) {
	for base, paths := range map[string][]string{
		publicURL: {
			issuer + "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server" + issuer,
			issuer + "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration" + issuer,
		},
		"https://example.test/keys/": {
			issuer + "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/keys" + issuer,
			"/.well-known/openid-configuration/keys" + issuer,
		},
	} {
		s := newServer(t, func(s *server, o *authz.Options, _ *http.Server) { o.PublicURL = base })
		want := strings.TrimRight(base, "/") + issuer
		for _, path := range paths {
			a := s.do("GET", path, nil).want(200)
			wantSubset(t, a.object(), `{"issuer":"`+want+`","jwks_uri":"`+want+`/.well-known/jwks.json",
				"revocation_endpoint":"`+want+`/revoke","revocation_endpoint_auth_methods_supported":["none"],
				"introspection_endpoint":"`+want+`/introspect","introspection_endpoint_auth_methods_supported":["Bearer","client_secret_basic"]}`)
			if a.header.Get("Access-Control-Allow-Origin") != "*" || a.header.Get("Content-Type") != "application/json" {
				t.Errorf("%s: %v", path, a.header)
			}
			s.do("HEAD", path, nil).want(200)
			s.do("POST", path, nil).want(405)
		}
	}
}

var form = header("Content-Type", "application/x-www-form-urlencoded")

func TestRevokeByPossession(t *testing.T) {
	s := newServer(t)
	key := s.issue("acme", map[string]any{"expires_in": 60})
	foreign := s.issue("other", map[string]any{})
	published := func(workspace string, key issued) bool {
		path := "/v1/auth/oauth/" + workspace + "/.well-known/jwks.json?kid=" + key.kid
		var set struct{ Keys []struct{ Kid string } }
		must(t, json.Unmarshal(s.do("GET", path, nil).want(200).body, &set))
		return len(set.Keys) == 1 && set.Keys[0].Kid == key.kid
	}
	before := s.state()
	forged := key.token[:len(key.token)-8] + strings.Map(func(r rune) rune { return 'A' }, "12345678")
	for _, token := range []string{foreign.token, forged} {
		wantSubset(t, s.do("POST", issuer+"/revoke", "token="+token, form).want(200).object(), `{"status":"unknown"}`)
	}
	for _, token := range []string{marker, key.token + "x", key.token[:len(key.token)-3] + "abc", key.id, key.kid} {
		wantSubset(t, s.do("POST", issuer+"/revoke", "token="+token, form).want(200).object(), `{"status":"unknown"}`)
		s.do("POST", "/v1/auth/oauth/none/revoke", "token="+token, form).want(404)
	}
	if s.state() != before || !published("other", foreign) {
		t.Fatal("a token that is not the workspace's changed something")
	}
	s.do("POST", "/v1/auth/oauth/none/revoke", "token="+key.token, form).want(404)
	s.sleep(time.Minute) // its holder may end it even when it has expired
	first := s.do("POST", issuer+"/revoke", "token_type_hint=access_token&token="+key.token, form).want(200)
	wantSubset(t, first.object(), `{"status":"revoked"}`)
	if published("acme", key) || first.header.Get("Cache-Control") != "no-store" {
		t.Error("the key is still published")
	}
	wantSubset(t, s.do("GET", keysPath+"/"+key.id, nil).want(200).object(), `{"status":"revoked","version":3}`)
	after := s.state()
	s.do("POST", issuer+"/revoke", "token="+key.token, form).want(200)
	if s.state() != after {
		t.Error("the second time changed something")
	}
	if strings.Contains(s.log.String(), marker) {
		t.Error("the log holds the token")
	}
}

// Text around a token is ignored: tools that find leaked tokens send the line of the log, or a file's final
// line break (curl --data-urlencode token@file).
func TestRevokeByPossessionTakesOffWhatSurrounds(t *testing.T) {
	s := newServer(t)
	for _, around := range []string{"%s\n", "Authorization: Bearer %s\r\n", "\ufeff\"%s\"", "API_KEY='%s';", `{"token": "%s"}`, "`%s`."} {
		key := s.issue("acme", map[string]any{})
		pasted := fmt.Sprintf(around, key.token)
		s.do("POST", issuer+"/revoke", url.Values{"token": {pasted}}.Encode(), form).want(200)
		wantSubset(t, s.do("GET", keysPath+"/"+key.id, nil).want(200).object(), `{"status":"revoked"}`)
	}
}

func TestBadRevocations(t *testing.T) {
	s := newServer(t)
	key := s.issue("acme", map[string]any{})
	before := s.state()
	token := "token=" + key.token
	for name, c := range map[string]struct {
		path, body string
		kind       func(*http.Request)
		status     int
		field      string
	}{
		"empty":       {"", "", form, 400, "token"},
		"no token":    {"", "tok=" + marker, form, 400, "token"},
		"empty token": {"", "token=", form, 400, "token"},
		"twice":       {"", token + "&" + token, form, 400, "token"},
		"in a query":  {"?" + token, "a=b", form, 400, "token"},
		"no form":     {"", "token=%zz", form, 400, "body"},
		"JSON":        {"", `{"token":"` + key.token + `"}`, header("Content-Type", "application/json"), 415, "Content-Type"},
		"untyped":     {"", token, header("Content-Type"), 415, "Content-Type"},
		"too long":    {"", token + strings.Repeat("x", 64<<10), form, 413, "body"},
	} {
		t.Run(name, func(t *testing.T) {
			p := s.do("POST", issuer+"/revoke"+c.path, c.body, c.kind).want(c.status).problem()
			if !p.names(c.field) || c.status != 413 && p.OAuth != "invalid_request" {
				t.Errorf("blames %v, error %q", p.Errors, p.OAuth)
			}
		})
	}
	for _, method := range []string{"GET", "PUT", "DELETE", "PATCH"} {
		s.do(method, issuer+"/revoke?"+token, nil).want(405)
	}
	if s.state() != before || strings.Contains(s.log.String(), marker) {
		t.Error("a refused call left a trace")
	}
}
