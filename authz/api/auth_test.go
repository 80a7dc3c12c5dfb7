package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
)

const (
	asked     = `Bearer realm="burnkey"`
	badToken  = `Bearer realm="burnkey", error="invalid_token"`
	lowScope  = `Bearer realm="burnkey", error="insufficient_scope"`
	unknownID = "01a201da-bbd0-7c60-a429-97332e3cfdf0"
)

// call is a management operation of the OpenAPI document.
type call struct{ method, path, id string }

// management lists every operation that requires a management key.
func (s *server) management() []call {
	s.t.Helper()
	var calls []call
	for path, methods := range s.contract.Paths {
		for method, op := range methods {
			if method == "head" { // answered like the GET of the same path
				continue
			}
			if len(op.Security) > 0 {
				calls = append(calls, call{strings.ToUpper(method), path, op.ID})
			} else if !strings.HasPrefix(path, issuerPrefix) && method != "get" {
				s.t.Errorf("%s %s: changes things and takes no key", method, path)
			}
		}
	}
	slices.SortFunc(calls, func(a, b call) int { return strings.Compare(a.id, b.id) })
	if len(calls) < 9 {
		s.t.Fatalf("only %d management operations in the document", len(calls))
	}
	return calls
}

const issuerPrefix = "/v1/auth/oauth/"

// in returns the call's path for a workspace. An id in the path is that of no existing key.
func (c call) in(workspace string) string {
	return strings.NewReplacer("{ws}", workspace, "{id}", unknownID, "{name}", "none", "{on}", "total").Replace(c.path)
}

// body returns a body that the operation either refuses or accepts without changing anything.
func (c call) body() any {
	if c.id == "feed" { // which would not end
		return `{"after":{"acme":"x"}}`
	}
	if c.id == "introspect-token" {
		return "token=x"
	}
	if c.method == "POST" || c.method == "PATCH" || c.method == "PUT" {
		return `{}`
	}
	return nil
}

func TestNoCredential(t *testing.T) {
	s := newServer(t)
	key := s.issue("acme", map[string]any{})
	revoked := s.issue(authz.Home, map[string]any{"scopes": []string{"admin"}})
	s.do("DELETE", "/v1/workspaces/burnkey/keys/"+revoked.id, nil).want(200)
	expired := s.issue(authz.Home, map[string]any{"scopes": []string{"admin"}, "expires_in": 1}).token
	s.sleep(time.Second)
	head, rest, _ := strings.Cut(s.admin, ".")
	payload, sig, _ := strings.Cut(rest, ".")
	none := b64([]byte(`{"alg":"none"}`)) + "." + payload + "."
	other := "B"
	if payload[5] == 'B' {
		other = "C"
	}

	cases := []struct {
		name, challenge string
		values          []string
	}{
		{"none", asked, nil},
		{"empty", asked, []string{""}},
		{"two", asked, []string{"Bearer " + s.admin, "Bearer " + s.admin}},
		{"two in one", asked, []string{"Bearer " + s.admin + ", Bearer " + s.admin}},
		{"Basic", asked, []string{"Basic YTpi"}},
		{"scheme alone", asked, []string{"Bearer"}},
		{"no scheme", asked, []string{s.admin}},
		{"DPoP", asked, []string{"DPoP " + s.admin}},
		{"empty token", asked, []string{"Bearer "}},
		{"garbage", badToken, []string{"Bearer " + marker}},
		{"a tab", asked, []string{"Bearer\t" + s.admin}},
		{"very long", badToken, []string{"Bearer " + strings.Repeat("a", 20<<10)}},
		{"expired", badToken, []string{"Bearer " + expired}},
		{"revoked", badToken, []string{"Bearer " + revoked.token}},
		{"a customer's", badToken, []string{"Bearer " + key.token}},
		{"altered", badToken, []string{"Bearer " + head + "." + payload[:5] + other + payload[6:] + "." + sig}},
		{"no signature", badToken, []string{"Bearer " + head + "." + payload + "."}},
		{"alg none", badToken, []string{"Bearer " + none}},
	}
	calls := s.management()
	s.minter.set(func(m *quickMinter) { m.unsigned = true })
	unsigned := s.manager("", "admin")
	cases = append(cases, struct {
		name, challenge string
		values          []string
	}{"unsigned", badToken, []string{"Bearer " + unsigned}})
	before := s.state()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for _, call := range calls {
				// Callers without a key learn nothing about other errors of the call.
				for _, path := range []string{call.in("acme"), call.in("none"), call.in("BAD!"), call.in("acme") + "?x=1"} {
					a := s.do(call.method, path, call.body(), header("Authorization", c.values...))
					want := c.challenge
					if c.name == "Basic" && call.id == "introspect-token" { // it reads the password
						want = badToken
					}
					if call.id == "introspect-token" {
						want += `, Basic realm="burnkey", charset="UTF-8"`
						if p := a.problem(); p.OAuth != "invalid_client" {
							t.Errorf("%s: %q", call.id, p.OAuth)
						}
					}
					if a.status != 401 || a.header.Get("WWW-Authenticate") != want {
						t.Errorf("%s %s: %d, %s", call.method, path, a.status, a.header.Get("WWW-Authenticate"))
					}
				}
			}
		})
	}
	s.do("POST", keysPath, `{"owner":"x"}`, header("Authorization"), header("Content-Type", "text/plain")).want(401)
	s.do("GET", keysPath+"?access_token="+s.admin, nil, header("Authorization")).want(401)
	if s.state() != before || strings.Contains(s.log.String(), marker) {
		t.Error("a stranger left a trace")
	}
	for _, scheme := range []string{"bearer ", "BEARER ", "Bearer ", "Bearer  "} {
		s.do("GET", keysPath, nil, header("Authorization", scheme+s.admin)).want(200)
	}
}

