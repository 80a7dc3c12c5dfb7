package e2e_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// docsPages returns README.md and the pages in docs/, except results of benchmarks.
func docsPages(t testing.TB) (pages []*docsPage) {
	t.Helper()
	names := []string{"README.md"}
	check(t, fs.WalkDir(os.DirFS(".."), "docs", func(name string, _ fs.DirEntry, err error) error {
		if filepath.Ext(name) == ".md" && !strings.HasPrefix(name, "docs/benchmarks/") {
			names = append(names, name)
		}
		return err
	}))
	for _, name := range names {
		page, err := readPage(name)
		if err != nil {
			t.Error(err)
			continue
		}
		pages = append(pages, page)
	}
	return pages
}

// docsPlaces bounds the pages that run at the same time.
var docsPlaces = make(chan struct{}, 3)

// TestE2EDocs runs every block of commands in the documentation, compares what it prints with what the page shows,
// and compiles the other code.
func TestE2EDocs(t *testing.T) {
	t.Parallel()
	counts := map[string]int{}
	for _, page := range docsPages(t) {
		var commands, code []*docsBlock
		for _, b := range page.blocks {
			_, skipped := b.marks["not run"]
			switch {
			case skipped:
				counts["only read"]++
			case b.language == "sh":
				commands = append(commands, b)
				if b.missing() == "" {
					counts["run"]++
				} else {
					counts["program missing"]++
				}
			case docsCompilers[b.language] != nil && b.marks["file"] == "": // commands use files
				code = append(code, b)
				counts["compiled or parsed"]++
			}
			if b.output != nil {
				counts["compared"]++
			}
		}
		if len(commands)+len(code) == 0 {
			continue
		}
		t.Run(strings.TrimSuffix(strings.TrimPrefix(page.name, "docs/"), ".md"), func(t *testing.T) {
			t.Parallel()
			docsPlaces <- struct{}{}
			defer func() { <-docsPlaces }()
			for _, b := range code {
				docsCompilers[b.language](t, b)
			}
			if len(commands) > 0 {
				newDocsRun(t, page).run()
			}
		})
	}
	summary := fmt.Sprintf("blocks of the documentation: %v", counts)
	t.Log(summary)
	// go test shows no log of a test that passes; make prints this file.
	if file := os.Getenv("BURNKEY_BLOCKS"); file != "" {
		t.Cleanup(func() {
			if !t.Failed() {
				check(t, os.WriteFile(file, []byte(summary+"\n"), 0o644))
			}
		})
	}
}

// docsCompilers check a block of code without running it.
var docsCompilers = map[string]func(t *testing.T, b *docsBlock){
	"go": func(t *testing.T, b *docsBlock) { compile(t, b, "x.go", "go", "build", "-o", os.DevNull) },
	"python": func(t *testing.T, b *docsBlock) {
		compile(t, b, "x.py", python(t), "-c", "import sys; compile(open(sys.argv[1]).read(), sys.argv[1], 'exec')")
	},
	"javascript": func(t *testing.T, b *docsBlock) { compile(t, b, "x.mjs", "node", "--check") },
	"toml": func(t *testing.T, b *docsBlock) {
		compile(t, b, "x.toml", python(t), "-c", "import sys, tomllib; tomllib.load(open(sys.argv[1], 'rb'))")
	},
	"json": func(t *testing.T, b *docsBlock) {
		if !json.Valid([]byte(b.text)) {
			t.Errorf("%s: is not JSON", b)
		}
	},
	"yaml": func(t *testing.T, b *docsBlock) {
		if err := yaml.Unmarshal([]byte(b.text), new(any)); err != nil {
			t.Errorf("%s: %v", b, err)
		}
	},
}

// compile runs a command on the block as a file.
func compile(t *testing.T, b *docsBlock, name string, command ...string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	check(t, os.WriteFile(path, []byte(b.text), 0o644))
	cmd := exec.Command(command[0], append(command[1:], path)...)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", b, err, out)
	}
}

// docsFindings is a test that collects errors.
type docsFindings struct {
	testing.TB
	text string
}

func (f *docsFindings) Errorf(format string, args ...any) { f.text += fmt.Sprintf(format, args...) }

// TestE2EDocsFaults checks that a page with a fault fails.
func TestE2EDocsFaults(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"fine":              {"```sh\necho 127.0.0.1:8080 and $((6*7)) more\n```\n\n```text\n127.0.0.1:8080 and … more\n```\n", ""},
		"fine in parts":     {"```sh\na=1\n```\n\n```sh\necho $a; seq 9\n```\n\nIt prints:\n\n```text\n1\n…\n9\n```\n", ""},
		"no server":         {"<!-- keeps running -->\n```sh\ntrue --listen 127.0.0.1:8000\n```\n", "signal: killed"},
		"failing command":   {"```sh\necho before\nfalse\necho after\n```\n", "before"},
		"failing in a pipe": {"```sh\nfalse | cat\n```\n", "exit status 1"},
		"other output":      {"```sh\necho one\n```\n\n```text\ntwo\n```\n", "but the commands print\none"},
		"more output":       {"```sh\necho one; echo two\n```\n\n```text\none\n```\n", "but the commands print\none\ntwo"},
		"background job":    {"```sh\nsleep 1000 &\n```\n", ""},
		"own session": {
			"```sh\nsetsid sh -c 'touch started; exec sleep 1000' &\nuntil [ -e started ]; do sleep 0.01; done\n```\n",
			"still runs at the end of the page",
		},
		"hangs":           {"```sh\necho waiting; sleep 1000\n```\n", "waiting"},
		"unknown setup":   {"<!-- setup: nosuch -->\n```sh\ntrue\n```\n", "unknown setup"},
		"no set-up":       {"<!-- setup: acme -->\n```sh\ntrue\n```\n", "link to the set-up"},
		"unknown marker":  {"<!-- not runs: x -->\n```sh\ntrue\n```\n", "unknown marker"},
		"no reason":       {"<!-- not run -->\n```sh\ntrue\n```\n", "unknown marker"},
		"stray marker":    {"<!-- needs: x -->\nText.\n```sh\ntrue\n```\n", "right above a block"},
		"options changed": {"```sh\nset +e\n```\n\n```sh\nfalse\necho after\n```\n", "exit status 1"},
		"failing job":     {"```sh\nfalse &\nwait $!\n```\n", "exit status 1"},
		"early end":       {"```sh\necho end > current\nexit 0\n```\n", "page.md"},
		"tildes":          {"~~~sh\nfalse\n~~~\n", "three backquotes"},
		"quoted":          {"> ```sh\n> false\n> ```\n", "three backquotes"},
		"no end":          {"```sh\ntrue\n", "has no end"},
		"other language":  {"```zsh\ntrue\n```\n", "unknown language"},
		"unknown port":    {"<!-- keeps running -->\n```sh\nburnkey gatewayy\n```\n", "listen HOST:PORT"},
		"other shell":     {"```bash\ntrue\n```\n", "```sh for commands"},
		"part of Go":      {"```go\nx := 1\n```\n", "a complete file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			page, err := parsePage("page.md", test.text)
			if err != nil {
				if test.want == "" || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%v, want %q", err, test.want)
				}
				return
			}
			found := &docsFindings{TB: t}
			r := newDocsRun(t, page)
			if r.t = found; name == "hangs" || name == "no server" {
				r.limit = 30 * time.Second
			}
			r.run()
			if (test.want == "") != (found.text == "") || !strings.Contains(found.text, test.want) {
				t.Errorf("found %q, want %q", found.text, test.want)
			}
		})
	}
}
