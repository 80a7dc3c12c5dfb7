package e2e_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// docsBlock is a fenced code block of a page of the documentation.
type docsBlock struct {
	page     string // path of the page, from the top of the repository
	line     int    // of the opening fence
	language string
	text     string
	marks    map[string]string // markers above the block, such as "not run", with their values
	output   *docsBlock        // for a shell block: the block that shows what it prints
}

func (b *docsBlock) String() string { return fmt.Sprintf("%s:%d", b.page, b.line) }

// docsPage is a page of the documentation.
type docsPage struct {
	name   string
	setup  string // name of the setup that runs before the first block, or empty
	blocks []*docsBlock
}

var (
	fence = regexp.MustCompile("^( *)```([a-z]*)$")
	// anyFence also matches those that a reader's program might take for a block, and parsePage does not.
	anyFence = regexp.MustCompile("^[ >\t]*(```|~~~)")
	marker   = regexp.MustCompile(`^ *<!-- ([a-z ]+?)(?:: (.*))? -->$`)
	// markers are the known comments, and whether each has a value.
	markers = map[string]bool{"setup": true, "not run": true, "needs": true, "file": true, "keeps running": false}
)

// docsLanguages are those of blocks.
var docsLanguages = []string{
	"sh", "text", "go", "python", "javascript", "java", "ruby", "rust", "perl", "lua", "json", "yaml", "toml", "nginx", "haproxy", "apache",
}

// parsePage reads a page with its blocks and markers.
func parsePage(name, text string) (*docsPage, error) {
	page, marks, between := &docsPage{name: name}, map[string]string{}, 0
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if found := marker.FindStringSubmatch(line); found != nil && !strings.HasPrefix(found[1], "generated") && found[1] != "end" {
			hasValue, known := markers[found[1]]
			switch {
			case !known || hasValue != (found[2] != ""):
				return nil, fmt.Errorf("%s:%d: unknown marker, or its value is missing: %s", name, i+1, line)
			case found[1] == "setup" && docsSetups[found[2]] == "":
				return nil, fmt.Errorf("%s:%d: unknown setup %q", name, i+1, found[2])
			case found[1] == "setup":
				page.setup = found[2]
			default:
				marks[found[1]] = found[2]
			}
			continue
		}
		open := fence.FindStringSubmatch(line)
		if open == nil && anyFence.MatchString(line) {
			return nil, fmt.Errorf("%s:%d: a block begins with three backquotes and one word of a-z: %s", name, i+1, line)
		}
		if open == nil {
			if strings.TrimSpace(line) != "" {
				between++
				if len(marks) > 0 {
					return nil, fmt.Errorf("%s:%d: a marker must be right above a block", name, i+1)
				}
			}
			continue
		}
		b := &docsBlock{page: name, line: i + 1, language: open[2], marks: marks}
		for i++; i < len(lines) && !strings.HasPrefix(strings.TrimSpace(lines[i]), "```"); i++ {
			b.text += strings.TrimPrefix(lines[i], open[1]) + "\n"
		}
		if i == len(lines) {
			return nil, fmt.Errorf("%s: the block has no end", b)
		}
		if last := len(page.blocks) - 1; b.language == "text" && last >= 0 && between <= 1 && page.blocks[last].runs() {
			page.blocks[last].output = b
		}
		page.blocks = append(page.blocks, b)
		marks, between = map[string]string{}, 0
	}
	return page, page.check(text)
}

// runs reports whether the block has commands that the tests run.
func (b *docsBlock) runs() bool {
	_, skipped := b.marks["not run"]
	return b.language == "sh" && !skipped
}

// check returns an error about the first block that breaks a rule.
func (p *docsPage) check(text string) error {
	if p.setup != "" && !strings.Contains(text, "tutorial.md#the-set-up-of-the-examples") {
		return fmt.Errorf("%s: readers need a link to the set-up of the examples, in the tutorial", p.name)
	}
	for _, b := range p.blocks {
		_, isFile := b.marks["file"]
		_, foreground := b.marks["keeps running"]
		_, skipped := b.marks["not run"]
		switch {
		case !slices.Contains(docsLanguages, b.language):
			return fmt.Errorf("%s: unknown language %q: write ```sh for commands, and ```text for what they print", b, b.language)
		case foreground && docsListen.FindString(b.text) == "":
			return fmt.Errorf("%s: commands that keep running must contain `listen HOST:PORT`, for which the test waits", b)
		case isFile || skipped:
		case b.language == "go" && !strings.Contains("\n"+b.text, "\npackage "):
			return fmt.Errorf("%s: a block of Go must be a complete file, so that it compiles", b)
		case b.language == "java":
			return fmt.Errorf("%s: a block of Java must be a file that a block of commands compiles", b)
		}
	}
	return nil
}

// readPage parses a file of the repository.
func readPage(name string) (*docsPage, error) {
	text, err := os.ReadFile("../" + name)
	if err != nil {
		return nil, err
	}
	return parsePage(name, string(text))
}

// matches reports whether the output is as the block shows: … stands for any text in a line, and a line that is
// only … for any number of lines.
func (b *docsBlock) matches(output string) bool {
	pattern := `\A`
	for line := range strings.Lines(strings.TrimSpace(b.text) + "\n") {
		if line = strings.TrimRight(line, " \n"); strings.TrimSpace(line) == "…" {
			pattern += `(?:.*\n)*?`
			continue
		}
		parts := strings.Split(line, "…")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		pattern += strings.Join(parts, ".*") + ` *\n`
	}
	return regexp.MustCompile(pattern + `\z`).MatchString(strings.TrimSpace(strings.ReplaceAll(output, "\r\n", "\n")) + "\n")
}
