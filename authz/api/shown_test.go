package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// These strings are in the records of the test. Each may be shown only to callers with certain scopes.
const (
	keyWords      = "owner-word name-word scope:word claim-word metadata-word"
	settingsWords = "hook-word login-word display-word"
	nameWords     = "workspace-word"
	limitWords    = "limit-word"
	auditWords    = keyWords + " " + settingsWords + " " + nameWords + " " + limitWords
)

// shows lists, by operation and scope, which parts of existing records an answer may show. An answer may show
// nothing to a scope that is not listed. A new operation fails the test until it is added here.
var shows = map[string]map[string]string{
	"create-workspace":      {},
	"list-workspaces":       {"workspaces:read": nameWords, "keys:read": nameWords, "gateway": nameWords},
	"get-workspace":         {"workspaces:read": nameWords + " " + settingsWords, "keys:read": nameWords, "gateway": nameWords},
	"update-workspace":      {"workspaces:write": ""},
	"issue-key":             {"keys:write": ""},
	"list-keys":             {"keys:read": keyWords},
	"get-key":               {"keys:read": keyWords},
	"find-key":              {"keys:read": keyWords},
	"update-key":            {"keys:write": ""},
	"revoke-key":            {"keys:write": ""},
	"revoke-keys":           {"keys:write": ""},
	"update-keys":           {"keys:write": ""},
	"import-keys":           {"keys:write": ""},
	"create-request":        {"keys:write": ""},
	"list-requests":         {"keys:read": keyWords},
	"get-request":           {"keys:read": keyWords},
	"approve-request":       {"keys:write": ""},
	"decline-request":       {"keys:write": ""},
	"withdraw-request":      {"keys:write": ""},
	"rotate-key":            {"keys:write": ""}, // except in its token, which this test does not decode
	"end-grace":             {"keys:write": ""},
	"undo-rotation":         {"keys:write": ""},
	"create-plan":           {"workspaces:write": ""},
	"list-plans":            {"workspaces:read": limitWords, "keys:read": limitWords},
	"get-plan":              {"workspaces:read": limitWords, "keys:read": limitWords},
	"update-plan":           {"workspaces:write": ""},
	"delete-plan":           {"workspaces:write": ""},
	"list-limits":           {"workspaces:read": limitWords, "keys:read": limitWords},
	"get-limits":            {"workspaces:read": limitWords, "keys:read": limitWords},
	"set-limits":            {"workspaces:write": ""},
	"delete-limits":         {"workspaces:write": ""},
	"list-audit":            {"audit:read": auditWords},
	"export-audit":          {"audit:read": auditWords},
	"report-usage":          {"gateway": ""},
	"feed":                  {"gateway": ""},
	"feed-set":              {"gateway": ""},
	"introspect-token":      {"keys:read": "", "gateway": ""}, // the words are in the token itself
	"create-portal-session": {"keys:write": ""},               // the link is for the owner named in the request
	"end-portal-sessions":   {"keys:write": ""},
}

// showing returns an operation's body, query and expected statuses, for an answer about the test's records.
func (s *server) showing(id string) (body any, query string, statuses []int) {
	switch id {
	case "create-workspace":
		return `{"id":"acme"}`, "", []int{409}
	case "create-plan":
		return `{"name":"gold"}`, "", []int{409}
	case "set-limits":
		return `{"limits":[{"name":"burst","requests":1,"seconds":1}]}`, "", []int{200}
	case "delete-plan", "delete-limits":
		return nil, "", []int{204}
	case "update-workspace", "update-key", "update-plan":
		return `{}`, "", []int{200}
	case "issue-key":
		return `{"owner":"another"}`, "", []int{201}
	case "revoke-keys":
		return `{"created_before":"2100-01-01T00:00:00Z","dry_run":true}`, "", []int{200}
	case "update-keys":
		return `{"created_before":"2100-01-01T00:00:00Z","change":{"name":"named"},"dry_run":true}`, "", []int{200}
	case "import-keys":
		return `{"keys":[{"digest":"sha256:ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0","owner":"another"}]}`, "", []int{200}
	case "report-usage":
		return `{"keys":[],"complete":true}`, "", []int{200}
	case "introspect-token":
		return "token=x", "", []int{200}
	case "feed": // what it shows is that of feed-set; its own answer would not end
		return `{"after":{"acme":"x"}}`, "", []int{422}
	case "create-portal-session":
		return `{"owner":"another"}`, "", []int{201}
	case "end-portal-sessions":
		return nil, "?owner=another", []int{200}
	case "rotate-key":
		return `{"grace":"1h"}`, "", []int{201, 409}
	case "create-request": // its body names a key
		return nil, "", []int{201}
	case "approve-request", "decline-request", "withdraw-request":
		return `{}`, "", []int{200}
	case "end-grace", "undo-rotation":
		return nil, "", []int{200, 409}
	}
	return nil, "", []int{200}
}

