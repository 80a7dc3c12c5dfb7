package envoy_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// resources are compiled definitions of custom resources, by kind and version.
type resources map[string]*jsonschema.Schema

// customResources compiles the definitions in .tools/schemas. They do not contain the rules in CEL.
func customResources(t *testing.T) resources {
	t.Helper()
	files, err := filepath.Glob("../../.tools/schemas/envoy-gateway/*.yaml")
	if err != nil || len(files) == 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("no definitions of Envoy Gateway: run tools/schemas.sh")
		}
		t.Skip("no definitions of Envoy Gateway: run tools/schemas.sh")
	}
	all := resources{}
	for _, file := range files {
		for _, definition := range documents(t, fileText(t, file)) {
			if definition["kind"] != "CustomResourceDefinition" {
				continue
			}
			group, kind := dig(t, definition, "spec", "group"), dig(t, definition, "spec", "names", "kind")
			for _, version := range dig(t, definition, "spec", "versions").([]any) {
				name := fmt.Sprintf("%s/%s/%s", group, dig(t, version, "name"), kind)
				compiler := jsonschema.NewCompiler()
				err := compiler.AddResource(name, strict(dig(t, version, "schema", "openAPIV3Schema")))
				if err == nil {
					all[name], err = compiler.Compile(name)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return all
}

// strict forbids members that a schema does not name, as an API server does.
func strict(schema any) any {
	switch s := schema.(type) {
	case map[string]any:
		for name, inner := range s {
			s[name] = strict(inner)
		}
		_, properties := s["properties"].(map[string]any)
		if properties && s["type"] == "object" && s["additionalProperties"] == nil && s["x-kubernetes-preserve-unknown-fields"] == nil {
			s["additionalProperties"] = false
		}
	case []any:
		for i := range s {
			s[i] = strict(s[i])
		}
	}
	return schema
}

func (r resources) validate(o map[string]any) error {
	name := fmt.Sprintf("%s/%s", o["apiVersion"], o["kind"])
	schema := r[name]
	if schema == nil {
		return errors.New("no definition of " + name)
	}
	metadata, _ := o["metadata"].(map[string]any)
	if text, _ := metadata["name"].(string); text == "" || strings.ToLower(text) != text {
		return fmt.Errorf("invalid name %q", text)
	}
	plain := map[string]any{}
	for name, value := range o {
		plain[name] = value
	}
	plain["metadata"] = map[string]any{} // the definitions do not name its members
	return schema.Validate(plain)
}
