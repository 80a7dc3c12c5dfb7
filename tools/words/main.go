// Words finds what is not plain English in the comments, strings and documents of this repository, log keys that are not
// the usual ones, and Go lines of more than 140 columns. It prints a line for each and how often each rule is broken.
//
//	go run ./tools/words [-check] [PATH…]
//
// PATH is a file or a folder, and the default is the whole work tree. With -check it fails where it finds something.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

func main() {
	check := flag.Bool("check", false, "exit with status 1 where a rule is broken")
	flag.Parse()
	findings, err := run(flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(2)
	}
	report(findings)
	if *check && len(findings) > 0 {
		os.Exit(1)
	}
}

// A finding is one place where a rule is broken.
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
			continue // deleted, or not ours to write
		}
		found, err := check(name, content)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// isProse leaves out the work of others, German, measurements, and the rules' own examples.
func isProse(name string) bool {
	switch {
	case name == "tools/words/rules.go", name == "tools/words/words_test.go", strings.HasPrefix(name, "benchmarks/results/"):
		return false
	case slices.Contains([]string{"package-lock.json", "de.json"}, filepath.Base(name)):
		return false
	}
	return slices.Contains([]string{
		".go", ".md", ".json", ".html", ".tmpl", ".tpl", ".yaml", ".yml", ".sql", ".sh", ".py", ".js", ".mjs", ".cfg", ".conf",
		".service", ".txt",
	}, filepath.Ext(name)) || slices.Contains([]string{"Makefile", "Dockerfile"}, filepath.Base(name)) || name == ".ci/run"
}

var compiledRules = func() []compiled {
	var all []compiled
	for _, r := range rules {
		all = append(all, compile(r))
	}
	return all
}()

func check(name string, content []byte) ([]finding, error) {
	pieces, err := texts(name, content)
	if err != nil {
		return nil, err
	}
	found := longLines(name, content)
	for _, piece := range pieces {
		if piece.body == wrongLogKey && strings.HasSuffix(name, ".go") {
			found = append(found, finding{name, piece.line, piece.body, logKey})
		}
		for _, rule := range compiledRules {
			for _, at := range rule.matches(piece.body) {
				line := piece.line + strings.Count(piece.body[:at[0]], "\n")
				found = append(found, finding{name, line, shorten(piece.body[at[0]:at[1]]), rule.better})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b finding) int { return cmp.Compare(a.line, b.line) })
	return found, nil
}

const columns = 140

var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// longLines finds Go lines that are too long. Rows of tables in tests may be, and generated files.
func longLines(name string, content []byte) []finding {
	if filepath.Ext(name) != ".go" || generated.Match(content) {
		return nil
	}
	var found []finding
	scanner := bufio.NewScanner(bytes.NewReader(content))
	for n := 1; scanner.Scan(); n++ {
		line := strings.TrimSpace(scanner.Text())
		isRow := strings.HasSuffix(name, "_test.go") && strings.HasSuffix(line, ",") && strings.ContainsAny(line[:1], "{\"`")
		if length := utf8.RuneCountInString(scanner.Text()); length > columns && !isRow {
			found = append(found, finding{name, n, fmt.Sprintf("%d columns", length), fmt.Sprintf("at most %d", columns)})
		}
	}
	return found
}

// shorten gives the words of one finding on one line.
func shorten(words string) string {
	words = strings.Join(strings.Fields(strings.TrimLeft(words, ".!? ")), " ")
	if runes := []rune(words); len(runes) > 60 {
		return string(runes[:60]) + "…"
	}
	return words
}

func report(findings []finding) {
	counts := map[string]int{}
	for _, f := range findings {
		fmt.Printf("%s:%d: %q: %s\n", f.file, f.line, f.words, f.better)
		counts[f.better]++
	}
	if len(findings) == 0 {
		return
	}
	fmt.Printf("\n%d in all:\n", len(findings))
	for _, better := range slices.SortedFunc(maps.Keys(counts), func(a, b string) int { return cmp.Compare(counts[b], counts[a]) }) {
		fmt.Printf("%6d  %s\n", counts[better], better)
	}
}
