package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/jwks"
)

// marker is part of invalid values: no answer and no log may repeat it.
const marker = "s3cret-marker"

func object(n int) string { return fmt.Sprintf(`{"k":"%s"}`, strings.Repeat("x", n-len(`{"k":""}`))) }

// badKeys are invalid bodies of a request for a key, each with the field that the answer must name.
var badKeys = []struct{ name, field, body string }{
	{"empty", "body", ``},
	{"blank", "body", ` `},
	{"no JSON", "body", marker},
	{"a string", "body", `"` + marker + `"`},
	{"null", "body", `null`},
	{"an array", "body", `[{"owner":"x"}]`},
	{"cut off", "body", `{"owner":"x"`},
	{"cut off in a member", "owner", `{"owner":"` + marker},
	{"trailing brace", "body", `{"owner":"x"}}`},
	{"trailing value", "body", `{"owner":"x"} {"owner":"` + marker + `"}`},
	{"trailing text", "body", `{"owner":"x"}` + marker},
	{"trailing NUL", "body", "{\"owner\":\"x\"}\x00"},
	{"byte order mark", "body", "\xef\xbb\xbf{\"owner\":\"x\"}"},
	{"single quotes", "body", `{'owner':'` + marker + `'}`},
	{"comment", "body", `{/*` + marker + `*/"owner":"x"}`},
	{"deep", "body", strings.Repeat("[", 60000)},
	{"deep claims", "claims", `{"owner":"x","claims":` + strings.Repeat(`{"a":`, 33) + `1` + strings.Repeat(`}`, 33) + `}`},

	{"deep metadata", "metadata", `{"owner":"x","metadata":{"a":` + strings.Repeat("[", 8000) + strings.Repeat("]", 8000) + `}}`},
	{"metadata one deeper", "metadata", `{"owner":"x","metadata":{"a":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}}`},
	{"deep where nothing is", "extra", `{"owner":"x","extra":` + strings.Repeat("[", 8000) + strings.Repeat("]", 8000) + `}`},

	{"no owner", "owner", `{"name":"` + marker + `"}`},
	{"empty owner", "owner", `{"owner":""}`},
	{"long owner", "owner", `{"owner":"` + strings.Repeat(marker, 800) + `"}`},
	{"owner with NUL", "owner", `{"owner":"` + marker + `\u0000"}`},
	{"owner with newline", "owner", `{"owner":"` + marker + `\n"}`},
	{"owner with DEL", "owner", `{"owner":"` + marker + `\u007f"}`},
	{"owner with C1", "owner", `{"owner":"` + marker + `\u0085"}`},
	{"owner with line separator", "owner", `{"owner":"` + marker + `\u2028"}`},
	{"owner of bad UTF-8", "owner", "{\"owner\":\"" + marker + "\xff\"}"},
	{"owner of half a surrogate", "owner", `{"owner":"` + marker + `\ud800"}`},
	{"owner with raw control", "owner", "{\"owner\":\"" + marker + "\x01\"}"},
	{"name too long", "name", `{"owner":"x","name":"` + strings.Repeat("é", 256) + `"}`},
	{"name with tab", "name", `{"owner":"x","name":"\t` + marker + `"}`},

	{"twice", "owner", `{"owner":"x","owner":"` + marker + `"}`},
	{"twice by escape", "owner", `{"owner":"x","own\u0065r":"` + marker + `"}`},
	{"twice in claims", "claims", `{"owner":"x","claims":{"a":1,"a":"` + marker + `"}}`},
	{"twice deep in metadata", "metadata", `{"owner":"x","metadata":{"a":[{"b":1,"b":"` + marker + `"}]}}`},
	{"unknown", "extra", `{"owner":"x","extra":"` + marker + `"}`},
	{"token", "token", `{"owner":"x","token":"` + marker + `"}`},
	{"id", "id", `{"owner":"x","id":"` + marker + `"}`},
	{"case", "Owner", `{"owner":"x","Owner":"` + marker + `"}`},
	{"case alone", "owner", `{"OWNER":"` + marker + `"}`},
	{"case of expires_in", "Expires_In", `{"owner":"x","Expires_In":60}`},
	{"spelling of expires_in", "expiresIn", `{"owner":"x","expiresIn":60}`},

	{"expires_in 0", "expires_in", `{"owner":"x","expires_in":0}`},
	{"expires_in -1", "expires_in", `{"owner":"x","expires_in":-1}`},
	{"expires_in 10^12", "expires_in", `{"owner":"x","expires_in":1000000000000}`},
	{"expires_in 2^64", "expires_in", `{"owner":"x","expires_in":18446744073709551617}`},
	{"expires_in 1.5", "expires_in", `{"owner":"x","expires_in":1.5}`},
	{"expires_in text", "expires_in", `{"owner":"x","expires_in":"60"}`},
	{"expires_in true", "expires_in", `{"owner":"x","expires_in":true}`},
	{"expires_in 1e400", "expires_in", `{"owner":"x","expires_in":1e400}`},
	{"expires_in NaN", "expires_in", `{"owner":"x","expires_in":NaN}`},
	{"expires_in and never", "expires_in", `{"owner":"x","expires_in":60,"never_expires":true}`},
	{"never as text", "never_expires", `{"owner":"x","never_expires":"` + marker + `"}`},

	{"scope with space", "scopes", `{"owner":"x","scopes":["a ` + marker + `"]}`},
	{"scope with quote", "scopes", `{"owner":"x","scopes":["a\"` + marker + `"]}`},
	{"scope with backslash", "scopes", `{"owner":"x","scopes":["a\\` + marker + `"]}`},
	{"scope beyond ASCII", "scopes", `{"owner":"x","scopes":["é` + marker + `"]}`},
	{"empty scope", "scopes", `{"owner":"x","scopes":["a",""]}`},
	{"long scope", "scopes", `{"owner":"x","scopes":["` + strings.Repeat("s", 129) + `"]}`},
	{"scope twice", "scopes", `{"owner":"x","scopes":["` + marker + `","` + marker + `"]}`},
	{"scope null", "scopes", `{"owner":"x","scopes":[null]}`},
	{"null in a limit", "limits[0].calendar", `{"owner":"x","limits":[{"name":"a","requests":1,"seconds":1,"calendar":null}]}`},
	{"scope an object", "scopes", `{"owner":"x","scopes":[{}]}`},
	{"scope a list", "scopes", `{"owner":"x","scopes":["a",["` + marker + `"]]}`},
	{"scopes text", "scopes", `{"owner":"x","scopes":"` + marker + `"}`},
	{"audience of another", "audience", `{"owner":"x","audience":["` + marker + `"]}`},
	{"audience twice", "audience", `{"owner":"x","audience":["acme","acme"]}`},
	{"audience of a number", "audience", `{"owner":"x","audience":[1]}`},

	{"claims list", "claims", `{"owner":"x","claims":["` + marker + `"]}`},
	{"claims text", "claims", `{"owner":"x","claims":"` + marker + `"}`},
	{"claims too long", "claims", `{"owner":"x","claims":` + object(4<<10+1) + `}`},
	{"claims 5 KB", "claims", `{"owner":"x","claims":` + object(5000) + `}`},
	{"claims out of range", "claims", `{"owner":"x","claims":{"a":1e400}}`},
	{"metadata list", "metadata", `{"owner":"x","metadata":[]}`},
	{"metadata too long", "metadata", `{"owner":"x","metadata":` + object(16<<10+1) + `}`},
	{"metadata 17 KB", "metadata", `{"owner":"x","metadata":` + object(17<<10) + `}`},
}

