package api_test

import (
	"encoding/csv"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
)

func TestRotateAnswers(t *testing.T) {
	s := newServer(t)
	old := s.issue("acme", map[string]any{"owner": "cust_1", "name": "CI", "scopes": []string{"maps:read"}})
	a := s.do("POST", keysPath+"/"+old.id+"/rotate", `{"grace":"720h"}`).want(201)
	got := a.object()
	wantMembers(t, got, append([]string{"token", "rotated_from"}, keyMembers...)...)
	wantSubset(t, got, `{"owner":"cust_1","name":"CI","scopes":["maps:read"],"status":"active","rotated_from":"`+old.id+`"}`)
	if want := keysPath + "/" + a.text("id"); a.header.Get("Location") != want {
		t.Errorf("Location is %s, want %s", a.header.Get("Location"), want)
	}
	was := s.do("GET", keysPath+"/"+old.id, nil).want(200).object()
	wantMembers(t, was, append([]string{"rotated_to", "grace_ends_at"}, keyMembers...)...)
	wantSubset(t, was, `{"status":"deprecated","rotated_to":"`+a.text("id")+`"}`)
	if grace := wantTime(t, was["grace_ends_at"]).Sub(wantTime(t, got["created_at"])); grace != 720*time.Hour {
		t.Errorf("the grace is %s", grace)
	}
	for _, id := range []string{old.id, a.text("id")} {
		listed := s.do("GET", keysPath+"?status="+map[bool]string{true: "deprecated", false: "active"}[id == old.id], nil).want(200)
		if !strings.Contains(string(listed.body), id) || strings.Count(string(listed.body), `"id"`) != 1 {
			t.Errorf("the list of its status is %s", listed.body)
		}
	}
}

func TestRotateDefaultsAndRefusals(t *testing.T) {
	s := newServer(t)
	old := s.issue("acme", map[string]any{})
	path := keysPath + "/" + old.id
	for body, field := range map[string]string{
		`{"grace":"tomorrow"}`: "grace", `{"grace":"-1h"}`: "grace", `{"grace":"2161h"}`: "grace", `{"grace":24}`: "grace",
		`{"graze":"1h"}`: "graze",
	} {
		if p := s.do("POST", path+"/rotate", body).want(422).problem(); !p.names(field) {
			t.Errorf("%s blames %v", body, p.Errors)
		}
	}
	s.do("POST", path+"/rotation/undo", nil).want(409)
	s.do("POST", path+"/rotation/end", nil).want(409)
	s.do("POST", keysPath+"/none/rotate", nil).want(404)
	s.do("POST", strings.Replace(path, "acme", "other", 1)+"/rotate", nil).want(404)

	successor := s.do("POST", path+"/rotate", nil).want(201).text("id") // no body: 24 h
	if p := s.do("POST", path+"/rotate", nil).want(409).problem(); p.Detail == "" {
		t.Error("no word of why")
	}
	undone := s.do("POST", keysPath+"/"+successor+"/rotation/undo", nil).want(200).object()
	wantSubset(t, undone, `{"id":"`+old.id+`","status":"active"}`)
	s.do("POST", path+"/rotate", `{"grace":"1h"}`).want(201)
	ended := s.do("POST", path+"/rotation/end", nil).want(200).object()
	wantSubset(t, ended, `{"id":"`+old.id+`","status":"revoked"}`)
}

// Durations have the same forms as on the command line.
func TestDurationsOfAllForms(t *testing.T) {
	s := newServer(t)
	for _, grace := range []string{"30d", "720h", "2592000", "43200m"} {
		old := s.issue("acme", map[string]any{})
		a := s.do("POST", keysPath+"/"+old.id+"/rotate", `{"grace":"`+grace+`"}`).want(201)
		was := s.do("GET", keysPath+"/"+old.id, nil).want(200).object()
		if got := wantTime(t, was["grace_ends_at"]).Sub(wantTime(t, a.object()["created_at"])); got != 720*time.Hour {
			t.Errorf("%s: the grace is %s", grace, got)
		}
	}
	for _, unused := range []string{"30d", "720h", "2592000"} { // use is unknown: no gateway reports it
		s.do("POST", "/v1/workspaces/acme/revocations", `{"unused_for":"`+unused+`"}`).want(409)
	}
}

