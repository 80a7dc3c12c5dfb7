package api_test

import (
	"reflect"
	"regexp"
	"testing"
	"unicode/utf8"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/api"
)

// What the document says a name or an owner is made of is what authz takes.
func TestPatternsOfNames(t *testing.T) {
	type field struct {
		of   reflect.Type
		name string
	}
	for kind, fields := range map[string][]field{
		"name": {
			{reflect.TypeFor[api.NewWorkspace](), "Name"},
			{reflect.TypeFor[api.WorkspacePatch](), "Name"},
			{reflect.TypeFor[api.NewKey](), "Name"},
			{reflect.TypeFor[api.KeyPatch](), "Name"},
		},
		"owner": {{reflect.TypeFor[api.NewKey](), "Owner"}, {reflect.TypeFor[api.NewPortalSession](), "Owner"}},
	} {
		refused := map[string]func(rune) bool{"name": authz.NoName, "owner": authz.NoOwner}[kind]
		tried := make(map[string]bool)
		for _, f := range fields {
			member, _ := f.of.FieldByName(f.name)
			text := member.Tag.Get("pattern")
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
					t.Errorf("%s.%s: the pattern is wrong about %U", f.of.Name(), f.name, r)
				}
			}
		}
		if len(tried) != 1 {
			t.Errorf("there are %d patterns of %ss", len(tried), kind)
		}
	}
}