func TestBadKeys(t *testing.T) {
	s := newServer(t)
	before := s.state()
	for _, claim := range []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "scope", "client_id", "rate_limit", "key_id"} {
		badKeys = append(badKeys, struct{ name, field, body string }{
			"reserved " + claim, "claims." + claim, `{"owner":"x","claims":{"a":1,"` + claim + `":"` + marker + `"}}`,
		})
	}
	for _, bad := range badKeys {
		t.Run(bad.name, func(t *testing.T) {
			a := s.do("POST", keysPath, bad.body)
			s.wantRefused(t, a, bad.field)
		})
	}
	if s.state() != before {
		t.Error("a refused call changed something")
	}
	if strings.Contains(s.log.String(), marker) {
		t.Error("the log repeats a bad value")
	}
}

// TestFaultCodes: programs can tell by a code which rule was broken.
func TestFaultCodes(t *testing.T) {
	s := newServer(t)
	for body, want := range map[string]string{
		`{"owner":"x","scopes":["a","a"]}`:                        `[{"field":"scopes","code":"duplicate","detail":"must not contain a value twice"}]`,
		`{"owner":"x","claims":{"iss":"x"}}`:                      `[{"field":"claims.iss","code":"reserved_claim","detail":"is a reserved claim"}]`,
		`{"owner":"x","expires_in":315360001}`:                    `[{"field":"expires_in","detail":"must be at most 315360000"}]`,
		`{"owner":"x","name":"` + strings.Repeat("x", 256) + `"}`: `[{"field":"name","detail":"must be at most 255 characters"}]`,
		`{"owner":""}`:                           `[{"field":"owner","detail":"must not be empty"}`,
		`{"owner":"x","audience":["elsewhere"]}`: `[{"field":"audience","code":"unknown_audience","detail":"must be among the workspace's audiences"}]`,
	} {
		if a := s.do("POST", keysPath, body); a.status != 422 || !strings.Contains(string(a.body), `"errors":`+want) {
			t.Errorf("%s: answered %d: %s", body, a.status, a.body)
		}
	}
}

