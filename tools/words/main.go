// Words finds comments, strings and documents of this repository that are not in plain English, unusual log keys, and Go
// lines of more than 140 columns. It prints a line for each.
//
//	go run ./tools/words [-check] [PATH…]
//
// PATH is a file or a folder; the default is the whole work tree. With -check, findings are an error.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

func main() {
	isCheck := flag.Bool("check", false, "exit with status 1 if a rule is broken")
	flag.Parse()
	findings, err := run(flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(2)
	}
	for _, f := range findings {
		fmt.Printf("%s:%d: %q: %s\n", f.file, f.line, f.words, f.better)
	}
	if *isCheck && len(findings) > 0 {
		os.Exit(1)
	}
}

// A finding is a place where a rule is broken.
type finding struct {
	file   string
	line   int
	words  string
	better string
}

func run(paths []string) ([]finding, error) {
	args := append([]string{"ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"}, paths...)
	listing, err := exec.Command("git", args...).Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	var all []finding
	for name := range strings.SplitSeq(string(listing), "\x00") {
		content, err := os.ReadFile(name)
		if err != nil || !isProse(name) {
			continue // deleted, or not written by us
		}
		found, err := check(name, content)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// isProse reports whether to check a file. It leaves out third-party files, German texts, measurements and the
// examples of the rules.
func isProse(name string) bool {
	switch {
	case name == "tools/words/rules.go", name == "tools/words/words_test.go", strings.HasPrefix(name, "docs/benchmarks/"):
		return false
	case slices.Contains([]string{"package-lock.json", "de.json"}, filepath.Base(name)):
		return false
	}
	return slices.Contains([]string{
		".go", ".md", ".json", ".html", ".tmpl", ".tpl", ".yaml", ".yml", ".sql", ".sh", ".py", ".js", ".mjs", ".cfg", ".conf",
		".service", ".txt",
	}, filepath.Ext(name)) || slices.Contains([]string{"Makefile", "Dockerfile"}, filepath.Base(name)) || name == ".ci/run"
}

func check(name string, content []byte) ([]finding, error) {
	pieces, err := texts(name, content)
	if err != nil {
		return nil, err
	}
	found := longLines(name, content)
	for _, piece := range pieces {
		for _, rule := range compiledRules {
			for _, at := range rule.matches(piece.body) {
				line := piece.line + strings.Count(piece.body[:at[0]], "\n")
				found = append(found, finding{name, line, piece.body[at[0]:at[1]], rule.better})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b finding) int { return cmp.Compare(a.line, b.line) })
	return found, nil
}

const columns = 140

var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// longLines finds Go lines that are too long. It allows long table rows in tests, and long lines in generated
// files.
func longLines(name string, content []byte) []finding {
	if filepath.Ext(name) != ".go" || generated.Match(content) {
		return nil
	}
	var found []finding
	for i, text := range strings.Split(string(content), "\n") {
		line := strings.TrimSpace(text)
		isRow := strings.HasSuffix(name, "_test.go") && strings.HasSuffix(line, ",") && strings.ContainsAny(line[:1], "{\"`")
		if length := utf8.RuneCountInString(text); length > columns && !isRow {
			found = append(found, finding{name, i + 1, fmt.Sprintf("%d columns", length), fmt.Sprintf("at most %d", columns)})
		}
	}
	return found
}
