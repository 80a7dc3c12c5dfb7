package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestE2EBadInput sends invalid requests, and checks that nothing was stored.
func TestE2EBadInput(t *testing.T) {
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	admin.mustIssue(t, "acme")
	before := stateOf(t, admin)
	const keys, workspaces = "/v1/workspaces/acme/keys", "/v1/workspaces"
	for _, test := range []struct{ name, path, body, field string }{
		{"owner of the wrong type", keys, `{"owner":1}`, "owner"},
		{"no owner", keys, `{}`, "owner"},
		{"unknown member", keys, `{"owner":"c","ownr":"c"}`, "ownr"},
		{"member twice", keys, `{"owner":"c","owner":"d"}`, "owner"},
		{"owner of 10 KB", keys, `{"owner":"` + strings.Repeat("x", 10<<10) + `"}`, "owner"},
		{"control character", keys, `{"owner":"c\u0007"}`, "owner"},
		{"line end in the name", keys, `{"owner":"c","name":"a\nb"}`, "name"},
		{"expires_in 0", keys, `{"owner":"c","expires_in":0}`, "expires_in"},
		{"expires_in -1", keys, `{"owner":"c","expires_in":-1}`, "expires_in"},
		{"expires_in 10^12", keys, `{"owner":"c","expires_in":1000000000000}`, "expires_in"},
		{"expires_in 1.5", keys, `{"owner":"c","expires_in":1.5}`, "expires_in"},
		{"expires_in in quotes", keys, `{"owner":"c","expires_in":"60"}`, "expires_in"},
		{"reserved claim", keys, `{"owner":"c","claims":{"iss":"x"}}`, "claims.iss"},
		{"reserved claim beside others", keys, `{"owner":"c","claims":{"a":1,"exp":1}}`, "claims.exp"},
		{"claims of the wrong type", keys, `{"owner":"c","claims":[]}`, "claims"},
		{"claims of 5 KB", keys, `{"owner":"c","claims":{"a":"` + strings.Repeat("x", 5<<10) + `"}}`, "claims"},
		{"scope with a space", keys, `{"owner":"c","scopes":["a b"]}`, "scopes"},
		{"scope with a quote", keys, `{"owner":"c","scopes":["a\"b"]}`, "scopes"},
		{"another's audience", keys, `{"owner":"c","audience":["beta"]}`, "audience"},
		{"trailing data", keys, `{"owner":"c"}{}`, "body"},
		{"no JSON", keys, `owner=c`, "body"},
		{"nothing", keys, ``, "body"},
		{"2 MB", keys, `{"owner":"` + strings.Repeat("x", 2<<20) + `"}`, "body"},
		{"2 MB of white space", keys, `{"owner":"c"}` + strings.Repeat(" ", 2<<20), "body"},
		{"workspace id in capitals", workspaces, `{"id":"Acme"}`, "id"},
		{"workspace id of 64 characters", workspaces, `{"id":"` + strings.Repeat("a", 64) + `"}`, "id"},
		{"workspace id that climbs", workspaces, `{"id":"../burnkey"}`, "id"},
		{"workspace that exists", workspaces, `{"id":"acme"}`, "id"},
		{"workspace in the path", "/v1/workspaces/Acme/keys", `{"owner":"c"}`, "ws"},
	} {
		t.Run(test.name, func(t *testing.T) { refused(t, admin, test.path, test.body, test.field) })
	}
	t.Run("2 MB by Python", func(t *testing.T) { pythonBodies(t, s) })
	if after := stateOf(t, admin); after != before {
		t.Errorf("something was written: %s, before %s", after, before)
	}
}

// stateOf returns the state that refused requests must not change.
func stateOf(t *testing.T, c *client) string {
	t.Helper()
	var workspaces, keys json.RawMessage
	check(t, c.call(http.MethodGet, "/v1/workspaces", nil, &workspaces))
	check(t, c.call(http.MethodGet, "/v1/workspaces/acme/keys", nil, &keys))
	return fmt.Sprintf("%s %s", workspaces, keys)
}

func refused(t *testing.T, c *client, path, body, field string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, c.url+path, strings.NewReader(body))
	check(t, err)
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := plainHTTP.Do(req)
	check(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	check(t, err)
	isRefusal(t, resp.StatusCode, resp.Header.Get("Content-Type"), text, field)
}

// isRefusal checks that an answer is a problem (RFC 9457) that names the field.
func isRefusal(t *testing.T, code int, contentType string, text []byte, field string) {
	t.Helper()
	var p problem
	err := json.Unmarshal(text, &p)
	if err != nil || code/100 != 4 || contentType != "application/problem+json" || p.Status != code || p.Title == "" || p.Detail == "" {
		t.Fatalf("%d %s: %s (%v)", code, contentType, text, err)
	}
	for _, e := range p.Errors {
		if (e.Field == field || strings.HasPrefix(e.Field, field+"[") || strings.HasPrefix(e.Field, field+".")) && e.Detail != "" {
			return
		}
	}
	t.Errorf("%d does not name %s: %s", code, field, text)
}

// pythonBodies sends 2 MB with Python's urllib and http.client, which read the answer only after they have sent
// the whole body.
func pythonBodies(t *testing.T, s *server) {
	cmd := exec.Command(python(t), "-I", filepath.Join("testdata", "large_body.py"), s.url+"/v1/workspaces/acme/keys")
	cmd.Env = environment()
	cmd.Stdin = strings.NewReader(s.key())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	answers := 0
	for line := range bytes.Lines(out) {
		var answer struct {
			Client, Type, Body string
			Status             int
		}
		check(t, json.Unmarshal(line, &answer))
		isRefusal(t, answer.Status, answer.Type, []byte(answer.Body), "body")
		answers++
	}
	if answers != 3 {
		t.Errorf("%d answers, want 3", answers)
	}
}
