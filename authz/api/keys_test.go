package api_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/store"

	"github.com/burnkey/burnkey/jwks"
)

// keyMembers are the members of an active key.
var keyMembers = []string{
	"allowed_ips", "audience", "claims", "created_at", "enabled", "enforced_by", "expires_at", "id", "kid", "last_used_at", "limits",
	"metadata", "name", "owner", "scopes", "status", "updated_at", "version", "workspace",
}

func sortedMembers(v map[string]any) []string { return slices.Sorted(maps.Keys(v)) }

func wantMembers(t *testing.T, got map[string]any, want ...string) {
	t.Helper()
	slices.Sort(want)
	if names := sortedMembers(got); !slices.Equal(names, want) {
		t.Errorf("members are %v, want %v", names, want)
	}
}

func wantSubset(t *testing.T, got map[string]any, want string) {
	t.Helper()
	var members map[string]any
	must(t, json.Unmarshal([]byte(want), &members))
	for name, value := range members {
		if !reflect.DeepEqual(got[name], value) {
			t.Errorf("%s is %v, want %v", name, got[name], value)
		}
	}
}

func wantTime(t *testing.T, text any) time.Time {
	t.Helper()
	s, _ := text.(string)
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || !strings.HasSuffix(s, "Z") {
		t.Fatalf("not RFC 3339 in UTC: %v", text)
	}
	return at
}

func TestIssueAnswers(t *testing.T) {
	s := newServer(t)
	s.do("PATCH", "/v1/workspaces/acme", `{"audiences":["acme-company","acme-lab"]}`).want(200)
	a := s.do("POST", keysPath, `{"owner":"cust_1","name":"CI","scopes":["maps:read","maps:write"],"audience":["acme-lab"],
		"expires_in":3600,"claims":{"plan":"gold","n":12345678901234567890},"metadata":{"ticket":[1,null]}}`).want(201)
	got := a.object()
	wantMembers(t, got, append([]string{"token"}, keyMembers...)...)
	wantSubset(t, got, `{"owner":"cust_1","name":"CI","scopes":["maps:read","maps:write"],"audience":["acme-lab"],
		"metadata":{"ticket":[1,null]},"status":"active","version":2,"workspace":"acme"}`)
	if want := keysPath + "/" + a.text("id"); a.header.Get("Location") != want {
		t.Errorf("Location is %s, want %s", a.header.Get("Location"), want)
	}
	if a.header.Get("Content-Type") != "application/json" {
		t.Errorf("Content-Type is %s", a.header.Get("Content-Type"))
	}
	created, expires := wantTime(t, got["created_at"]), wantTime(t, got["expires_at"])
	if want := created.Truncate(time.Second).Add(time.Hour); !expires.Equal(want) || !wantTime(t, got["updated_at"]).Equal(created) {
		t.Errorf("expires at %s, want %s", expires, want)
	}
	parsed, err := jwks.Parse(a.text("token"))
	must(t, err)
	want := `{"iss":"` + publicURL + issuer + `","sub":"cust_1","aud":["acme-lab"],"jti":"` + a.text("id") + `",`
	if !strings.HasPrefix(string(parsed.Payload), want) ||
		!strings.HasSuffix(string(parsed.Payload), `,"scope":"maps:read maps:write","plan":"gold","n":12345678901234567890}`) {
		t.Errorf("signed %s", parsed.Payload)
	}
	if parsed.KID.String() != a.text("kid") {
		t.Error("the token's kid is not the answer's")
	}
}

func TestIssueDefaults(t *testing.T) {
	s := newServer(t)
	got := s.do("POST", keysPath, `{"owner":"cust_1"}`).want(201).object()
	wantSubset(t, got, `{"name":"","scopes":[],"audience":["acme"],"claims":{},"metadata":{}}`)
	life := wantTime(t, got["expires_at"]).Sub(wantTime(t, got["created_at"]).Truncate(time.Second))
	if life != 90*24*time.Hour {
		t.Errorf("lives %s", life)
	}
	got = s.do("POST", keysPath, `{"owner":"cust_1","never_expires":true}`).want(201).object()
	if v, ok := got["expires_at"]; !ok || v != nil {
		t.Errorf("expires_at is %v", v)
	}
	s.do("PATCH", "/v1/workspaces/acme", `{"allow_never_expires":false}`).want(200)
	p := s.do("POST", keysPath, `{"owner":"cust_1","never_expires":true}`).want(422).problem()
	if !p.names("never_expires") {
		t.Errorf("blames %v", p.Errors)
	}
}

