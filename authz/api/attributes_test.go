package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

const manyPath = "/v1/workspaces/acme/updates"

func (s *server) plan(workspace, name string) {
	s.t.Helper()
	_, err := s.store.Store.CreateLimits(s.t.Context(), store.LimitSet{
		Workspace: workspace, LimitSet: jwks.LimitSet{On: jwks.OnPlan, Name: name, Limits: []jwks.Limit{{Name: "b", Requests: 1, Seconds: 1}}},
	})
	must(s.t, err)
}

// everything sets all attributes, and reset resets them.
const (
	everything = `{"enabled":false,"suspended_reason":"abuse","expires_at":"2036-01-31T12:00:00+01:00","scopes":["a"],
		"allowed_ips":["192.0.2.7","2001:db8::/32"],"plan":"gold",
		"limits":[{"name":"burst","requests":100,"seconds":60},{"name":"monthly","requests":1000000000,"calendar":"month"}]}`
	reset = `{"enabled":null,"expires_at":null,"scopes":null,"allowed_ips":null,"plan":null,"limits":null}`
)

func TestPatchAttributes(t *testing.T) {
	s := newServer(t)
	s.plan("acme", "gold")
	key := s.issue("acme", map[string]any{"scopes": []string{"a", "b"}, "expires_in": 3600})
	path := keysPath + "/" + key.id
	before := s.do("GET", path, nil).want(200).object()
	wantSubset(t, before, `{"enabled":true,"allowed_ips":[],"limits":[],"enforced_by":{},"version":3}`)
	for _, kind := range []string{"application/json", "application/merge-patch+json"} {
		typed := header("Content-Type", kind)
		got := s.do("PATCH", path, everything, typed).want(200).object()
		wantMembers(t, got, append([]string{"ceiling", "plan", "suspended_at", "suspended_by", "suspended_reason"}, keyMembers...)...)
		wantSubset(t, got, `{"status":"suspended","enabled":false,"suspended_reason":"abuse","suspended_by":"producer",
			"expires_at":"2036-01-31T11:00:00Z","scopes":["a"],"allowed_ips":["192.0.2.7/32","2001:db8::/32"],"plan":"gold",
			"limits":[{"name":"burst","requests":100,"seconds":60},{"name":"monthly","requests":1000000000,"calendar":"month"}],
			"enforced_by":{"enabled":"all","expires_at":"gateway","scopes":"gateway","allowed_ips":"gateway","plan":"gateway",
			"limits":"gateway"},
			"ceiling":{"expires_at":"2036-01-31T11:00:00Z","scopes":["a"],"allowed_ips":["192.0.2.7/32","2001:db8::/32"]}}`)
		none := s.do("PATCH", path, `{"scopes":[],"expires_at":null,"allowed_ips":null}`, typed).want(200).object()
		wantSubset(t, none, `{"ceiling":{"scopes":[]}}`)
		wantTime(t, got["suspended_at"])
		if w := s.do("GET", acmePath, nil).want(200).object(); w["version"] != got["version"] {
			t.Errorf("the version is %v, and the workspace's %v", got["version"], w["version"])
		}
		if list := string(s.do("GET", keysPath+"?status=suspended&plan=gold", nil).want(200).body); !strings.Contains(list, key.id) {
			t.Errorf("lists %s", list)
		}
		again := s.do("PATCH", path, reset, typed).want(200).object()
		for _, m := range []map[string]any{again, before} {
			delete(m, "updated_at")
			delete(m, "version")
		}
		if fmt.Sprint(again) != fmt.Sprint(before) {
			t.Errorf("after the reset %v, want %v", again, before)
		}
	}
	wantSubset(t, s.do("PATCH", path, `{"never_expires":true}`).want(200).object(),
		`{"expires_at":null,"enforced_by":{"expires_at":"gateway"}}`)
	earlier := time.Now().Add(time.Minute).UTC().Truncate(time.Second).Format(time.RFC3339)
	wantSubset(t, s.do("PATCH", path, `{"expires_at":"`+earlier+`","never_expires":false}`).want(200).object(),
		`{"expires_at":"`+earlier+`","enforced_by":{"expires_at":"all"}}`)
}

