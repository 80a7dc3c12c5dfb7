package client_test

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/client"
)

// schema is the part of JSON Schema that the document uses.
type schema struct {
	Ref             string            `json:"$ref"`
	Type            any               `json:"type"` // a name or several
	Format          string            `json:"format"`
	ContentEncoding string            `json:"contentEncoding"`
	Maximum         float64           `json:"maximum"`
	Additional      any               `json:"additionalProperties"`
	Properties      map[string]schema `json:"properties"`
	Items           *schema           `json:"items"`
	AnyOf           []schema          `json:"anyOf"`
}

// types returns the types that the schema allows, except null.
func (s *schema) types() (names []string) {
	switch t := s.Type.(type) {
	case string:
		names = []string{t}
	case []any:
		for _, name := range t {
			names = append(names, fmt.Sprint(name))
		}
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == "null" })
}

// checker compares schemas with types.
type checker struct {
	schemas map[string]schema
	patch   bool // the schema has some of the type's members
	found   []string
}

// resolve follows references, and merges the members of alternatives.
func (c *checker) resolve(s *schema) (string, schema) {
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		return name, c.schemas[name]
	}
	if len(s.AnyOf) == 0 {
		return "", *s
	}
	joined := schema{Type: "object", Properties: make(map[string]schema)}
	for i := range s.AnyOf {
		_, alternative := c.resolve(&s.AnyOf[i])
		for name, member := range alternative.Properties {
			joined.Properties[name] = member
		}
	}
	return "", joined
}

// fits records members that exist only in the schema or only in the type.
func (c *checker) fits(place string, s *schema, t reflect.Type) {
	name, resolved := c.resolve(s)
	if name != "" {
		place = name
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	kinds := resolved.types()
	if len(kinds) != 1 {
		c.found = append(c.found, fmt.Sprintf("%s: of the types %v", place, kinds))
		return
	}
	switch {
	case kinds[0] == "object" && resolved.Properties != nil && t.Kind() == reflect.Struct:
		c.members(place, resolved.Properties, t)
	case kinds[0] == "array" && t.Kind() == reflect.Slice:
		c.fits(place+"[]", resolved.Items, t.Elem())
	case name == "KeyPatch" && t == reflect.TypeFor[client.Patch](): // the operation update-key compares its members
	case !isFit(kinds[0], &resolved, t):
		c.found = append(c.found, fmt.Sprintf("%s: %s (%s) is a %s", place, kinds[0], resolved.Format, t))
	}
}

func isFit(kind string, s *schema, t reflect.Type) bool {
	switch {
	case kind == "string" && s.Format == "date-time":
		return t == reflect.TypeFor[time.Time]()
	case kind == "string" && s.ContentEncoding == "base64":
		return t == reflect.TypeFor[[]byte]()
	case kind == "string":
		return t.Kind() == reflect.String
	case kind == "integer" && s.Maximum > 0 && s.Maximum <= math.MaxUint32 && t.Kind() == reflect.Uint32:
		return true
	case kind == "integer" && (s.Format == "int64" || s.Format == ""):
		return slices.Contains([]reflect.Kind{reflect.Int, reflect.Int64, reflect.Uint64}, t.Kind())
	case kind == "boolean":
		return t.Kind() == reflect.Bool
	case kind == "object" && s.Properties == nil && s.Additional != true:
		return t == reflect.TypeFor[map[string]string]()
	case kind == "object" && s.Properties == nil:
		return t == reflect.TypeFor[json.RawMessage]()
	}
	return false
}

func (c *checker) members(place string, documented map[string]schema, t reflect.Type) {
	have := fields(t)
	for name, member := range documented {
		field, ok := have[name]
		if !ok {
			if absent[place+"."+name] == "" {
				c.found = append(c.found, fmt.Sprintf("%s: %s has no member %s", place, t, name))
			}
			continue
		}
		c.fits(place+"."+name, &member, field)
	}
	for name := range have {
		if _, ok := documented[name]; !ok && !c.patch {
			c.found = append(c.found, fmt.Sprintf("%s: the document has no member %s of %s", place, name, t))
		}
	}
}

// fields maps the JSON names of a struct's members to their types.
func fields(t reflect.Type) map[string]reflect.Type {
	found := make(map[string]reflect.Type)
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" {
			found[name] = f.Type
		}
	}
	return found
}

// TestContractCanFail changes the document in ways that must each cause a violation.
func TestContractCanFail(t *testing.T) {
	server, _ := startServer(t)
	text := string(fetch(t, server))
	for name, test := range map[string]struct{ old, new, want string }{
		"a new call":          {`"operationId":"issue-key"`, `"operationId":"mint-key"`, "mint-key: the client has no such call"},
		"a call less":         {`"operationId":"issue-key"`, `"operationId":"mint-key"`, "issue-key: the document has no such call"},
		"another path":        {`"/v1/workspaces/{ws}/usage"`, `"/v1/workspaces/{ws}/uses"`, "report-usage: sends POST"},
		"another parameter":   {`"name":"owner"`, `"name":"holder"`, "list-keys: sends the parameters"},
		"a renamed member":    {`"rotated_to":`, `"successor":`, "Key: client.Key has no member successor"},
		"a member less":       {`"rotated_to":`, `"successor":`, "Key: the document has no member rotated_to"},
		"a member of a patch": {`"keys_per_owner":`, `"keys":`, "PolicyPatch: client.Policy has no member keys"},
		"another type": {
			`"count":{"description":"Number of keys in this answer","format":"int64","type":"integer"}`, `"count":{"type":"string"}`,
			"Count: string () is a int",
		},
		"a problem's member": {`"key_id":`, `"successor":`, "Problem: client.Problem has no member successor"},
	} {
		changed := strings.ReplaceAll(text, test.old, test.new)
		if changed == text {
			t.Errorf("%s: the document has no %s", name, test.old)
			continue
		}
		found := violations(t, []byte(changed))
		if !slices.ContainsFunc(found, func(v string) bool { return strings.Contains(strings.ToLower(v), strings.ToLower(test.want)) }) {
			t.Errorf("%s: found %q, want %q", name, found, test.want)
		}
	}
}
