package api_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/api"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
)

//go:generate env BURNKEY_WRITE=true go test -run ^TestReference -count=1 .

const problemPages = "../../docs/reference/problems/"

// Each kind of problem has a page, with an example of it, and each page has a kind.
func TestEachProblemHasAPage(t *testing.T) {
	s := newServer(t)
	s.contract.publicURL = "https://keys.example.com"
	pages, err := filepath.Glob(problemPages + "*.md")
	must(t, err)
	for _, k := range api.Kinds() {
		file := problemPages + k.Code + ".md"
		text, err := os.ReadFile(file)
		if err != nil {
			t.Errorf("%s: no page: %v", k.Code, err)
			continue
		}
		if !strings.HasPrefix(string(text), "# "+k.Title+"\n") {
			t.Errorf("%s: its page has another title than %q", k.Code, k.Title)
		}
		_, example, _ := strings.Cut(string(text), "```json\n")
		example, _, ok := strings.Cut(example, "```")
		var p problem
		if err := json.Unmarshal([]byte(example), &p); !ok || err != nil || p.Code != k.Code || p.Detail == "" {
			t.Errorf("%s: its example is %+v: %v", k.Code, p, err)
		}
		if err := s.contract.checkKind(p); err != nil {
			t.Errorf("%s: %v", k.Code, err)
		}
		if err := s.contract.validate([]byte(example), "components", "schemas", "Problem"); err != nil {
			t.Errorf("%s: %v", k.Code, err)
		}
		pages = slices.DeleteFunc(pages, func(page string) bool { return page == file })
	}
	if want := []string{problemPages + "fields.md", problemPages + "index.md"}; !slices.Equal(pages, want) {
		t.Errorf("pages without a kind: %v", pages)
	}
}

// A code names one kind.
func TestCodesAreUnique(t *testing.T) {
	seen := make(map[string]bool)
	for _, k := range api.Kinds() {
		if seen[k.Code] {
			t.Errorf("%s: twice", k.Code)
		}
		seen[k.Code] = true
	}
}

func TestReferenceOfProblems(t *testing.T) {
	all := api.Kinds()
	slices.SortFunc(all, func(a, b api.Kind) int {
		return strings.Compare(fmt.Sprint(a.Status, a.Code), fmt.Sprint(b.Status, b.Code))
	})
	var table strings.Builder
	table.WriteString("| code | status | title |\n|---|---|---|\n")
	for _, k := range all {
		fmt.Fprintf(&table, "| [`%s`](%s.md) | %d | %s |\n", k.Code, k.Code, k.Status, k.Title)
	}
	testkit.Generated(t, problemPages+"index.md", "kinds", table.String())
}

func TestReferenceOfRefusals(t *testing.T) {
	var table strings.Builder
	table.WriteString("| code | status | title |\n|---|---|---|\n")
	for _, c := range jwks.RefusalCodes() {
		fmt.Fprintf(&table, "| [`%s`](#%s) | %d | %s |\n", c.Code, c.Code, c.Status, c.Title)
	}
	testkit.Generated(t, problemPages+"../refusals.md", "refusals", table.String())
}

func TestReferenceOfRules(t *testing.T) {
	var table strings.Builder
	table.WriteString("| code | rule |\n|---|---|\n")
	for _, r := range authz.Rules() {
		fmt.Fprintf(&table, "| `%s` | %s |\n", r.Code, strings.NewReplacer("|", `\|`, `\`, `\\`).Replace(r.Text))
	}
	testkit.Generated(t, problemPages+"fields.md", "rules", table.String())
}

func TestReferenceOfOperations(t *testing.T) {
	testkit.Generated(t, "../../docs/reference/http.md", "operations", api.Reference(t))
}

// A call of any method is in the reference.
func TestReferenceHasEachOperation(t *testing.T) {
	var document struct {
		Paths map[string]map[string]struct{ Summary string }
	}
	must(t, json.Unmarshal(newServer(t).do("GET", "/openapi.json", "").want(200).body, &document))
	text := api.Reference(t)
	for path, methods := range document.Paths {
		for method, op := range methods {
			if method != "head" && !strings.Contains(text, "\n#### "+op.Summary+"\n") {
				t.Errorf("%s %s: missing", method, path)
			}
		}
	}
}
