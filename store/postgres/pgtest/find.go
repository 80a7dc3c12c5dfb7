package pgtest

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// oldest is the first major version that store/postgres supports.
const oldest = 15

// find returns the folder of PostgreSQL's binaries. Without PostgreSQL, the test is skipped, or fails if CI is
// "true".
func find(t testing.TB) string {
	t.Helper()
	bin, err := binaries()
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip(err)
	}
	return bin
}

// binaries returns the folder of PostgreSQL's binaries: BURNKEY_POSTGRES, the folder of the postgres in PATH,
// or the newest version where Debian installs them.
func binaries() (string, error) {
	if dir := os.Getenv("BURNKEY_POSTGRES"); dir != "" {
		if major(dir) < oldest {
			return "", fmt.Errorf("BURNKEY_POSTGRES: no postgres and initdb of version %d or later in %s", oldest, dir)
		}
		return dir, nil
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil && major(filepath.Dir(path)) >= oldest {
			return filepath.Dir(path), nil
		}
	}
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // the pattern is good
	slices.SortFunc(dirs, func(a, b string) int { return cmp.Compare(major(b), major(a)) })
	if len(dirs) > 0 && major(dirs[0]) >= oldest {
		return dirs[0], nil
	}
	return "", fmt.Errorf("no PostgreSQL %d or later: install it, or set BURNKEY_POSTGRES to the folder of its binaries", oldest)
}

// major returns the version of the binaries in dir, or 0.
func major(dir string) int {
	if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
		return 0
	}
	out, err := exec.Command(filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return 0
	}
	// The output is "postgres (PostgreSQL) 15.18 (Debian …)"; a beta version is "18beta1".
	fields := strings.Fields(string(out))
	if len(fields) < 3 {
		return 0
	}
	end := strings.IndexFunc(fields[2], func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(fields[2])
	}
	n, _ := strconv.Atoi(fields[2][:end])
	return n
}
