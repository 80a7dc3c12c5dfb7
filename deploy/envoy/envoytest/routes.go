package envoytest

import (
	"bufio"
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
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
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
