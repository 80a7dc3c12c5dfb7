package api_test

import (
	"encoding/json"
	"regexp"
	"testing"
	"unicode/utf8"

	"github.com/burnkey/burnkey/authz"
)

// The OpenAPI document's patterns of names and owners match exactly the values that authz accepts.
func TestPatternsOfNames(t *testing.T) {
	var document struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct{ Pattern string }
			}
		}
	}
	if err := json.Unmarshal(newServer(t).do("GET", "/openapi.json", "").want(200).body, &document); err != nil {
		t.Fatal(err)
	}
	for kind, members := range map[string][][2]string{
		"name":  {{"NewWorkspace", "name"}, {"WorkspacePatch", "name"}, {"NewKey", "name"}, {"KeyPatch", "name"}},
		"owner": {{"NewKey", "owner"}, {"NewPortalSession", "owner"}, {"NewPortalSession", "subject"}},
	} {
		refused := map[string]func(rune) bool{"name": authz.NoName, "owner": authz.NoOwner}[kind]
		tried := make(map[string]bool)
		for _, m := range members {
			text := document.Components.Schemas[m[0]].Properties[m[1]].Pattern
			if tried[text] {
				continue
			}
			tried[text] = true
			pattern := regexp.MustCompile(text)
			for r := rune(0); r <= 0xe2000; r++ {
				if r == 0x20000 {
					r = 0xe0000 // between them are ideographs and what is not assigned
				}
				if !utf8.ValidRune(r) || r == ' ' {
					continue
				}
				if s := string(r); pattern.MatchString(s) == refused(r) || pattern.MatchString("a"+s+"b") == refused(r) {
					t.Errorf("%s: the pattern is wrong about %U", m, r)
				}
			}
		}
		if len(tried) != 1 {
			t.Errorf("there are %d patterns of %ss", len(tried), kind)
		}
	}
}
