package api_test

import (
	"strings"
	"testing"
)

// An empty filter would select everything, so it is refused, and the answer names it.
func TestEmptyFiltersAreRefused(t *testing.T) {
	s := newServer(t)
	refused := func(a answer, name string) {
		t.Helper()
		if p := a.want(422).problem(); len(p.Errors) != 1 || p.Errors[0].Field != name ||
			!strings.Contains(p.Errors[0].Detail, "must not be empty") {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	for path, names := range map[string]string{
		"/v1/workspaces":                "limit",
		keysPath:                        "owner status q limit",
		"/v1/workspaces/acme/audit":     "owner key action actor result since until limit",
		"/v1/workspaces/acme/audit.csv": "owner key action actor result since until limit",
	} {
		for _, name := range strings.Fields(names) {
			refused(s.do("GET", path+"?"+name+"=", nil), name)
			refused(s.do("GET", path+"?"+name, nil), name)
		}
	}
	refused(s.do("DELETE", "/v1/workspaces/acme/portal-sessions?owner=", nil), "owner")
	for _, body := range []string{`{"owner":""}`, `{"scope":""}`, `{"ids":[]}`, `{"unused_for":""}`} {
		s.do("POST", "/v1/workspaces/acme/revocations", body).want(422)
	}
}

// Ids are read in upper and lower case (RFC 9562 section 4), and written in lower case.
func TestIDsInCapitals(t *testing.T) {
	s := newServer(t)
	issue := func() (string, string) {
		id := s.do("POST", keysPath, `{"owner":"cust_1"}`).want(201).text("id")
		return id, strings.ToUpper(id)
	}
	id, upper := issue()
	for _, call := range []struct {
		method, path string
		body         any
	}{
		{"GET", keysPath + "/" + upper, nil},
		{"PATCH", keysPath + "/" + upper, `{"name":"New"}`},
		{"POST", keysPath + "/" + upper + "/rotate", `{}`},
		{"POST", keysPath + "/" + upper + "/rotation/undo", nil},
		{"DELETE", keysPath + "/" + upper, nil},
	} {
		if a := s.do(call.method, call.path, call.body); a.status/100 != 2 || strings.Contains(string(a.body), upper) {
			t.Errorf("%s: %d %s", call.method, a.status, a.body)
		}
	}
	if got := s.do("GET", "/v1/workspaces/acme/audit?key="+upper, nil).want(200); strings.Count(string(got.body), `"key":"`+id) < 4 {
		t.Errorf("the audit of the key: %s", got.body)
	}
	caller := s.do("GET", "/v1/workspaces/acme/audit?action=key.issue&limit=1",
		nil).want(200).object()["entries"].([]any)[0].(map[string]any)["actor"].(map[string]any)["id"].(string)
	got := s.do("GET", "/v1/workspaces/acme/audit?actor="+strings.ToUpper(caller), nil).want(200)
	if strings.Count(string(got.body), caller) < 4 {
		t.Errorf("the audit of the caller: %s", got.body)
	}
	if got := s.do("GET", keysPath+"?q="+upper, nil).want(200); strings.Count(string(got.body), `"kid"`) != 1 {
		t.Errorf("the search: %s", got.body)
	}
	_, upper = issue()
	if got := s.do("POST", "/v1/workspaces/acme/revocations", `{"ids":["`+upper+`"]}`).want(200); got.object()["count"] != 1.0 {
		t.Errorf("the revocation: %s", got.body)
	}
}