// wantRefused fails unless the answer names the field and does not repeat its value.
func (s *server) wantRefused(t *testing.T, a answer, field string) {
	t.Helper()
	if a.status != 400 && a.status != 422 {
		t.Fatalf("answered %d: %.200s", a.status, redact(string(a.body)))
	}
	if p := a.problem(); !p.names(field) {
		t.Errorf("%s is not blamed, but %v", field, p.Errors)
	}
	if strings.Contains(string(a.body), marker) {
		t.Errorf("the answer repeats the value: %s", a.body)
	}
	if len(a.body) > 2000 {
		t.Errorf("the answer is %d bytes long", len(a.body))
	}
}

func TestLongestKeys(t *testing.T) {
	s := newServer(t)
	for name, body := range map[string]string{
		"owner":            `{"owner":"` + strings.Repeat("é", 255) + `"}`,
		"name":             `{"owner":"x","name":"` + strings.Repeat("𝄞", 255) + `"}`,
		"claims":           `{"owner":"x","claims":` + object(4<<10) + `}`,
		"claims, spaced":   `{"owner":"x","claims":` + strings.Replace(object(4<<10), ":", ": \n\t ", 1) + `}`,
		"metadata":         `{"owner":"x","metadata":` + object(16<<10) + `}`,
		"deep claims":      `{"owner":"x","claims":` + strings.Repeat(`{"a":`, 32) + `1` + strings.Repeat(`}`, 32) + `}`,
		"whole as a float": `{"owner":"x","expires_in":60.0}`,
		"whole in powers":  `{"owner":"x","expires_in":6e1}`,
		"claims of null":   `{"owner":"x","claims":{"a":null,"b":[null]}}`,
		"body":             `{"owner":"x"}` + strings.Repeat(" ", 64<<10-len(`{"owner":"x"}`)),
	} {
		if a := s.do("POST", keysPath, body); a.status != 201 {
			t.Errorf("%s: answered %d: %.200s", name, a.status, redact(string(a.body)))
		}
	}
}

func TestBadWorkspaces(t *testing.T) {
	s := newServer(t)
	before := s.state()
	for _, id := range []string{
		"", "A", "-a", "a_b", "a b", "a/b", "a.b", "é", "a\\n", strings.Repeat("a", 64), marker + "!", "..", "a\\u0000",
	} {
		s.wantRefused(t, s.do("POST", "/v1/workspaces", `{"id":"`+id+`"}`), "id")
	}
	for _, bad := range []struct{ field, body string }{
		{"id", `{}`},
		{"id", `{"id":7}`},
		{"name", `{"id":"x","name":"` + marker + `\n"}`},
		{"name", `{"id":"x","name":"` + strings.Repeat(marker, 20) + `"}`},
		{"audiences", `{"id":"x","audiences":[""]}`},
		{"audiences", `{"id":"x","audiences":["` + marker + `","` + marker + `"]}`},
		{"audiences", `{"id":"x","audiences":["a\u0000"]}`},
		{"allow_never_expires", `{"id":"x","allow_never_expires":"` + marker + `"}`},
		{"issuer", `{"id":"x","issuer":"` + marker + `"}`},
		{"Id", `{"Id":"x"}`},
		{"name", `{"id":"x","name":null}`},
		{"audiences", `{"id":"x","audiences":null}`},
	} {
		s.wantRefused(t, s.do("POST", "/v1/workspaces", bad.body), bad.field)
	}
	for _, bad := range []struct{ field, body string }{
		{"name", `{"name":""}`},
		{"audiences", `{"audiences":[]}`},
		{"policy.scopes[0].description", `{"policy":{"scopes":[{"name":"a","description":null}]}}`},
	} {
		s.wantRefused(t, s.do("PATCH", "/v1/workspaces/acme", bad.body), bad.field)
	}
	if s.state() != before || strings.Contains(s.log.String(), marker) {
		t.Error("a refused call left a trace")
	}
}