// A caller sees only the data that its scopes allow, including in the answer to a change.
func TestScopesMeanWhatTheySay(t *testing.T) {
	s := newServer(t)
	s.do("PATCH", "/v1/workspaces/acme", `{"name":"workspace-word","policy":{"webhook":"https://hook-word.example"},`+
		`"portal":{"display_name":"display-word","oidc":{"issuer":"https://login-word.example","client_id":"c","owner_claim":"o"}}}`).want(200)
	words := strings.Fields(auditWords)
	described := `{"description":"limit-word","limits":[{"name":"burst","requests":1,"seconds":1}]}`
	issued := 0
	fresh := func() string {
		s.do("POST", plansPath, `{"name":"gold"}`)
		s.do("PATCH", plansPath+"/gold", described).want(200)
		s.do("PUT", "/v1/workspaces/acme/limits/total", described)
		issued++ // an owner can't have many open requests
		return s.issue("acme", map[string]any{
			"owner": fmt.Sprint("owner-word-", issued), "name": "name-word", "scopes": []string{"scope:word"},
			"claims": map[string]any{"c": "claim-word"}, "metadata": map[string]any{"m": "metadata-word"},
		}).id
	}
	request := func(id string) any { return `{"key":"` + id + `","plan":"silver"}` }
	s.plan("acme", "silver")
	s.do("POST", requestsPath, request(fresh())).want(201)
	s.do("PATCH", keysPath+"/"+fresh(), `{"metadata":{"m":"metadata-word changed"}}`).want(200)
	for _, c := range s.management() {
		classified, known := shows[c.id]
		if !known {
			t.Errorf("%s is not classified: say what its answer shows to which scope", c.id)
		}
		for _, scope := range authz.ManagementScopes() {
			if scope == authz.ScopeAdmin {
				continue
			}
			t.Run(c.id+"/"+scope, func(t *testing.T) {
				id := fresh()
				if c.id == "end-grace" || c.id == "undo-rotation" {
					s.do("POST", keysPath+"/"+id+"/rotate", `{"grace":"1h"}`).want(201)
				}
				body, query, statuses := s.showing(c.id)
				if c.id == "create-request" {
					body = request(id)
				}
				if strings.Contains(c.path, "/requests/{id}") {
					id = s.do("POST", requestsPath, request(id)).want(201).text("id")
				}
				path := strings.NewReplacer("{ws}", "acme", "{id}", id, "{name}", "gold", "{on}", "total").Replace(c.path) + query
				a := s.do(c.method, path, body, as(s.manager("", scope)))
				allowed, may := classified[scope]
				may = may || c.id == "create-workspace" && scope == "workspaces:write"
				if may != slices.Contains(statuses, a.status) || !may && a.status != 403 {
					t.Fatalf("answers %d", a.status)
				}
				for _, word := range words {
					if strings.Contains(string(a.body), word) && !strings.Contains(allowed, word) {
						t.Errorf("shows %s", word)
					}
				}
				if len(allowed) > 0 && !strings.Contains(string(a.body), strings.Fields(allowed)[0]) {
					t.Errorf("does not show %s: %.200s", allowed, a.body)
				}
			})
		}
	}
}

// A caller with the read scope, or admin, sees the same answers in full.
func TestWhoMayReadIsShownAll(t *testing.T) {
	s := newServer(t)
	key := s.issue("acme", map[string]any{"owner": "owner-word", "name": "name-word"})
	for _, token := range []string{s.admin, s.manager("", "keys:read", "keys:write"), s.manager("acme", "admin")} {
		for path, body := range map[string]string{
			keysPath + "/" + key.id:           `{}`,
			"/v1/workspaces/acme/revocations": `{"owner":"owner-word","dry_run":true}`,
		} {
			method := map[bool]string{true: "PATCH", false: "POST"}[body == `{}`]
			if a := s.do(method, path, body, as(token)).want(200); !strings.Contains(string(a.body), "name-word") {
				t.Errorf("%s %s shows %s", method, path, a.body)
			}
		}
	}
	for _, token := range []string{s.admin, s.manager("", "workspaces:read", "workspaces:write")} {
		if a := s.do("PATCH", "/v1/workspaces/acme", `{}`, as(token)).want(200); !strings.Contains(string(a.body), `"policy"`) {
			t.Errorf("shows %s", a.body)
		}
	}
}

// HEAD of a management call is its GET without the body, with the same rights.
func TestHeadOfManagementCalls(t *testing.T) {
	s := newServer(t)
	key := s.issue("acme", map[string]any{})
	for _, path := range []string{
		"/v1/workspaces", "/v1/workspaces/acme", keysPath, keysPath + "/" + key.id, keysPath + "/" + unknownID,
		"/v1/workspaces/acme/audit", "/v1/workspaces/acme/audit.csv", keysPath + "?status=odd",
	} {
		get, head := s.do("GET", path, nil), s.do("HEAD", path, nil)
		if head.status != get.status || len(head.body) > 0 || head.header.Get("Content-Type") != get.header.Get("Content-Type") {
			t.Errorf("%s: %d %s, and with GET %d", path, head.status, head.body, get.status)
		}
		s.do("HEAD", path, nil, header("Authorization")).want(401)
	}
	refused, _, err := s.service.Audit(t.Context(), "acme", store.AuditFilter{Action: store.ActionCallRefuse, Limit: 10})
	s.do("HEAD", keysPath, nil, as(s.manager("acme", "audit:read"))).want(403)
	after, _, _ := s.service.Audit(t.Context(), "acme", store.AuditFilter{Action: store.ActionCallRefuse, Limit: 10})
	if err != nil || len(after) != len(refused)+1 {
		t.Errorf("%d refusals are noted, %v", len(after)-len(refused), fmt.Sprint(err))
	}
}
