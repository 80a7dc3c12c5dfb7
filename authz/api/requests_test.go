package api_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/burnkey/burnkey/store"
)

const requestsPath = "/v1/workspaces/acme/requests"

// request creates a request and returns its id.
func (s *server) request(key, wanted string) string {
	s.t.Helper()
	return s.do("POST", requestsPath, `{"key":"`+key+`",`+wanted+`}`).want(201).text("id")
}

func TestRequests(t *testing.T) {
	s := newServer(t)
	s.plan("acme", "gold")
	key := s.issue("acme", map[string]any{"owner": "cust_1", "scopes": []string{"a"}})
	other := s.issue("acme", map[string]any{"owner": "cust_2"})
	made := s.do("POST", requestsPath, `{"key":"`+key.id+`","plan":"gold","reason":"We grow"}`).want(201)
	id := made.text("id")
	if at := made.header.Get("Location"); at != requestsPath+"/"+id {
		t.Errorf("Location %s", at)
	}
	wantSubset(t, made.object(), `{"workspace":"acme","key":"`+key.id+`","owner":"cust_1","plan":"gold","reason":"We grow","status":"open"}`)
	wantTime(t, made.object()["created_at"])
	if a := s.do("GET", requestsPath+"/"+id, nil).want(200); string(a.body) != string(made.body) {
		t.Errorf("shows %s, not %s", a.body, made.body)
	}
	scopes := s.request(key.id, `"scopes":["b"]`)
	declined := s.request(other.id, `"scopes":["b"]`)
	listed := func(query string, want ...string) {
		t.Helper()
		var got []string
		for _, r := range s.do("GET", requestsPath+query, nil).want(200).object()["requests"].([]any) {
			got = append(got, r.(map[string]any)["id"].(string))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s lists %v, want %v", query, got, want)
		}
	}
	listed("", declined, scopes, id)
	listed("?owner=cust_1", scopes, id)
	listed("?key="+other.id, declined)
	listed("?status=approved")
	first := s.do("GET", requestsPath+"?limit=2", nil).want(200)
	listed("?limit=2&cursor="+first.text("next_cursor"), id)

	got := s.do("POST", requestsPath+"/"+id+"/approve", `{"answer":"Welcome"}`).want(200).object()
	wantSubset(t, got, `{"id":"`+id+`","status":"approved","answer":"Welcome"}`)
	if by := got["decided_by"].(map[string]any); by["kind"] != "key" || by["from"] != nil {
		t.Errorf("decided by %v", by)
	}
	wantTime(t, got["decided_at"])
	s.do("POST", requestsPath+"/"+scopes+"/approve", `{}`).want(200)
	wantSubset(t, s.do("GET", keysPath+"/"+key.id, nil).want(200).object(), `{"plan":"gold","scopes":["a","b"]}`)
	s.do("POST", requestsPath+"/"+declined+"/decline", `{}`).want(200)
	wantSubset(t, s.do("GET", keysPath+"/"+other.id, nil).want(200).object(), `{"scopes":[]}`)
	withdrawn := s.request(other.id, `"scopes":["c"]`)
	wantSubset(t, s.do("POST", requestsPath+"/"+withdrawn+"/withdraw", `{}`).want(200).object(), `{"status":"withdrawn"}`)
	listed("?status=open")
	listed("?status=approved", scopes, id)
	var actions []string
	for _, e := range s.do("GET", "/v1/workspaces/acme/audit?key="+key.id, nil).want(200).object()["entries"].([]any) {
		actions = append(actions, e.(map[string]any)["action"].(string))
	}
	want := "[request.approve key.update request.approve key.update request.create request.create key.issue]"
	if fmt.Sprint(actions) != want {
		t.Errorf("the audit has %v", actions)
	}
}