// The public set and its changes have no byte of the attributes.
func TestAttributesAreNotPublic(t *testing.T) {
	s := newServer(t)
	s.plan("acme", "gold")
	key := s.do("POST", keysPath, `{"owner":"o","allowed_ips":["192.0.2.7"],"plan":"gold",
		"limits":[{"name":"burst","requests":7,"seconds":9}]}`).want(201)
	wantSubset(t, key.object(), `{"allowed_ips":["192.0.2.7/32"],"plan":"gold","limits":[{"name":"burst","requests":7,"seconds":9}]}`)
	s.do("PATCH", keysPath+"/"+key.text("id"), `{"scopes":["secret"]}`).want(200)
	changes, err := s.store.Changes(t.Context(), "acme", 0, 10)
	must(t, err)
	public := string(s.do("GET", jwksPath, nil).want(200).body)
	unsigned := 0
	for _, c := range changes {
		text, err := json.Marshal(c)
		must(t, err)
		public += string(text)
		unsigned += len(c.Unsigned.Set)
	}
	if unsigned != 2 || strings.Contains(public, "192.0.2") || strings.Contains(public, "gold") || strings.Contains(public, "secret") {
		t.Errorf("%d sets of attributes; public: %s", unsigned, public)
	}
}

// Bad input is a 422 that names the member, and stores nothing.
func TestBadAttributes(t *testing.T) {
	s := newServer(t)
	s.plan("acme", "gold")
	s.plan("other", "theirs")
	s.do("PATCH", acmePath, `{"policy":{"scopes":[{"name":"a"}],"max_expires_in":3600}}`).want(200)
	key := s.issue("acme", map[string]any{"scopes": []string{"a"}})
	before := s.state()
	rule := func(members string) string {
		return `{"name":"x","limits":[{"name":"ok","requests":1,"seconds":1},{` + members + `}]}`
	}
	for body, field := range map[string]string{
		`{"name":"x","enabled":1}`: "enabled", `{"name":"x","enabled":"false"}`: "enabled", `{"name":"x","enabled":{}}`: "enabled",
		`{"name":"x","suspended_reason":"y"}`: "suspended_reason", `{"name":"x","suspended_at":"2026-01-31T12:00:00Z"}`: "suspended_at",
		`{"enabled":false,"suspended_reason":"a\u0000"}`:                         "suspended_reason",
		`{"enabled":false,"suspended_reason":"\ud800"}`:                          "body",
		`{"name":"x","expires_at":"tomorrow"}`:                                   "expires_at",
		`{"name":"x","expires_at":"2020-01-31T12:00:00Z"}`:                       "expires_at",
		`{"name":"x","expires_at":"0001-01-01T00:00:00Z"}`:                       "expires_at",
		`{"name":"x","expires_at":"9999-12-31T23:59:59Z"}`:                       "expires_at",
		`{"name":"x","expires_at":"2036-01-31"}`:                                 "expires_at",
		`{"name":"x","expires_at":1893456000}`:                                   "expires_at",
		`{"name":"x","never_expires":true}`:                                      "never_expires",
		`{"name":"x","never_expires":true,"expires_at":null}`:                    "expires_at",
		`{"name":"x","scopes":["b"]}`:                                            "scopes",
		`{"name":"x","scopes":"a"}`:                                              "scopes",
		`{"name":"x","scopes":[null]}`:                                           "scopes[0]",
		`{"name":"x","allowed_ips":["10.0.0.0/8","10.0.0.256"]}`:                 "allowed_ips",
		`{"name":"x","allowed_ips":["fe80::1%eth0"]}`:                            "allowed_ips[0]",
		`{"name":"x","allowed_ips":"10.0.0.0/8"}`:                                "allowed_ips",
		`{"name":"x","allowed_ips":[` + strings.Repeat(`"::1",`, 32) + `"::1"]}`: "allowed_ips",
		`{"name":"x","plan":"theirs"}`:                                           "plan",
		`{"name":"x","plan":"Gold"}`:                                             "plan",
		`{"name":"x","plan":""}`:                                                 "plan",
		`{"name":"x","limits":{}}`:                                               "limits",
		rule(`"name":"ok","requests":1,"seconds":1`):                             "limits",
		rule(`"name":"a","requests":1`):                                          "limits[1]",
		rule(`"name":"a","requests":1,"seconds":1,"calendar":"day"`):             "limits[1]",
		rule(`"name":"a","requests":0,"seconds":1`):                              "limits[1].requests",
		rule(`"name":"a","requests":1000000001,"seconds":1`):                     "limits[1].requests",
		rule(`"name":"a","requests":4294967297,"seconds":1`):                     "limits[1].requests",
		rule(`"name":"a","requests":1.5,"seconds":1`):                            "limits[1].requests",
		rule(`"name":"a","requests":1e999,"seconds":1`):                          "limits[1].requests",
		rule(`"name":"a","requests":1,"seconds":4294967297`):                     "limits[1].seconds",
		rule(`"name":"a","requests":1,"calendar":"year"`):                        "limits[1].calendar",
		rule(`"name":"a","requests":1,"seconds":1,"burst":2`):                    "limits[1].burst",
		rule(`"name":"A","requests":1,"seconds":1`):                              "limits[1].name",
		`{"name":"x","limits":[` + strings.Repeat(`{"name":"a","requests":1,"seconds":1},`, 8) + `{"name":"b","requests":1,"seconds":1}]}`: "limits",
	} {
		a := s.do("PATCH", keysPath+"/"+key.id, body)
		many := s.do("POST", manyPath, `{"owner":"cust_1","change":`+body+`}`)
		if a.status/100 != 4 || many.status/100 != 4 {
			t.Errorf("%s: %d, and many: %d", body, a.status, many.status)
			continue
		}
		if p := a.problem(); !p.names(field) && a.status == 422 {
			t.Errorf("%s blames %v, want %s", body, p.Errors, field)
		}
		if p := many.problem(); !p.names("change."+field) && many.status == 422 {
			t.Errorf("many: %s blames %v, want change.%s", body, p.Errors, field)
		}
	}
	if s.state() != before {
		t.Error("a refused change was stored, at least in part")
	}
	for body, field := range map[string]string{
		`{"owner":"o","plan":"theirs"}`: "plan", `{"owner":"o","allowed_ips":["10.0.0.256"]}`: "allowed_ips",
		`{"owner":"o","limits":[{"name":"a","requests":1}]}`: "limits[0]", `{"owner":"o","limits":null}`: "limits",
	} {
		if p := s.do("POST", keysPath, body).want(422).problem(); !p.names(field) {
			t.Errorf("%s blames %v, want %s", body, p.Errors, field)
		}
	}
}