func TestBadPathsAndQueries(t *testing.T) {
	s := newServer(t)
	key := s.issue("acme", map[string]any{})
	before := s.state()
	for _, ws := range []string{"Acme", "a_b", "-", "%20", "acme%0a", "a%2Fb", "%00", strings.Repeat("a", 64), "é", "%ff", ""} {
		for _, call := range []struct{ method, rest, body string }{
			{"GET", "", ""},
			{"PATCH", "", "{}"},
			{"GET", "/keys", ""},
			{"POST", "/keys", `{"owner":"x"}`},
			{"GET", "/keys/" + key.id, ""},
			{"DELETE", "/keys/" + key.id, ""},
		} {
			if ws == "" && call.rest == "" {
				continue // another path
			}
			var body any
			if call.body != "" {
				body = call.body
			}
			s.wantRefused(t, s.do(call.method, "/v1/workspaces/"+ws+call.rest, body), "ws")
		}
	}
	for query, field := range map[string]string{
		"limit=0": "limit", "limit=-1": "limit", "limit=1001": "limit", "limit=x" + marker: "limit", "limit=1.5": "limit",
		"limit=99999999999999999999": "limit", "limit=1&limit=2": "limit", "limit=%": "query",
		"cursor=" + marker: "cursor", "cursor=!": "cursor", "cursor=" + b64([]byte("x!")): "cursor",
		"cursor=" + strings.Repeat("A", 129): "cursor", "cursor=%00": "cursor",
		"status=" + marker: "status", "status=ACTIVE": "status", "status=active&status=revoked": "status",
		"owner=" + strings.Repeat("o", 256): "owner", "owner=%ff": "owner", "owner=%00": "owner", "q=%0a": "q",
		"q=" + strings.Repeat("q", 256): "q", "page=" + marker: "page", "Limit=1": "Limit", "access_token=" + marker: "access_token",
		"a;b": "query", "%zz=" + marker: "query",
	} {
		s.wantRefused(t, s.do("GET", keysPath+"?"+query, nil), field)
	}
	for query, field := range map[string]string{
		"limit=0": "limit", "cursor=" + b64([]byte("A")): "cursor", "owner=x": "owner", "limit=1&limit=1": "limit",
	} {
		s.wantRefused(t, s.do("GET", "/v1/workspaces?"+query, nil), field)
	}
	for _, path := range []string{"/v1/workspaces/acme", keysPath + "/" + key.id} {
		s.wantRefused(t, s.do("GET", path+"?x="+marker, nil), "x")
	}
	s.wantRefused(t, s.do("DELETE", keysPath+"/"+key.id+"?dry_run="+marker, nil), "dry_run")
	if s.state() != before || strings.Contains(s.log.String(), marker) {
		t.Error("a refused call left a trace")
	}
}

// The answer to a body that is not JSON has the position of the error, counted in bytes, not in characters.
func TestFaultsOfJSONHaveAPlace(t *testing.T) {
	s := newServer(t)
	for body, at := range map[string]string{
		`x`: "0", `{"owner":"é",}`: "13", `{"owner":"x"} {}`: "14", "{\"owner\":\"a\xff\"}": "11", `{"owner":`: "9",
	} {
		a := s.do("POST", keysPath, body).want(400)
		if p := a.problem(); len(p.Errors) != 1 || !strings.Contains(p.Errors[0].Detail, "at byte "+at+",") {
			t.Errorf("%q: %s", body, a.body)
		}
	}
}

