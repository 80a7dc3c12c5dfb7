// Package e2e_test drives the real binary from outside. Its tests are named TestE2E…; if a component is
// missing, they skip and name it. Tests that mostly wait run in parallel, after the tests that use whole
// processors.
package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz/portal/portaltest"
	"github.com/burnkey/burnkey/internal/testkit"
)

func TestMain(m *testing.M) {
	if os.Getenv(holdVariable) != "" {
		os.Exit(hold())
	}
	dir, err := os.MkdirTemp("", "burnkey-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buildDir = dir
	code := portaltest.Main(m).Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

var (
	buildDir string

	// built builds the binary once, when a test first needs it.
	built = sync.OnceValues(func() (string, error) {
		path := filepath.Join(buildDir, "burnkey")
		cmd := exec.Command("go", "build", "-buildvcs=false", "-o", path, "../cmd/burnkey")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("go build: %w\n%s", err, out)
		}
		return path, nil
	})
)

// burnkey returns the path of the binary. This is BURNKEY_BIN if set; otherwise the binary is built.
func burnkey(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("BURNKEY_BIN"); path != "" {
		if _, err := os.Stat(path); err != nil || !filepath.IsAbs(path) {
			t.Fatalf("BURNKEY_BIN: must be the absolute path of a file: %v", err)
		}
		return path
	}
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// python returns the path of an interpreter with PyJWT and joserfc: BURNKEY_PYTHON, or the interpreter in
// .tools.
func python(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("BURNKEY_PYTHON"); path != "" {
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("BURNKEY_PYTHON: %v", err)
		}
		return path
	}
	path, err := filepath.Abs(filepath.Join("..", ".tools", "python", "bin", "python"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		absent(t, "no Python with JWT libraries: set BURNKEY_PYTHON or run make python")
	}
	return path
}

// absent skips a test because a component is missing. If CI is "true", it fails the test, since a run without
// the component would show nothing.
func absent(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// scale returns the number in an environment variable. By default it returns normal, or short with -short.
func scale(t testing.TB, variable string, normal, short int) int {
	t.Helper()
	if text := os.Getenv(variable); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("%s: must be a number from 1", variable)
		}
		return n
	}
	if testing.Short() {
		return short
	}
	return normal
}

// patience is the maximum time of polling. It is generous, since polling usually ends much earlier.
const patience = time.Minute

func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	testkit.Within(t, patience, what, cond)
}

var check = testkit.Check