// needed lists the scopes that each operation requires, independently of the code under test.
var needed = map[string][]string{
	"create-workspace": {"workspaces:write"},
	"list-workspaces":  {"workspaces:read", "keys:read", "gateway"},
	"get-workspace":    {"workspaces:read", "keys:read", "gateway"},
	"update-workspace": {"workspaces:write"},
	"issue-key":        {"keys:write"},
	"list-keys":        {"keys:read"},
	"get-key":          {"keys:read"},
	"find-key":         {"keys:read"},
	"update-key":       {"keys:write"},
	"revoke-key":       {"keys:write"},
	"revoke-keys":      {"keys:write"},
	"update-keys":      {"keys:write"},
	"import-keys":      {"keys:write"},
	"create-request":   {"keys:write"},
	"list-requests":    {"keys:read"},
	"get-request":      {"keys:read"},
	"approve-request":  {"keys:write"},
	"decline-request":  {"keys:write"},
	"withdraw-request": {"keys:write"},
	"rotate-key":       {"keys:write"},
	"end-grace":        {"keys:write"},
	"undo-rotation":    {"keys:write"},
	"create-plan":      {"workspaces:write"},
	"list-plans":       {"workspaces:read", "keys:read"},
	"get-plan":         {"workspaces:read", "keys:read"},
	"update-plan":      {"workspaces:write"},
	"delete-plan":      {"workspaces:write"},
	"list-limits":      {"workspaces:read", "keys:read"},
	"get-limits":       {"workspaces:read", "keys:read"},
	"set-limits":       {"workspaces:write"},
	"delete-limits":    {"workspaces:write"},
	"list-audit":       {"audit:read"},
	"export-audit":     {"audit:read"},
	"report-usage":     {"gateway"},
	"feed":             {"gateway"},
	"feed-set":         {"gateway"},
	"introspect-token": {"keys:read", "gateway"},

	"create-portal-session": {"keys:write"},
	"end-portal-sessions":   {"keys:write"},
}

// may is the expected rule: an untied admin may do everything. Another key may do what its scopes permit, only
// in the workspace that it is tied to (if any), and never in burnkey.
func may(c call, scope, tie, workspace string) bool {
	perWorkspace := strings.Contains(c.path, "{ws}")
	switch {
	case scope != "admin" && !slices.Contains(needed[c.id], scope):
		return false
	case tie == authz.Home || tie != "" && c.id == "create-workspace":
		return false
	case !perWorkspace:
		return true
	case workspace == authz.Home:
		return scope == "admin" && tie == ""
	}
	return tie == "" || tie == workspace
}

