package api_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The document describes what the server does. This test compares every route, limits_test.go every limit, and
// the transport of all tests every answer (contract_test.go).
func TestRoutesAreDocumented(t *testing.T) {
	s := newServer(t)
	var served, documented []string
	colon := regexp.MustCompile(`:(\w+)`)
	for _, r := range s.routes {
		served = append(served, strings.ToLower(r.Method)+" "+colon.ReplaceAllString(r.Path, "{$1}"))
	}
	for path, methods := range s.contract.Paths {
		for method := range methods {
			documented = append(documented, method+" "+path)
		}
	}
	slices.Sort(served)
	slices.Sort(documented)
	if !slices.Equal(served, documented) {
		t.Errorf("served:\n%s\ndocumented:\n%s", strings.Join(served, "\n"), strings.Join(documented, "\n"))
	}
}

func TestDocument(t *testing.T) {
	s := newServer(t)
	a := s.do("GET", "/openapi.json", nil).want(200)
	if got := a.header.Get("Content-Type"); got != "application/vnd.oai.openapi+json;version=3.1" {
		t.Errorf("Content-Type is %s", got)
	}
	var doc struct {
		OpenAPI    string
		Info       struct{ Title, Version, Description string }
		Components struct {
			SecuritySchemes map[string]struct{ Type, Scheme string }
			Schemas         map[string]json.RawMessage
		}
	}
	must(t, json.Unmarshal(a.body, &doc))
	if doc.OpenAPI != "3.1.0" || doc.Info.Title != "Burnkey" || doc.Info.Version != "test" || doc.Info.Description == "" {
		t.Errorf("says of itself %s %v", doc.OpenAPI, doc.Info)
	}
	if scheme := doc.Components.SecuritySchemes["managementKey"]; scheme.Type != "http" || scheme.Scheme != "bearer" {
		t.Errorf("the security scheme is %v", scheme)
	}
	for name := range doc.Components.Schemas {
		if _, err := s.contract.schema("components", "schemas", name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, ref := range regexp.MustCompile(`"\$ref":"([^"]*)"`).FindAllStringSubmatch(string(a.body), -1) {
		name, ok := strings.CutPrefix(ref[1], "#/components/schemas/")
		if _, there := doc.Components.Schemas[name]; !ok || !there {
			t.Errorf("a reference to nothing: %s", ref[1])
		}
	}
	ids := make(map[string]string)
	for path, methods := range s.contract.Paths {
		for method, op := range methods {
			if other := ids[op.ID]; op.ID == "" || other != "" {
				t.Errorf("%s %s: the operationId %q is also %s", method, path, op.ID, other)
			}
			ids[op.ID] = method + " " + path
			checkOperation(t, s.contract, path, method, op)
		}
	}
}

func checkOperation(t *testing.T, c *contract, path, method string, op *operation) {
	t.Helper()
	if op.Summary == "" {
		t.Errorf("%s: no summary", op.ID)
	}
	var named, inPath []string
	for _, name := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(path, -1) {
		named = append(named, name[1])
	}
	for _, p := range op.Parameters {
		if p.In == "path" {
			inPath = append(inPath, p.Name)
		}
		if p.Schema == nil || !slices.Contains([]string{"path", "query", "header"}, p.In) || (p.In == "path") != p.Required {
			t.Errorf("%s: the parameter %s is not well described", op.ID, p.Name)
		}
	}
	if !slices.Equal(named, inPath) {
		t.Errorf("%s: path parameters %v, described %v", op.ID, named, inPath)
	}
	wordless := op.ID == "end-grace" || op.ID == "undo-rotation"
	if takesBody := slices.Contains([]string{"post", "put", "patch"}, method) && !wordless; takesBody != (op.RequestBody != nil) {
		t.Errorf("%s: request body %v", op.ID, op.RequestBody)
	}
	for status, answer := range op.Responses {
		if !regexp.MustCompile(`^[2-5]\d\d$`).MatchString(status) || answer.Description == "" {
			t.Errorf("%s: the answer %s is not well described", op.ID, status)
		}
		for mediaType := range answer.Content {
			place := []string{"paths", path, method, "responses", status, "content", mediaType, "schema"}
			if _, err := c.schema(place...); err != nil {
				t.Errorf("%s %s: %v", op.ID, status, err)
			}
			isOAuth := op.ID == "exchange-key" && (status == "400" || status == "401")
			if status[0] >= '4' && (mediaType != "application/problem+json") != isOAuth {
				t.Errorf("%s: %s is %s", op.ID, status, mediaType)
			}
		}
	}
	if len(op.Security) == 0 {
		return
	}
	for _, status := range []string{"401", "403", "422", "500", "503"} {
		if op.Responses[status] == nil {
			t.Errorf("%s: %s is not documented", op.ID, status)
		}
	}
	var scopes []string
	for _, alternative := range op.Security {
		scopes = append(scopes, alternative["managementKey"]...)
	}
	if want := append(slices.Clone(needed[strings.TrimSuffix(op.ID, "-head")]), "admin"); !slices.Equal(scopes, want) {
		t.Errorf("%s: scopes %v, want %v", op.ID, scopes, want)
	}
}