// A revoked or expired key keeps its attributes: 409 says why.
func TestAttributesOfARemovedKey(t *testing.T) {
	s := newServer(t)
	revoked := s.issue("acme", map[string]any{})
	s.do("DELETE", keysPath+"/"+revoked.id, nil).want(200)
	expired := s.issue("acme", map[string]any{"expires_in": 1})
	s.sleep(2 * time.Second)
	for _, id := range []string{revoked.id, expired.id} {
		for _, body := range []string{`{"enabled":true}`, `{"enabled":false}`, `{"scopes":[]}`, reset} {
			if p := s.do("PATCH", keysPath+"/"+id, body).want(409).problem(); p.Code != "key_state" {
				t.Errorf("%s: %s", body, p.Code)
			}
		}
		s.do("PATCH", keysPath+"/"+id, `{"name":"old"}`).want(200)
	}
}

// Keys of one workspace can't be changed from another, whatever the credential or the selection.
func TestAttributesDoNotCrossWorkspaces(t *testing.T) {
	s := newServer(t)
	s.plan("acme", "gold")
	mine, theirs := s.issue("acme", map[string]any{"owner": "cust_1"}), s.issue("other", map[string]any{"owner": "cust_1"})
	tied := as(s.manager("other", "admin"))
	before := s.do("GET", keysPath+"/"+mine.id, nil).want(200)
	const suspend = `{"enabled":false,"plan":null}`
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"PATCH", keysPath + "/" + mine.id, suspend, 403},
		{"POST", manyPath, `{"owner":"cust_1","change":` + suspend + `}`, 403},
		{"GET", keysPath + "?plan=gold", "", 403},
		{"PATCH", "/v1/workspaces/other/keys/" + mine.id, suspend, 404},
		{"POST", "/v1/workspaces/other/updates", `{"ids":["` + mine.id + `"],"change":` + suspend + `}`, 404},
		{"PATCH", "/v1/workspaces/other/keys/" + theirs.id, `{"plan":"gold"}`, 422},
		{"POST", "/v1/workspaces/other/updates", `{"owner":"cust_1","change":{"plan":"gold"}}`, 422},
		{"POST", "/v1/workspaces/other/updates", `{"plan":"gold","change":` + suspend + `}`, 200},
		{"POST", "/v1/workspaces/other/updates", `{"owner":"cust_1","change":` + suspend + `}`, 200},
	} {
		var body any
		if c.body != "" {
			body = c.body
		}
		if a := s.do(c.method, c.path, body, tied).want(c.status); strings.Contains(string(a.body), mine.kid) {
			t.Errorf("%s shows the other workspace's key: %s", c.path, a.body)
		}
	}
	if after := s.do("GET", keysPath+"/"+mine.id, nil).want(200); string(after.body) != string(before.body) {
		t.Errorf("changed to %s", after.body)
	}
	// Without keys:read, the answer to a change shows no attribute.
	s.do("PATCH", keysPath+"/"+mine.id, `{"allowed_ips":["192.0.2.7"],"plan":"gold"}`).want(200)
	writer := as(s.manager("acme", "keys:write"))
	for _, a := range []answer{
		s.do("PATCH", keysPath+"/"+mine.id, `{"enabled":false,"suspended_reason":"abuse"}`, writer).want(200),
		s.do("POST", manyPath, `{"plan":"gold","change":{"enabled":true}}`, writer).want(200),
	} {
		if text := string(a.body); !strings.Contains(text, mine.id) || strings.Contains(text, "192.0.2") || strings.Contains(text, "gold") {
			t.Errorf("shows %s", text)
		}
	}
}

