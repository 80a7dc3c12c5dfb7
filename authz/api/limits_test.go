package api_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// The documented limits are enforced: the test sends values around each member's limits and of other types, and
// server and schema must agree on each.
func TestLimitsOfBodies(t *testing.T) {
	s := newServer(t)
	s.minter.set(func(m *quickMinter) { m.unsigned = true })
	key := s.issue("acme", map[string]any{})
	s.do("POST", "/v1/workspaces/acme/plans", `{"name":"none"}`).want(201)
	for _, c := range s.management() {
		if c.body() == nil || hasOwnTest[c.id] {
			continue
		}
		schema, members := s.requestSchema(c)
		for name, member := range members {
			t.Run(c.id+"/"+name, func(t *testing.T) {
				for i, value := range probes(member) {
					path := strings.Replace(c.in("acme"), unknownID, key.id, 1)
					s.probe(t, c, path, schema, name, value, i)
				}
			})
		}
	}
}

// hasOwnTest lists operations whose bodies have rules that a schema can't express.
var hasOwnTest = map[string]bool{
	"rotate-key": true, "end-grace": true, "undo-rotation": true, "revoke-keys": true, "update-keys": true, "feed": true,
	"introspect-token": true, "import-keys": true,
	"create-request": true, "approve-request": true, "decline-request": true, "withdraw-request": true,
}

// ofTheWorkspace has parts of the errors of members that the schema allows, but the workspace does not have, and of
// rules that a schema can't express.
var ofTheWorkspace = map[string]string{
	"audience": "among the workspace's", "plan": "must be a plan of the workspace", "allowed_ips": "must be an address or a network",
	"suspended_reason": "for a suspended key", "signed": "must name one of the limits",
	"environment_of": "must be a workspace that is not itself an environment", "environments": "must be the workspace's first workspace",
}

// requestSchema returns the compiled schema of an operation's body, and the schemas of its members.
func (s *server) requestSchema(c call) (*jsonschema.Schema, map[string]map[string]any) {
	s.t.Helper()
	media := s.contract.Paths[c.path][strings.ToLower(c.method)].RequestBody.Content["application/json"]
	ref := media.(map[string]any)["schema"].(map[string]any)["$ref"].(string)
	name := strings.TrimPrefix(ref, "#/components/schemas/")
	var schema struct{ Properties map[string]map[string]any }
	must(s.t, json.Unmarshal(s.contract.Components.Schemas[name], &schema))
	compiled, err := s.contract.schema("components", "schemas", name)
	must(s.t, err)
	return compiled, schema.Properties
}

func (s *server) probe(t *testing.T, c call, path string, schema *jsonschema.Schema, member string, value any, i int) {
	t.Helper()
	body := map[string]any{}
	switch c.id {
	case "create-workspace":
		body["id"] = fmt.Sprintf("probe-%d-%s", i, strings.ReplaceAll(member, "_", "-"))
		if member == "environment_of" {
			body["environment"] = "test"
		}
	case "update-workspace":
		if member == "token_prefix" {
			body["bare_tokens_until"] = nil
		}
	case "issue-key", "create-portal-session":
		body["owner"] = "x"
	case "create-plan":
		body["name"] = "none"
	case "set-limits":
		body["limits"] = []any{map[string]any{"name": "burst", "requests": 1, "seconds": 1}}
	case "report-usage":
		body["keys"] = []any{}
		body["complete"] = true
	}
	body[member] = value
	text, err := json.Marshal(body)
	must(t, err)
	parsed, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	must(t, err)
	want := schema.Validate(parsed) == nil
	a := s.do(c.method, path, string(text))
	switch got := a.status < 300 || a.status == 409; {
	case got == want:
	case want && ofTheWorkspace[member] != "" && strings.Contains(string(a.body), ofTheWorkspace[member]):
	default:
		t.Errorf("%.80s: the schema says %t, the server %d: %.200s", text, want, a.status, redact(string(a.body)))
	}
	if a.status >= 400 && a.status != 409 && !a.problem().names(member) {
		t.Errorf("%.80s: blames %v", text, a.problem().Errors)
	}
}

// probes returns values at the limits of a schema, just beyond them, and of every other type.
func probes(schema map[string]any) []any {
	values := []any{
		nil, true, 1, 1.5, json.Number("60.0"), json.Number("-0"), "x",
		[]any{},
		[]any{"x"},
		[]any{1},
		[]any{nil},
		[]any{[]any{}},
		[]any{map[string]any{}},
		map[string]any{},
		map[string]any{"x": 1},
	}
	number := func(of map[string]any, limit string, add float64) {
		if n, ok := of[limit].(float64); ok {
			values = append(values, n, n+add)
		}
	}
	number(schema, "minimum", -1)
	number(schema, "maximum", 1)
	for _, text := range texts(schema) {
		values = append(values, text)
	}
	items, ok := schema["items"].(map[string]any)
	if !ok {
		return values
	}
	for _, text := range texts(items) {
		values = append(values, []any{text})
	}
	values = append(values, []any{"x", "x"})
	for _, limit := range []string{"minItems", "maxItems"} {
		n, _ := schema[limit].(float64)
		for _, length := range []int{int(n) - 1, int(n), int(n) + 1} {
			list := []any{}
			for i := range length {
				list = append(list, fmt.Sprint("item", i))
			}
			values = append(values, list)
		}
	}
	return values
}