// Only the issuing answer contains the token. The transport checks all other answers, and newServer's cleanup
// checks log and metrics.
func TestTokenIsSaidOnce(t *testing.T) {
	s := newServer(t)
	key := s.issue("acme", map[string]any{"name": "said once"})
	calls := []string{
		"/v1/workspaces", "/v1/workspaces/acme", keysPath, keysPath + "/" + key.id, keysPath + "?q=said",
		"/v1/workspaces/burnkey/keys", jwksPath, jwksPath + "?kid=" + key.kid, "/metrics", "/openapi.json",
		issuer + "/.well-known/openid-configuration",
	}
	look := func() {
		for _, path := range calls {
			a := s.do("GET", path, nil).want(200)
			if strings.Contains(string(a.body), signature(jwks.Token(key.token))) {
				t.Errorf("%s shows the token's signature", path)
			}
		}
	}
	look()
	s.do("PATCH", keysPath+"/"+key.id, `{"name":"still said once"}`).want(200)
	s.do("DELETE", keysPath+"/"+key.id, nil).want(200)
	calls = slices.DeleteFunc(calls, func(path string) bool { return strings.Contains(path, "kid=") })
	look()
}

func TestGetAndList(t *testing.T) {
	s := newServer(t)
	key := s.issue("acme", map[string]any{"expires_in": 60})
	got := s.do("GET", keysPath+"/"+key.id, nil).want(200).object()
	wantMembers(t, got, keyMembers...)
	list := s.do("GET", keysPath, nil).want(200).object()
	wantMembers(t, list, "keys", "next_cursor")
	if keys := list["keys"].([]any); len(keys) != 1 || !reflect.DeepEqual(keys[0], any(got)) || list["next_cursor"] != nil {
		t.Errorf("lists %v", list)
	}
	s.sleep(time.Minute)
	if got := s.do("GET", keysPath+"/"+key.id, nil).want(200).text("status"); got != "expired" {
		t.Errorf("status is %s", got)
	}
	for _, id := range []string{
		"x", "01a201da-bbd0-7c60-a429-97332e3cfdf0", "urn:uuid:" + key.id, "{" + key.id + "}",
		strings.ReplaceAll(key.id, "-", ""),
	} {
		for _, method := range []string{"GET", "DELETE"} {
			s.do(method, keysPath+"/"+id, nil).want(404)
		}
		s.do("PATCH", keysPath+"/"+id, `{}`).want(404)
	}
	s.do("GET", "/v1/workspaces/other/keys/"+key.id, nil).want(404)
	s.do("DELETE", "/v1/workspaces/other/keys/"+key.id, nil).want(404)
	s.do("GET", "/v1/workspaces/none/keys", nil).want(404)
	s.do("POST", "/v1/workspaces/none/keys", `{"owner":"x"}`).want(404)
}

func TestPatchKey(t *testing.T) {
	s := newServer(t)
	key := s.issue("acme", map[string]any{"name": "a", "scopes": []string{"x"}, "metadata": map[string]any{"a": 1}})
	path := keysPath + "/" + key.id
	before := s.do("GET", path, nil).object()
	s.sleep(time.Second)

	got := s.do("PATCH", path, `{"name":"b"}`).want(200).object()
	wantMembers(t, got, keyMembers...)
	wantSubset(t, got, `{"name":"b","metadata":{"a":1},"version":2}`)
	if !wantTime(t, got["updated_at"]).After(wantTime(t, before["updated_at"])) {
		t.Error("updated_at stays")
	}
	entries := func() int {
		list, _, err := s.service.Audit(t.Context(), "acme", store.AuditFilter{Limit: 100})
		must(t, err)
		return len(list)
	}
	noted := entries()
	// changes nothing
	for _, body := range []string{`{"metadata":{}}`, `{"name":"b"}`, `{"metadata":{"a":1}}`, `{"metadata":{"b":null}}`, `{}`} {
		wantSubset(t, s.do("PATCH", path, body).want(200).object(), `{"name":"b","metadata":{"a":1},"updated_at":"`+
			got["updated_at"].(string)+`"}`)
	}
	if entries() != noted {
		t.Error("a patch that changes nothing is in the audit")
	}
	for _, kind := range []string{"application/json", "application/merge-patch+json"} {
		typed := header("Content-Type", kind)
		wantSubset(t, s.do("PATCH", path, `{"metadata":{"b":{"c":1,"d":2}}}`, typed).want(200).object(), `{"metadata":{"a":1,"b":{"c":1,"d":2}}}`)
		wantSubset(t, s.do("PATCH", path, `{"metadata":{"b":{"c":null}}}`, typed).want(200).object(), `{"metadata":{"a":1,"b":{"d":2}}}`)
		wantSubset(t, s.do("PATCH", path, `{"metadata":{"b":null}}`, typed).want(200).object(), `{"metadata":{"a":1}}`)
	}
	s.do("PATCH", path, `{"metadata":{"long":"`+strings.Repeat("x", 16<<10-20)+`"}}`).want(200)
	s.wantRefused(t, s.do("PATCH", path, `{"metadata":{"more":"`+strings.Repeat("x", 100)+`"}}`), "metadata") // together too long
	wantSubset(t, s.do("PATCH", path, `{"metadata":null,"name":null}`).want(200).object(), `{"name":"","metadata":{}}`)
	wantSubset(t, s.do("PATCH", path, `{"name":""}`).want(200).object(), `{"name":"","metadata":{}}`)
	wantSubset(t, s.do("PATCH", path, `{}`).want(200).object(), `{"name":"","metadata":{}}`)

	unchanged := s.state()
	for name := range before {
		if slices.Contains([]string{"name", "metadata", "enabled", "scopes", "expires_at", "allowed_ips", "limits"}, name) {
			continue
		}
		value := before[name]
		if value == nil { // null resets a member
			value = "x"
		}
		text, err := json.Marshal(map[string]any{"name": "c", name: value})
		must(t, err)
		p := s.do("PATCH", path, string(text)).want(422).problem()
		if !p.names(name) {
			t.Errorf("%s: blames %v", name, p.Errors)
		}
	}
	if s.state() != unchanged {
		t.Error("a refused change was kept")
	}
}

