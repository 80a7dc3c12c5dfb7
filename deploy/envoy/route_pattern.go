package envoy

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// pathText matches a path as a routes file has it. A percent sign and a semicolon are excluded: see expression and the
// first route of routes.tmpl.
var (
	pathText = regexp.MustCompile(`^/[A-Za-z0-9._~!$&'()*+,=:@/-]*$`)
	variable = regexp.MustCompile(`\{[A-Za-z_][A-Za-z0-9_.-]*\}`)
)

const maxPath = 1024

func (r *Route) checkPattern() error {
	set := 0
	for _, text := range []string{r.Path, r.Prefix, r.Template} {
		if text != "" {
			set++
		}
	}
	if set != 1 {
		return fmt.Errorf("must have exactly one of path, prefix and path_template")
	}
	field, text := r.pattern()
	plain := text
	if r.Template != "" {
		plain = variable.ReplaceAllString(text, "x")
	}
	switch {
	case !pathText.MatchString(plain):
		return fmt.Errorf("%s: must begin with / and have no spaces, %%, ;, ? or other characters than those of a path, not %q", field, text)
	case len(text) > maxPath:
		return fmt.Errorf("%s: must have at most %d characters", field, maxPath)
	case strings.Contains(text, "//") || slices.ContainsFunc(strings.Split(plain, "/"), func(s string) bool { return s == "." || s == ".." }):
		return fmt.Errorf("%s: must not have empty segments, . or .., as in %q: Envoy removes them before it compares", field, text)
	case strings.Contains(text, "}{"):
		return fmt.Errorf("%s: must have text between two variables, unlike %q", field, text)
	}
	return nil
}

// expression returns an RE2 expression for the whole path, which Envoy has normalized: . and .. and empty segments are
// resolved, and letters, digits and -._~ are not percent-encoded. A route with requirements also matches the spellings that
// many APIs treat as the same: another case, and a slash at the end. An open route matches no spelling but its
// own, and nor does one where a user replaces the key.
func (r Route) expression() string {
	_, text := r.pattern()
	exact := r.Open || r.Require == RequireEither
	if r.Prefix != "" || !exact {
		text = strings.TrimRight(text, "/")
	}
	var b strings.Builder
	if !exact {
		b.WriteString("(?i)")
	}
	last := 0
	for _, at := range variable.FindAllStringIndex(text, -1) {
		b.WriteString(literal(text[last:at[0]]) + "[^/]+")
		last = at[1]
	}
	b.WriteString(literal(text[last:]))
	switch {
	case r.Prefix != "":
		b.WriteString("(?:/.*)?")
	case !exact:
		b.WriteString("/?")
	}
	return b.String()
}

// literal returns an expression for a part of a path. Envoy leaves the encoding of some characters as it is, but the API
// decodes them.
func literal(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if strings.IndexByte("!$&'()*+,=:@", c) < 0 {
			b.WriteString(regexp.QuoteMeta(string(c)))
			continue
		}
		fmt.Fprintf(&b, "(?:%s|%%(?i:%02X))", regexp.QuoteMeta(string(c)), c)
	}
	return b.String()
}

// A rank orders segments: the text comes before text with variables, then a variable, and last whatever follows a prefix.
type rank struct {
	class int
	text  string
}

// ranks returns those of the route's segments. The end of a path ranks first.
func (r Route) ranks() (all []rank) {
	_, text := r.pattern()
	for s := range strings.SplitSeq(strings.ToLower(strings.Trim(text, "/")), "/") {
		if s == "" {
			continue // of the path /
		}
		class, plain := 1, variable.ReplaceAllString(s, "{}")
		switch plain {
		case s:
		case "{}":
			class = 3
		default:
			class = 2
		}
		all = append(all, rank{class, plain})
	}
	if r.Prefix != "" {
		return append(all, rank{class: 4})
	}
	return append(all, rank{})
}

func compareRanks(a, b rank) int {
	return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(len(b.text), len(a.text)), strings.Compare(a.text, b.text))
}

// compareRoutes orders routes so that the first one that matches a request is the most specific one: by their segments from the
// left, and then those with methods first. The order in the file has no effect.
func compareRoutes(a, b Route) int {
	return cmp.Or(slices.CompareFunc(a.ranks(), b.ranks(), compareRanks), cmp.Compare(min(len(b.Methods), 1), min(len(a.Methods), 1)))
}