func TestUpdateMany(t *testing.T) {
	s := newServer(t)
	var ids []string
	for i := range 5 {
		ids = append(ids, s.issue("acme", map[string]any{"owner": fmt.Sprint("cust_", i%2), "scopes": []string{"a"}}).id)
	}
	s.do("DELETE", keysPath+"/"+ids[4], nil).want(200)
	suspended := func() int {
		return strings.Count(string(s.do("GET", keysPath+"?status=suspended", nil).want(200).body), `"kid"`)
	}
	many := func(body string) map[string]any { return s.do("POST", manyPath, body).want(200).object() }
	const suspend = `"change":{"enabled":false,"suspended_reason":"abuse"}`
	wantSubset(t, many(`{"owner":"cust_0","dry_run":true,`+suspend+`}`), `{"dry_run":true,"count":2,"next_cursor":null}`)
	if suspended() != 0 {
		t.Error("a dry run suspended a key")
	}
	got := many(`{"owner":"cust_0",` + suspend + `}`)
	wantSubset(t, got, `{"dry_run":false,"count":2,"next_cursor":null}`)
	wantSubset(t, got["keys"].([]any)[0].(map[string]any), `{"id":"`+ids[2]+`","status":"suspended"}`)
	// Keys that have the change already are left out, so that a call can be repeated.
	wantSubset(t, many(`{"scope":"a",`+suspend+`}`), `{"count":2}`)
	wantSubset(t, many(`{"scope":"a",`+suspend+`}`), `{"count":0,"keys":[]}`)
	wantSubset(t, many(`{"ids":["`+ids[0]+`","`+ids[1]+`","`+ids[4]+`"],"owner":"cust_0","change":{"enabled":true}}`), `{"count":1}`)
	if n := suspended(); n != 3 {
		t.Errorf("%d keys are suspended, want 3", n)
	}
	// The cursor continues after a key.
	first := s.do("GET", keysPath+"?limit=3", nil).want(200) // the newest is revoked
	wantSubset(t, many(`{"scope":"a","change":{"name":"n"},"cursor":"`+first.text("next_cursor")+`"}`), `{"count":2}`)
	for body, field := range map[string]string{
		`{` + suspend + `}`: "body", `{"owner":"a"}`: "change", `{"owner":"a","change":null}`: "change", `{"owner":"a","change":[]}`: "change",
		`{"owner":"a","change":{"owner":"b"}}`: "change.owner", `{"owner":"a","cursor":"x",` + suspend + `}`: "cursor",
		`{"unused_for":"1h",` + suspend + `}`: "unused_for", `{"ids":["x"],` + suspend + `}`: "ids", `{"plan":"A",` + suspend + `}`: "plan",
	} {
		if p := s.do("POST", manyPath, body).want(422).problem(); !p.names(field) {
			t.Errorf("%s blames %v, want %s", body, p.Errors, field)
		}
	}
	// A revocation of many keys includes suspended ones.
	wantSubset(t, s.do("POST", "/v1/workspaces/acme/revocations", `{"scope":"a"}`).want(200).object(), `{"count":4}`)
	if suspended() != 0 {
		t.Error("a suspended key was not revoked")
	}
}

// A caller does not suspend its own management key together with others.
func TestUpdateManyLeavesTheCaller(t *testing.T) {
	s := newServer(t)
	own, other := s.manager("", "admin"), s.manager("", "admin")
	a := s.do("POST", "/v1/workspaces/burnkey/updates", `{"scope":"admin","change":{"enabled":false}}`, as(own)).want(200)
	s.do("GET", keysPath, nil, as(own)).want(200)
	s.do("GET", keysPath, nil, as(other)).want(401)
	if !strings.Contains(string(a.body), `"count":2`) { // and the first key
		t.Errorf("answers %s", a.body)
	}
	s.admin = own
}