func TestRevokeMany(t *testing.T) {
	s := newServer(t)
	one := s.issue("acme", map[string]any{"owner": "one", "scopes": []string{"a"}})
	two := s.issue("acme", map[string]any{"owner": "one", "scopes": []string{"b"}})
	three := s.issue("acme", map[string]any{"owner": "two", "scopes": []string{"a"}})
	const path = "/v1/workspaces/acme/revocations"
	for _, body := range []string{`{}`, `{"dry_run":true}`, `{"ids":["x"]}`, `{"unused_for":"1h"}`} {
		s.do("POST", path, body).want(422)
	}
	s.do("POST", path, `{"ids":["`+one.id+`","0190e000-0000-7000-8000-000000000000"]}`).want(404)
	dry := s.do("POST", path, `{"owner":"one","dry_run":true}`).want(200).object()
	wantSubset(t, dry, `{"dry_run":true,"count":2,"more":false}`)
	if status := s.do("GET", keysPath+"/"+one.id, nil).want(200).text("status"); status != "active" {
		t.Errorf("a dry run made it %s", status)
	}
	twice := s.do("POST", path, `{"ids":["`+one.id+`","`+two.id+`","`+one.id+`"],"dry_run":true}`).want(200)
	if wantSubset(t, twice.object(), `{"count":2}`); strings.Count(string(twice.body), one.id) != 1 {
		t.Errorf("named twice, counted twice: %s", twice.body)
	}
	done := s.do("POST", path, `{"owner":"one","scope":"a"}`).want(200)
	if text := string(done.body); !strings.Contains(text, one.id) || strings.Contains(text, two.id) || strings.Contains(text, three.id) {
		t.Errorf("revoked %s", text)
	}
	s.do("POST", path, `{"created_before":"2100-01-01T00:00:00Z"}`).want(200)
	for _, any := range []string{
		`{"owner":"cust_1","ids":[]}`, `{"owner":"cust_1","scope":""}`, `{"owner":"","scope":"a"}`,
		`{"owner":"cust_1","created_before":"0001-01-01T00:00:00Z"}`,
	} {
		s.do("POST", path, any).want(422) // which would mean more than it says
	}
	for _, key := range []string{one.id, two.id, three.id} {
		if status := s.do("GET", keysPath+"/"+key, nil).want(200).text("status"); status != "revoked" {
			t.Errorf("%s is %s", key, status)
		}
	}
}

// A caller that revokes management keys by owner or scope does not revoke its own key.
func TestRevokeManyLeavesTheCaller(t *testing.T) {
	s := newServer(t)
	const path = "/v1/workspaces/burnkey/revocations"
	own := s.issue(authz.Home, map[string]any{"owner": "operator", "scopes": []string{"admin"}})
	other := s.issue(authz.Home, map[string]any{"owner": "operator", "scopes": []string{"admin"}})
	both := `"ids":["` + own.id + `","` + other.id + `"]`
	for _, body := range []string{
		`{` + both + `,"dry_run":true}`, `{"owner":"operator","dry_run":true}`,
		`{"created_before":"2100-01-01T00:00:00Z","scope":"admin"}`,
	} {
		a := s.do("POST", path, body, as(own.token)).want(200)
		if strings.Contains(string(a.body), own.id) || !strings.Contains(string(a.body), other.id) {
			t.Errorf("%s means %s", body, a.body)
		}
	}
	s.do("GET", keysPath, nil, as(other.token)).want(401)
	wantSubset(t, s.do("POST", path, `{`+both+`}`, as(own.token)).want(200).object(), `{"count":0,"more":false}`)
	s.do("GET", keysPath, nil, as(own.token)).want(200)
	s.do("DELETE", "/v1/workspaces/burnkey/keys/"+own.id, nil, as(own.token)).want(200)
	s.do("GET", keysPath, nil, as(own.token)).want(401)
}

func TestPolicyAndPortalOfAWorkspace(t *testing.T) {
	s := newServer(t)
	const path = "/v1/workspaces/acme"
	s.do("PATCH", path, `{"policy":{"scopes":[{"name":"maps:read","description":"Read maps"}],
		"max_expires_in":3600,"keys_per_owner":1,"webhook":"https://hooks.example/x"},
		"portal":{"display_name":"Acme","accent":"#0A7b3C","frame_ancestors":["https://app.acme.example"]}}`).want(200)
	got := s.do("GET", path, nil).want(200).object()
	wantSubset(t, got, `{"policy":{"scopes":[{"name":"maps:read","description":"Read maps"}],
		"max_expires_in":3600,"keys_per_owner":1,"webhook":"https://hooks.example/x"},
		"portal":{"display_name":"Acme","accent":"#0a7b3c","frame_ancestors":["https://app.acme.example"]}}`)
	for body, field := range map[string]string{
		`{"owner":"c","scopes":["maps:write"]}`: "scopes", `{"owner":"c","expires_in":3601}`: "expires_in",
	} {
		if p := s.do("POST", keysPath, body).want(422).problem(); !p.names(field) {
			t.Errorf("%s blames %v", body, p.Errors)
		}
	}
	s.do("POST", keysPath, `{"owner":"c"}`).want(201)
	if p := s.do("POST", keysPath, `{"owner":"c"}`).want(409).problem(); !p.names("owner") {
		t.Errorf("blames %v", p.Errors)
	}
	if p := s.do("PATCH", path, `{"portal":{"frame_ancestors":["*"]}}`).want(422).problem(); !p.names("portal.frame_ancestors") {
		t.Errorf("blames %v", p.Errors)
	}
}

