package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// runHere runs the benchmarks with a temporary directory and without a cache.
func runHere(t *testing.T, args ...string) (out string, scratch string, err error) {
	t.Helper()
	scratch = t.TempDir()
	var text bytes.Buffer
	err = run(t.Context(), append(args, "--scratch", scratch, "--primes", ""), &text)
	return text.String(), scratch, err
}

func TestRunReports(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("no openssl")
	}
	results := t.TempDir()
	out, scratch, err := runHere(t, append(here(t), "--quick", "--only", "verify", "--sizes", "1", "--out", results)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, word := range map[string]string{"README.md": "not measured", "verify.md": "a good token, first"} {
		text, err := os.ReadFile(filepath.Join(results, name))
		if err != nil || !strings.Contains(string(text), word) {
			t.Errorf("%s: %v, no %q in:\n%s", name, err, word, text)
		}
	}
	if !strings.Contains(out, "ran, and every answer was right") {
		t.Errorf("the progress does not say so at its end:\n%s", out)
	}
	if left, _ := os.ReadDir(scratch); len(left) > 0 {
		t.Errorf("%d things are left behind", len(left))
	}
}

// TestRunFails uses a burnkey that cannot serve.
func TestRunFails(t *testing.T) {
	no, err := exec.LookPath("false")
	if err != nil {
		t.Skip("no program that fails")
	}
	out, scratch, err := runHere(t, "--burnkey", no, "--quick", "--only", "change", "--sizes", "1")
	if err == nil || !strings.Contains(err.Error(), "server ended before it was ready") {
		t.Errorf("%v\n%s", err, out)
	}
	if !strings.Contains(out, "FAILED") || !strings.Contains(out, "some parts did not run") || strings.Contains(out, "was right") {
		t.Errorf("the progress does not say so:\n%s", out)
	}
	if left, _ := os.ReadDir(scratch); len(left) > 0 {
		t.Errorf("%d things are left behind", len(left))
	}
}