func TestRevoke(t *testing.T) {
	s := newServer(t)
	key := s.issue("acme", map[string]any{})
	path := keysPath + "/" + key.id
	s.do("GET", jwksPath+"?kid="+key.kid, nil).want(200)
	first := s.do("DELETE", path, nil).want(200)
	if a := s.do("GET", jwksPath+"?kid="+key.kid, nil).want(200); strings.Contains(string(a.body), key.kid) {
		t.Errorf("published still: %s", a.body)
	}
	got := first.object()
	wantMembers(t, got, "id", "status", "revoked_at", "version")
	wantSubset(t, got, `{"id":"`+key.id+`","status":"revoked","version":3}`)
	wantTime(t, got["revoked_at"])

	s.sleep(time.Hour)
	s.issue("acme", map[string]any{})
	if again := s.do("DELETE", path, nil).want(200); string(again.body) != string(first.body) {
		t.Errorf("again: %s, first: %s", again.body, first.body)
	}
	shown := s.do("GET", path, nil).want(200).object()
	wantMembers(t, shown, append([]string{"revoked_at"}, keyMembers...)...)
	wantSubset(t, shown, string(first.body))
	if etag := s.do("HEAD", jwksPath, nil).want(200).header.Get("Etag"); !strings.HasPrefix(etag, `"4.`) {
		t.Errorf("the second revocation changed the set: %s", etag)
	}
	// A revoked key can be renamed, since its record is kept.
	s.do("PATCH", path, `{"name":"gone"}`).want(200)
}

func TestKeysUnderAKey(t *testing.T) {
	s := newServer(t)
	parent := s.issue("acme", map[string]any{"scopes": []string{"maps:read", "maps:write"}})
	a := s.do("POST", keysPath, map[string]any{"owner": "cust_1", "scopes": []string{"maps:read"}, "parent": parent.id}).want(201)
	wantMembers(t, a.object(), append([]string{"token", "parent"}, keyMembers...)...)
	for field, body := range map[string]map[string]any{
		"scopes": {"scopes": []string{"other"}}, "parent": {"parent": "none"},
	} {
		body["owner"] = "cust_1"
		if body["parent"] == nil {
			body["parent"] = parent.id
		}
		if p := s.do("POST", keysPath, body).want(422).problem(); !p.names(field) {
			t.Errorf("%v blames %v", body, p.Errors)
		}
	}
	s.do("GET", keysPath+"?parent=none", nil).want(422)
	list := s.do("GET", keysPath+"?parent="+parent.id, nil).want(200)
	if !strings.Contains(string(list.body), a.text("id")) || strings.Count(string(list.body), `"id"`) != 1 {
		t.Errorf("the list of the parent is %s", list.body)
	}
	s.do("PATCH", keysPath+"/"+parent.id, `{"enabled":false}`).want(200)
	got := s.do("GET", keysPath+"/"+a.text("id"), nil).want(200).object()
	wantSubset(t, got, `{"status":"suspended","suspended_by":"parent"}`)
	s.do("DELETE", keysPath+"/"+parent.id, nil).want(200)
	wantSubset(t, s.do("GET", keysPath+"/"+a.text("id"), nil).want(200).object(), `{"status":"revoked"}`)
}
