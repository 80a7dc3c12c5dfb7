package envoytest

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// A RouteCase is a line of routes.txt.
type RouteCase struct {
	Method, Target   string
	Without, WithKey int // status
}

// RouteCases reads a file with cases, one a line.
func RouteCases(t testing.TB, file string) (cases []RouteCase) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) != 4 {
			continue
		}
		without, err1 := strconv.Atoi(fields[2])
		with, err2 := strconv.Atoi(fields[3])
		if err1 == nil && err2 == nil {
			cases = append(cases, RouteCase{fields[0], fields[1], without, with})
		}
	}
	if len(cases) == 0 {
		t.Fatalf("%s has no cases", file)
	}
	return cases
}