func TestPortalSessionAnswers(t *testing.T) {
	s := newServer(t)
	const path = "/v1/workspaces/acme/portal-sessions"
	got := s.do("POST", path, `{"owner":"cust_1","scopes_allowed":["maps:read"],`+
		`"return_url":"https://app.example.com/","expires_in":60}`).want(201).object()
	wantMembers(t, got, "url", "expires_at")
	url, _ := got["url"].(string)
	secret, ok := strings.CutPrefix(url, publicURL+"/portal/link/")
	if !ok {
		t.Fatalf("the URL is %s", url)
	}
	if left := time.Until(wantTime(t, got["expires_at"])); left <= 0 || left > time.Minute {
		t.Errorf("it is good for %s", left)
	}
	if _, session, err := s.service.StartSession(t.Context(), authz.Secret(secret), false); err != nil || session.Owner != "cust_1" {
		t.Error(session, err)
	}
	for body, field := range map[string]string{
		`{}`: "owner", `{"owner":"c","expires_in":59}`: "expires_in", `{"owner":"c","return_url":"javascript:x"}`: "return_url",
	} {
		if p := s.do("POST", path, body).want(422).problem(); !p.names(field) {
			t.Errorf("%s blames %v", body, p.Errors)
		}
	}
	s.do("POST", "/v1/workspaces/none/portal-sessions", `{"owner":"c"}`).want(404)
}

func TestAuditAnswers(t *testing.T) {
	s := newServer(t)
	key := s.issue("acme", map[string]any{"owner": `=cmd("x")`})
	s.do("DELETE", keysPath+"/"+key.id, nil).want(200)
	tied := s.issue("burnkey", map[string]any{"owner": "ops", "scopes": []string{"keys:read"}})
	s.do("DELETE", keysPath+"/"+key.id, nil, as(tied.token)).want(403)

	list := s.do("GET", "/v1/workspaces/acme/audit", nil).want(200)
	var actions []string
	for _, entry := range list.object()["entries"].([]any) {
		actions = append(actions, entry.(map[string]any)["action"].(string))
	}
	if want := []string{"call.refuse", "key.revoke", "key.issue", "workspace.create"}; !slices.Equal(actions, want) {
		t.Errorf("the audit has %v, want %v", actions, want)
	}
	refused := s.do("GET", "/v1/workspaces/acme/audit?result=refused", nil).want(200).object()["entries"].([]any)[0].(map[string]any)
	wantSubset(t, refused, `{"action":"call.refuse","detail":{"call":"revoke-key"}}`)
	if actor := refused["actor"].(map[string]any); actor["kind"] != "key" || actor["id"] != tied.id || actor["from"] != "127.0.0.1" {
		t.Errorf("refused whom? %v", actor)
	}
	for query, n := range map[string]int{"?key=" + key.id: 2, "?action=key.issue": 1, "?owner=nobody": 0, "?until=2020-01-01T00:00:00Z": 0} {
		if got := len(s.do("GET", "/v1/workspaces/acme/audit"+query, nil).want(200).object()["entries"].([]any)); got != n {
			t.Errorf("%s: %d entries, not %d", query, got, n)
		}
	}
	first := s.do("GET", "/v1/workspaces/acme/audit?limit=1", nil).want(200)
	if next := s.do("GET", "/v1/workspaces/acme/audit?limit=1&cursor="+first.text("next_cursor"),
		nil).want(200); strings.Contains(string(next.body), "call.refuse") {
		t.Error("the second page is the first")
	}
	sheet := s.do("GET", "/v1/workspaces/acme/audit.csv?action=key.issue", nil).want(200)
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(sheet.body), "\ufeff"))).ReadAll()
	if err != nil || len(rows) != 2 || rows[1][4] != `'=cmd("x")` {
		t.Errorf("as CSV: %q, %v", rows, err)
	}
	for range 2 {
		s.issue("acme", map[string]any{"owner": "a&b"})
	}
	// The link to the next page has the same filters.
	sheet = s.do("GET", "/v1/workspaces/acme/audit.csv?action=key.issue&owner=a%26b&limit=1&since=2020-01-01T00:00:00Z", nil).want(200)
	next, ok := strings.CutSuffix(strings.TrimPrefix(sheet.header.Get("Link"), "<"), `>; rel="next"`)
	if !ok {
		t.Fatalf("Link: %s", sheet.header.Get("Link"))
	}
	more := s.do("GET", "/v1/workspaces/acme/audit.csv"+next, nil).want(200)
	if rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(more.body), "\ufeff"))).ReadAll(); err != nil ||
		len(rows) != 2 || rows[1][4] != "a&b" || string(more.body) == string(sheet.body) {
		t.Errorf("the next page, %s, is %q, %v", next, rows, err)
	}
	if link := more.header.Get("Link"); link != "" {
		t.Errorf("after the last page there is %s", link)
	}
	reader := s.issue("burnkey", map[string]any{"owner": "auditor", "scopes": []string{"audit:read"}})
	s.do("GET", "/v1/workspaces/acme/audit", nil, as(reader.token)).want(200)
	s.do("GET", keysPath, nil, as(reader.token)).want(403)
	s.do("GET", "/v1/workspaces/acme/audit", nil, as(tied.token)).want(403)
}