// Each refusal has a code, and changes nothing.
func TestRefusedRequests(t *testing.T) {
	s := newServer(t)
	s.plan("acme", "gold")
	s.plan("acme", "silver")
	key := s.issue("acme", map[string]any{"owner": "cust_1", "scopes": []string{"a"}})
	open := s.request(key.id, `"plan":"gold"`)
	refused := func(path, body string, status int, code, detail string) {
		t.Helper()
		a := s.do("POST", requestsPath+path, body).want(status)
		if p := a.problem(); p.Code != code || !strings.Contains(string(a.body), detail) {
			t.Errorf("%s: %s", body, a.body)
		}
	}
	of := func(id, more string) string { return `{"key":"` + id + `"` + more + `}` }
	refused("", of(key.id, `,"plan":"silver"`), 409, "request_open", "")
	refused("", of(unknownID, `,"plan":"gold"`), 404, "not_found", "")
	for _, c := range []struct{ body, detail string }{
		{of(key.id, ``), `"field":"plan"`},
		{of(key.id, `,"plan":"gold","scopes":["b"]`), `"field":"plan"`},
		{of(key.id, `,"plan":""`), `"field":"plan"`},
		{of(key.id, `,"plan":"none"`), `"code":"no_plan"`},
		{of(key.id, `,"plan":null`), `"field":"plan"`},
		{of(key.id, `,"scopes":["a"]`), `"code":"already_has"`},
		{of(key.id, `,"scopes":[]`), `"field":"plan"`},
		{of(key.id, `,"scopes":["b","b"]`), `"field":"scopes"`},
		{of(key.id, `,"scopes":["b c"]`), `"field":"scopes`},
		{of(key.id, `,"scopes":"b"`), `"field":"scopes"`},
		{of(key.id, `,"scopes":["b"],"reason":"a\nb"`), `"field":"reason"`},
		{of(key.id, `,"scopes":["b"],"reason":"`+strings.Repeat("x", 256)+`"`), `"field":"reason"`},
		{of(key.id, `,"scopes":["b"],"status":"approved"`), `"field":"status"`},
		{of("x", `,"plan":"gold"`), `"field":"key"`},
		{`{"plan":"gold"}`, `"field":"key"`},
	} {
		refused("", c.body, 422, "invalid_input", c.detail)
	}
	for _, path := range []string{"/" + unknownID + "/approve", "/x/decline"} {
		refused(path, `{}`, 404, "not_found", "")
	}
	refused("/"+open+"/approve", `{"answer":7}`, 422, "invalid_input", `"field":"answer"`)
	refused("/"+open+"/decline", `{"answer":"`+strings.Repeat("x", 256)+`"}`, 422, "invalid_input", `"field":"answer"`)
	for _, query := range []string{"?status=x", "?key=x", "?cursor=x", "?limit=0"} {
		s.do("GET", requestsPath+query, nil).want(422)
	}
	must(t, s.store.Store.DeleteLimits(t.Context(), "acme", "plan", "gold", s.now()))
	refused("/"+open+"/approve", `{}`, 409, "not_offered", "")
	s.do("DELETE", keysPath+"/"+key.id, nil).want(200)
	refused("/"+open+"/approve", `{}`, 409, "request_decided", "was declined at ")
	wantSubset(t, s.do("GET", requestsPath+"/"+open, nil).want(200).object(),
		`{"status":"declined","answer":"The key was revoked.","decided_by":{"kind":"system"}}`)
	refused("", of(key.id, `,"plan":"silver"`), 409, "key_state", "was revoked")
	refused("/"+open+"/withdraw", `{}`, 409, "request_decided", "was declined at ")

	for range store.MaxOpenOfOwner {
		s.request(s.issue("acme", map[string]any{"owner": "cust_2"}).id, `"plan":"silver"`)
	}
	last := s.issue("acme", map[string]any{"owner": "cust_2"}).id
	refused("", of(last, `,"plan":"silver"`), 409, "open_request_limit", "20 of this owner")
}

// Two operators decide at once: one wins, and the other gets 409.
func TestTwoDecisionsAtOnce(t *testing.T) {
	s := newServer(t)
	s.plan("acme", "gold")
	for range 5 {
		id := s.request(s.issue("acme", map[string]any{}).id, `"plan":"gold"`)
		statuses := make([]int, 2)
		var both sync.WaitGroup
		for i, call := range []string{"/approve", "/decline"} {
			both.Go(func() { statuses[i] = s.do("POST", requestsPath+"/"+id+call, `{}`).status })
		}
		both.Wait()
		if statuses[0]+statuses[1] != 200+409 {
			t.Errorf("answered %v", statuses)
		}
	}
}

// No request of one workspace is seen, made or decided from another, with a key tied to the other or by the other's path.
func TestRequestsDoNotCrossWorkspaces(t *testing.T) {
	s := newServer(t)
	s.plan("acme", "gold")
	s.plan("other", "gold")
	mine := s.issue("acme", map[string]any{"owner": "cust_1"})
	theirs := s.issue("other", map[string]any{"owner": "cust_1"})
	id := s.request(mine.id, `"plan":"gold","reason":"secret-word"`)
	tied := as(s.manager("other", "admin"))
	const others = "/v1/workspaces/other/requests"
	wish := func(key string) string { return `{"key":"` + key + `","plan":"gold"}` }
	for _, c := range []struct {
		method, path string
		body         any
		status       int
	}{
		{"GET", requestsPath, nil, 403},
		{"GET", requestsPath + "/" + id, nil, 403},
		{"POST", requestsPath, wish(mine.id), 403},
		{"POST", requestsPath + "/" + id + "/approve", `{}`, 403},
		{"POST", requestsPath + "/" + id + "/decline", `{}`, 403},
		{"POST", requestsPath + "/" + id + "/withdraw", `{}`, 403},
		{"GET", others, nil, 200},
		{"GET", others + "?owner=cust_1", nil, 200},
		{"GET", others + "?key=" + mine.id, nil, 200},
		{"GET", others + "/" + id, nil, 404},
		{"POST", others, wish(mine.id), 404},
		{"POST", others + "/" + id + "/approve", `{}`, 404},
		{"POST", others + "/" + id + "/decline", `{}`, 404},
		{"POST", others + "/" + id + "/withdraw", `{}`, 404},
		{"POST", others, wish(theirs.id), 201},
	} {
		if a := s.do(c.method, c.path, c.body, tied).want(c.status); strings.Contains(string(a.body), "secret-word") {
			t.Errorf("%s %s shows the other workspace's request: %s", c.method, c.path, a.body)
		}
	}
	wantSubset(t, s.do("GET", requestsPath+"/"+id, nil).want(200).object(), `{"status":"open"}`)
	// The public stream and set carry nothing of requests.
	if a := s.do("GET", jwksPath, nil).want(200); strings.Contains(string(a.body), "gold") || strings.Contains(string(a.body), "secret-word") {
		t.Errorf("the set has %s", a.body)
	}
	// A management key gets no plan.
	home := s.issue("burnkey", map[string]any{"scopes": []string{"keys:read"}})
	s.do("POST", "/v1/workspaces/burnkey/requests", `{"key":"`+home.id+`","scopes":["admin"]}`).want(422)
}
