package testkit

import (
	"os"
	"strings"
	"testing"
)

// Generated compares the part of a document between the lines `<!-- generated: NAME -->` and `<!-- end: NAME -->`
// with the text. With BURNKEY_WRITE=true, which `go generate` sets, it writes the text there instead.
func Generated(t testing.TB, file, name, text string) {
	t.Helper()
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- generated: "+name+" -->\n", "<!-- end: "+name+" -->\n"
	before, rest, found := strings.Cut(string(old), begin)
	part, after, ended := strings.Cut(rest, end)
	switch text = "\n" + strings.TrimSpace(text) + "\n\n"; {
	case !found || !ended:
		t.Fatalf("%s: the lines %q and %q are missing", file, begin, end)
	case part == text:
	case os.Getenv("BURNKEY_WRITE") != "true":
		t.Errorf("%s: the part %q is out of date: run make generate", file, name)
	default:
		Check(t, os.WriteFile(file, []byte(before+begin+text+end+after), 0o644))
	}
}
