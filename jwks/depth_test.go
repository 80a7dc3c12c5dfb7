package jwks_test

import (
	"strings"
	"testing"

	"github.com/burnkey/burnkey/jwks"
)

func TestTooDeep(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, c := range []struct {
		text, member string
		deep         bool
	}{
		{nested(4), "", false},
		{nested(5), "", true},
		{nested(8000), "", true},
		{`{"a":{"x":1},"m/n":` + nested(3) + `}`, "", false},
		{`{"a":{"x":1},"m/n":` + nested(4) + `}`, "m/n", true},
		{`{"a":{"b":{"c":{"d":{}}}}}`, "a", true},
		{`["[[[[[[[["]`, "", false},
		{`{"a":`, "", false},
	} {
		if member, deep := jwks.TooDeep([]byte(c.text), 4); member != c.member || deep != c.deep {
			t.Errorf("%.40s: %q, %v", c.text, member, deep)
		}
	}
}