func TestScopes(t *testing.T) {
	s := newServer(t)
	calls := s.management()
	for _, c := range calls {
		if needed[c.id] == nil {
			t.Errorf("%s: this test does not know which scopes it takes", c.id)
		}
	}
	for _, scope := range []string{"keys:read", "keys:write", "workspaces:read", "workspaces:write", "admin", "gateway", "audit:read"} {
		for _, tie := range []string{"", "acme", "other", "none", authz.Home} {
			token := s.manager(tie, scope)
			t.Run(fmt.Sprintf("%s/%s", scope, tie), func(t *testing.T) {
				for _, c := range calls {
					for _, workspace := range []string{"acme", "none", authz.Home} {
						s.checkScope(t, c, token, workspace, may(c, scope, tie, workspace))
					}
				}
			})
		}
	}
}

func (s *server) checkScope(t *testing.T, c call, token, workspace string, allowed bool) {
	t.Helper()
	path := c.in(workspace)
	if c.id == "end-portal-sessions" {
		path += "?owner=x" // all would take admin
	}
	a := s.do(c.method, path, c.body(), as(token))
	refused := a.status == 401 || a.status == 403
	if refused == allowed {
		t.Errorf("%s in %s: %d", c.id, workspace, a.status)
	}
	if refused && (a.status != 403 || a.header.Get("WWW-Authenticate") != lowScope) {
		t.Errorf("%s: %d, %s", c.id, a.status, a.header.Get("WWW-Authenticate"))
	}
}

// A tied key learns nothing about another workspace, not even that it exists.
func TestTiedKeySeesItsWorkspaceAlone(t *testing.T) {
	s := newServer(t)
	own := s.issue("acme", map[string]any{})
	foreign := s.issue("other", map[string]any{})
	tied := s.manager("acme", "admin")

	list := s.do("GET", "/v1/workspaces", nil, as(tied)).want(200).object()
	if all := list["workspaces"].([]any); len(all) != 1 || all[0].(map[string]any)["id"] != "acme" || list["next_cursor"] != nil {
		t.Errorf("lists %v", list)
	}
	s.do("GET", keysPath+"/"+own.id, nil, as(tied)).want(200)
	there := s.do("GET", "/v1/workspaces/other/keys/"+foreign.id, nil, as(tied)).want(403)
	for _, path := range []string{
		"/v1/workspaces/other", "/v1/workspaces/none", "/v1/workspaces/none/keys", "/v1/workspaces/other/keys/" + unknownID,
		"/v1/workspaces/BAD!", "/v1/workspaces/burnkey",
	} {
		if a := s.do("GET", path, nil, as(tied)).want(403); string(a.body) != string(there.body) {
			t.Errorf("%s tells %s, not %s", path, a.body, there.body)
		}
	}
	s.do("GET", keysPath+"/"+foreign.id, nil, as(tied)).want(404)
	s.do("DELETE", keysPath+"/"+foreign.id, nil, as(tied)).want(404)
	s.do("DELETE", "/v1/workspaces/other/keys/"+foreign.id, nil, as(tied)).want(403)
	s.do("GET", "/v1/auth/oauth/other/.well-known/jwks.json?kid="+foreign.kid, nil).want(200)
}

func TestManagementKeysNeedAGoodTie(t *testing.T) {
	s := newServer(t)
	for _, tie := range []any{nil, 1, "", "A", []string{"acme"}, "acme\n"} {
		a := s.do("POST", "/v1/workspaces/burnkey/keys", map[string]any{
			"owner": "x", "scopes": []string{"admin"}, "claims": map[string]any{authz.TieClaim: tie},
		})
		s.wantRefused(t, a, "claims."+authz.TieClaim)
	}
	// A key stays valid if the server has moved to another address since it was issued.
	s.do("GET", keysPath, nil, func(r *http.Request) { r.Host = "moved.example.test" }).want(200)
}