// texts returns strings at the limits of a schema's length and pattern.
func texts(schema map[string]any) []string {
	if types, nullable := schema["type"].([]any); schema["type"] != "string" && !(nullable && slices.Contains(types, any("string"))) {
		return nil
	}
	all := []string{
		"", "A", "-a", "a-", "0", "a b", " ", `a"b`, `a\b`, "a!~", "é", "日本", "a\x00b", "a\nb", "a\tb", "a\x7fb", "a\u0080b",
		"a\u009fb", "a\u00a0b", "a\u2028b", "a\u2029b", "a\u200bb", "\ufeffa", "a\u202eb", "a\u202fb", "a\u2066b",
		"a\u2069", "\u200fa", "a\u200db",
		"a\u061cb", "a\u00adb", "\u3164", "a\ufffbb", "a\ufffcb", "a\ufe0f", "a\U000e0041b", "a\U000e0100b", "a\U000e0fffb",
		"a\U000e1000b", "😀", "a_b", "a.b",
	}
	for _, limit := range []string{"minLength", "maxLength"} {
		if n, ok := schema[limit].(float64); ok {
			all = append(all, strings.Repeat("a", int(n)), strings.Repeat("a", int(n)+1), strings.Repeat("é", int(n)))
		}
	}
	return append(all, strings.Repeat("a", 63), strings.Repeat("a", 64))
}

func TestLimitsOfParameters(t *testing.T) {
	s := newServer(t)
	s.minter.set(func(m *quickMinter) { m.unsigned = true })
	tried := 0
	for _, c := range s.management() {
		for i, p := range s.contract.Paths[c.path][strings.ToLower(c.method)].Parameters {
			schema, err := s.contract.schema("paths", c.path, strings.ToLower(c.method), "parameters", fmt.Sprint(i), "schema")
			must(t, err)
			for _, text := range parameterProbes(p) {
				if refuses(p, text) {
					continue
				}
				tried++
				var parsed any = text
				if p.Schema["type"] == "integer" {
					parsed = json.Number(text)
				}
				s.probeParameter(t, c, p, text, schema.Validate(parsed) == nil)
			}
		}
	}
	if tried < 100 {
		t.Errorf("only %d values were tried", tried)
	}
}

// refuses reports whether a value can't be sent, would make the request another call, or breaks a rule that the
// schema can't express.
func refuses(p parameter, text string) bool {
	switch p.In {
	case "path":
		return text == "" || p.Name == "id" || p.Name == "on" && text == "owner" // takes a name
	case "header":
		return strings.ContainsAny(text, "\x00\n\x7f") || strings.TrimSpace(text) != text || text == ""
	}
	control := strings.ContainsAny(text, "\x00\n\t\x7f\u0080\u009f")
	most, _ := p.Schema["maxLength"].(float64)
	isFit := utf8.RuneCountInString(text) <= int(most)
	return text == "" || control || p.Name == "cursor" && isFit || p.Name == "name" && isFit // depends on what the limits are on
}

func parameterProbes(p parameter) []string {
	if p.Schema["type"] != "integer" {
		if values, ok := p.Schema["enum"].([]any); ok {
			return []string{values[0].(string), strings.ToUpper(values[0].(string)), "other"}
		}
		return texts(p.Schema)
	}
	var all []string
	for _, limit := range []string{"minimum", "maximum", "default"} {
		n := p.Schema[limit].(float64)
		all = append(all, fmt.Sprint(n-1), fmt.Sprint(n), fmt.Sprint(n+1))
	}
	return all
}

func (s *server) probeParameter(t *testing.T, c call, p parameter, text string, want bool) {
	t.Helper()
	var a answer
	switch p.In {
	case "path":
		path := strings.NewReplacer("{"+p.Name+"}", url.PathEscape(text)).Replace(c.path)
		a = s.do(c.method, call{path: path}.in("acme"), c.goodBody())
	case "query":
		a = s.do(c.method, c.in("acme")+"?"+p.Name+"="+url.QueryEscape(text), c.goodBody())
	case "header":
		a = s.do(c.method, c.in("acme"), c.goodBody(), header(p.Name, text))
	}
	if got := a.status != 422; got != want {
		t.Errorf("%s: %s=%.80q: the schema says %t, the server %d", c.id, p.Name, text, want, a.status)
	}
	if a.status == 422 && !a.problem().names(p.Name) {
		t.Errorf("%s: %s=%.80q: blames %v", c.id, p.Name, text, a.problem().Errors)
	}
}
