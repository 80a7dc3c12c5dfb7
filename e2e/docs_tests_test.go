package e2e_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	namedTest    = regexp.MustCompile("`(Test[A-Z]\\w+)`")
	declaredTest = regexp.MustCompile(`(?m)^func (Test[A-Z]\w+)\(`)
)

// TestE2EDocsNameTests checks the pages that name the test of a guarantee.
func TestE2EDocsNameTests(t *testing.T) {
	t.Parallel()
	declared := map[string]bool{}
	check(t, fs.WalkDir(os.DirFS(".."), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case !strings.HasSuffix(name, "_test.go"):
			return nil
		}
		source, err := os.ReadFile(filepath.Join("..", name))
		for _, found := range declaredTest.FindAllStringSubmatch(string(source), -1) {
			declared[found[1]] = true
		}
		return err
	}))
	for _, page := range docsPages(t) {
		text, err := os.ReadFile(filepath.Join("..", page.name))
		check(t, err)
		for _, found := range namedTest.FindAllStringSubmatch(string(text), -1) {
			if !declared[found[1]] {
				t.Errorf("%s names %s, which does not exist", page.name, found[1])
			}
		}
	}
}