func TestContentTypes(t *testing.T) {
	s := newServer(t)
	before := s.state()
	for _, kind := range []string{
		"text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/json", "x", "application/xml",
		"application/vnd.x+json", "application/json-patch+json", "application/merge-patch+json",
	} {
		a := s.do("POST", keysPath, `{"owner":"x"}`, header("Content-Type", kind)).want(415)
		if !a.problem().names("Content-Type") {
			t.Errorf("%s: %s", kind, a.body)
		}
	}
	for path, c := range map[string]struct{ method, takes string }{
		"/v1/workspaces/acme":      {"PATCH", "must be application/json or application/merge-patch+json"},
		keysPath + "/" + unknownID: {"PATCH", "must be application/json or application/merge-patch+json"},
		"/v1/workspaces":           {"POST", "must be application/json"},
	} {
		for _, kind := range []string{"text/plain", "application/json-patch+json; charset=utf-8"} {
			a := s.do(c.method, path, `{"id":"x"}`, header("Content-Type", kind)).want(415)
			if p := a.problem(); len(p.Errors) != 1 || p.Errors[0].Detail != c.takes {
				t.Errorf("%s says %s", path, a.body)
			}
		}
	}
	if s.state() != before {
		t.Error("a refused call changed something")
	}
	for _, kind := range []string{"application/json; charset=utf-8", "APPLICATION/JSON"} {
		s.do("POST", keysPath, `{"owner":"x"}`, header("Content-Type", kind)).want(201)
	}
	s.do("POST", keysPath, `{"owner":"x"}`, header("Content-Type")).want(201)
	for _, accept := range []string{"text/html", "*/*", "application/cbor", "application/json;q=0", "x"} {
		s.do("GET", keysPath, nil, header("Accept", accept)).want(200)
	}
}

func TestBadIdempotencyKeys(t *testing.T) {
	s := newServer(t)
	before := s.state()
	for _, value := range []string{strings.Repeat("k", 256), marker + "é", marker + "\xff", "a\tb"} {
		s.wantRefused(t, s.do("POST", keysPath, `{"owner":"x"}`, header("Idempotency-Key", value)), "Idempotency-Key")
	}
	s.wantRefused(t, s.do("POST", keysPath, `{"owner":"x"}`, header("Idempotency-Key", "a", "b")), "Idempotency-Key")
	if s.state() != before {
		t.Error("a refused call changed something")
	}
	s.do("POST", keysPath, `{"owner":"x"}`, header("Idempotency-Key", strings.Repeat("k", 255))).want(201)
}

// A token in the wrong place is refused like any other value. The transport checks that no answer repeats it,
// and newServer's cleanup checks log and metrics.
func TestMisplacedTokens(t *testing.T) {
	s := newServer(t)
	token := s.issue("acme", map[string]any{}).token
	for _, field := range []string{"owner", "name"} {
		s.wantRefused(t, s.do("POST", keysPath, map[string]any{"owner": "x", field: token}), field)
	}
	s.do("POST", keysPath, map[string]any{"owner": "x", "scopes": []string{token}}).want(422)
	s.do("POST", keysPath, map[string]any{"owner": "x", "audience": []string{token}}).want(422)
	s.do("POST", keysPath, map[string]any{"owner": "x", "expires_in": token}).want(422)
	s.do("GET", keysPath+"?owner="+token, nil).want(422)
	s.do("GET", keysPath+"?cursor="+token, nil).want(422)
	if strings.Contains(s.log.String(), jwks.TokenPrefix) {
		t.Error("the log holds a token")
	}
}

// Every check names a member of a list in the same way.
func TestMembersOfListsAreNamedAlike(t *testing.T) {
	s := newServer(t)
	for _, c := range []struct{ field, body string }{
		{"limits[0].name", `{"owner":"x","limits":[{"name":"a","name":"b","requests":1,"seconds":1}]}`},
		{"limits[0].name", `{"owner":"x","limits":[{"name":1,"requests":1,"seconds":1}]}`},
		{"limits[0].name", `{"owner":"x","limits":[{"name":"A","requests":1,"seconds":1}]}`},
		{"limits[0].name", `{"owner":"x","limits":[{"requests":1,"seconds":1}]}`},
		{"limits[0].extra", `{"owner":"x","limits":[{"name":"a","requests":1,"seconds":1,"extra":1}]}`},
		{"limits[1].calendar", `{"owner":"x","limits":[{"name":"b","requests":1,"seconds":1},{"name":"a","requests":1,"calendar":"year"}]}`},
		{"limits[1].requests", `{"owner":"x","limits":[{"name":"b","requests":1,"seconds":1},{"name":"a","requests":0,"seconds":1}]}`},
		{"metadata.a[0].b", `{"owner":"x","metadata":{"a":[{"b":1,"b":2}]}}`},
	} {
		for method, path := range map[string]string{"POST": keysPath, "PATCH": keysPath + "/" + s.issue("acme", map[string]any{}).id} {
			body := c.body
			if method == "PATCH" {
				body = strings.Replace(body, `"owner":"x",`, "", 1)
			}
			a := s.do(method, path, body)
			if p := a.problem(); a.status/100 != 4 || len(p.Errors) == 0 || p.Errors[0].Field != c.field {
				t.Errorf("%s %s: %d %s; want the field %s", method, body, a.status, a.body, c.field)
			}
		}
	}
}
