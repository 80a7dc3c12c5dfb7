package api_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// described is what the document says about an operation, for readers.
type described struct {
	OperationID, Summary, Description string
	Tags                              []string
	Parameters                        []struct{ Name, Description string }
	RequestBody                       struct {
		Content map[string]struct{ Example json.RawMessage }
	}
	Responses map[string]struct {
		Description string
		Content     map[string]struct{ Example json.RawMessage }
	}
}

// Each operation, parameter and member has a description, and each body an example that its schema permits.
func TestEverythingIsDescribedWithExamples(t *testing.T) {
	s := newServer(t)
	var doc struct {
		Tags  []struct{ Name, Description string }
		Paths map[string]map[string]described
	}
	must(t, json.Unmarshal(s.contract.raw, &doc))
	groups := make(map[string]bool)
	for _, tag := range doc.Tags {
		groups[tag.Name] = tag.Description != ""
	}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			if op.Summary == "" || op.Description == "" || len(op.Tags) != 1 || !groups[op.Tags[0]] {
				t.Errorf("%s: the summary is %q, the description %q, the group %q", op.OperationID, op.Summary, op.Description, op.Tags)
			}
			for _, p := range op.Parameters {
				if p.Description == "" {
					t.Errorf("%s: the parameter %s has no description", op.OperationID, p.Name)
				}
			}
			for kind, body := range op.RequestBody.Content {
				checkExample(t, s.contract, body.Example, "paths", path, method, "requestBody", "content", kind)
			}
			for status, answer := range op.Responses {
				for kind, body := range answer.Content {
					checkExample(t, s.contract, body.Example, "paths", path, method, "responses", status, "content", kind)
				}
			}
		}
	}
	for name, text := range s.contract.Components.Schemas {
		checkMembers(t, s.contract, name, text)
	}
}

func checkExample(t *testing.T, c *contract, example json.RawMessage, place ...string) {
	t.Helper()
	if len(example) == 0 {
		t.Errorf("%s: no example", strings.Join(place, " "))
	} else if err := c.validate(example, append(place, "schema")...); err != nil {
		t.Errorf("%s: %v", strings.Join(place, " "), err)
	}
	if strings.Contains(strings.Join(place, " "), "problem+json") {
		var p problem
		must(t, json.Unmarshal(example, &p))
		p.Type = strings.Replace(p.Type, "https://keys.example.com", publicURL, 1)
		if err := c.checkKind(p); err != nil {
			t.Errorf("%s: %v", strings.Join(place, " "), err)
		}
	}
}

// checkMembers checks that each member of a schema has a description, or refers to a schema that has one.
func checkMembers(t *testing.T, c *contract, name string, text json.RawMessage) {
	t.Helper()
	type member struct {
		Description string
		Ref         string `json:"$ref"`
	}
	var schema struct{ Properties map[string]member }
	must(t, json.Unmarshal(text, &schema))
	for of, m := range schema.Properties {
		if target, ok := strings.CutPrefix(m.Ref, "#/components/schemas/"); ok && m.Description == "" {
			must(t, json.Unmarshal(c.Components.Schemas[target], &m))
		}
		if m.Description == "" {
			t.Errorf("%s.%s has no description", name, of)
		}
	}
}
