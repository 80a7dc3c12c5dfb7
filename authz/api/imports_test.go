package api_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz/api"
	"github.com/burnkey/burnkey/jwks"
)

const importsPath = "/v1/workspaces/acme/imports"

func importKey(i int, more string) string {
	return fmt.Sprintf(`{"digest":"%s","owner":"cust_1"%s}`, jwks.SHA256Digest(fmt.Sprint("key ", i)), more)
}

func (s *server) imports(path string, keys ...string) (got api.ImportedKeys) {
	s.t.Helper()
	a := s.do("POST", path, `{"keys":[`+strings.Join(keys, ",")+`]}`).want(200)
	must(s.t, json.Unmarshal(a.body, &got))
	return got
}

// Each key has a result of its own, and a repeat changes nothing.
func TestImports(t *testing.T) {
	s := newServer(t)
	s.do("PATCH", "/v1/workspaces/acme", `{"policy":{"max_expires_in":3600,"keys_per_owner":4,"scopes":[{"name":"maps:read"}]}}`).want(200)
	keys := []string{
		importKey(1, `,"scopes":["maps:read"],"metadata":{"team":"maps"},"name":"CI"`), importKey(2, `,"scopes":["admin"]`),
		importKey(3, `,"never_expires":true`), importKey(4, `,"expires_at":"2199-01-01T00:00:00Z"`), importKey(5, `,"plan":"none"`),
		importKey(6, `,"audience":["other"]`), importKey(1, ``),
		`{"digest":"$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW","owner":"a"}`, `{"digest":"x","owner":" "}`,
		importKey(7, `,"expires_at":"2001-01-01T00:00:00Z"`), importKey(8, ``), importKey(9, ``), importKey(10, ``), importKey(11, ``),
	}
	got := s.imports(importsPath, keys...)
	var words []string
	for _, r := range got.Results {
		word := r.Status
		for _, f := range r.Errors {
			word += " " + f.Field + ":" + f.Code
		}
		words = append(words, word)
	}
	if got := strings.Join(words, "\n"); got != `imported
refused scopes:scope_not_offered
refused never_expires:never_expires_limit
refused expires_at:too_late
refused plan:no_plan
refused audience:unknown_audience
exists
refused digest:not_digest
refused digest:not_digest owner:outer_space
refused expires_at:not_future
imported
imported
imported
refused owner:owner_full` {
		t.Errorf("got\n%s", got)
	}
	if got.Imported != 4 || got.Existing != 1 || got.Refused != 9 {
		t.Errorf("%+v", got)
	}
	again := s.imports(importsPath, keys[0])
	if again.Existing != 1 || again.Results[0].ID != got.Results[0].ID || again.Results[0].State != "active" {
		t.Errorf("again: %+v", again)
	}
	var key api.Key
	must(t, json.Unmarshal(s.do("GET", keysPath+"/"+got.Results[0].ID, nil).want(200).body, &key))
	if !key.Imported || key.Name != "CI" || key.ExpiresAt == nil || len(key.EnforcedBy) != 0 || string(key.Metadata) != `{"team":"maps"}` {
		t.Errorf("%+v", key)
	}
	s.do("PATCH", keysPath+"/"+key.ID, `{"enabled":false}`).want(200)
	s.do("PATCH", keysPath+"/"+key.ID, `{"enabled":true,"scopes":[],"expires_at":null}`).want(200)
	s.do("DELETE", keysPath+"/"+key.ID, nil).want(200)
	if r := s.imports(importsPath, keys[0]).Results[0]; r.State != "revoked" {
		t.Errorf("a revoked key: %+v", r)
	}
	set := string(s.do("GET", issuer+"/.well-known/jwks.json", nil).want(200).body)
	if strings.Contains(set, "imported") || strings.Count(set, `"kid"`) != 1 {
		t.Errorf("the published set is %s", set)
	}
}

// A digest of another workspace is refused, and the answer does not say where it is.
func TestImportsOfAnotherWorkspace(t *testing.T) {
	s := newServer(t)
	s.do("POST", "/v1/workspaces", `{"id":"secret-name","audiences":["x"]}`).want(201)
	s.imports("/v1/workspaces/secret-name/imports", importKey(1, ""))
	a := s.do("POST", importsPath, `{"keys":[`+importKey(1, "")+`]}`).want(200)
	text := string(a.body)
	if !strings.Contains(text, "digest_taken") || strings.Contains(text, "secret-name") || strings.Contains(text, `"id"`) {
		t.Errorf("answered %s", text)
	}
	s.do("POST", "/v1/workspaces/burnkey/imports", `{"keys":[`+importKey(2, "")+`]}`).want(422)
	s.do("POST", "/v1/workspaces/none/imports", `{"keys":[`+importKey(2, "")+`]}`).want(404)
	s.do("POST", importsPath, `{"keys":[]}`).want(422)
	s.do("POST", importsPath, `{"keys":[{"digest":1,"owner":"a"}]}`).want(422)
}

// One call takes 1,000 keys, in more than one transaction, and up to 1 MiB.
func TestImportsOfManyKeys(t *testing.T) {
	s := newServer(t)
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = importKey(i, `,"metadata":{"x":"`+strings.Repeat("y", 800)+`"}`)
	}
	if got := s.imports(importsPath, keys...); got.Imported != 1000 {
		t.Errorf("%d imported", got.Imported)
	}
	s.do("POST", importsPath, `{"keys":[`+strings.Join(append(keys, importKey(1000, "")), ",")+`]}`).want(422)
	s.do("POST", importsPath, `{"keys":[`+strings.Repeat(" ", 1<<20)+`]}`).want(413)
}

// The holder of an imported key exchanges and revokes it by HTTP, whatever characters it has.
func TestImportedKeyOfItsHolder(t *testing.T) {
	s := newServer(t)
	const secret = "q1+w2/e3=r4.t5-y6"
	got := s.imports(importsPath, fmt.Sprintf(`{"digest":"%s","owner":"cust_1"}`, jwks.SHA256Digest(secret)))
	if got.Imported != 1 {
		t.Fatalf("%+v", got)
	}
	shown, id := s.introspect(secret), got.Results[0].ID
	if shown["active"] != true || shown["key_id"] != id || shown["jti"] != id || shown["sub"] != "cust_1" || shown["exp"] == nil {
		t.Errorf("introspection shows %v", shown)
	}
	s.do("POST", introspectPath, "token=x", as(secret)).want(401)
	s.exchanging(issued{token: secret})
	client := url.Values{"grant_type": {"client_credentials"}}
	for _, sent := range []string{secret, url.QueryEscape(secret)} {
		s.token(client, basic("cust_1", sent)).want(200)
	}
	revoke := func() string {
		body := url.Values{"token": {" " + secret + "\n"}}.Encode()
		return s.do("POST", issuer+"/revoke", body, form, header("Authorization")).want(200).text("status")
	}
	if status := revoke(); status != "revoked" {
		t.Errorf("the answer is %s", status)
	}
	s.token(client, basic("cust_1", secret)).want(401)
	s.wantInactive("a revoked imported key", secret)
	if key := s.do("GET", "/v1/workspaces/acme/keys/"+got.Results[0].ID, "").want(200).object(); key["status"] != "revoked" {
		t.Errorf("the key is %v", key["status"])
	}
}
