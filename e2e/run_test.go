package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// result is the output of a command.
type result struct {
	stdout, stderr string
	code           int
}

// command is one call of burnkey.
type command struct {
	args  []string
	env   []string
	stdin string
	dir   string
}

// run calls burnkey and waits for it.
func run(t testing.TB, args ...string) result {
	t.Helper()
	return command{args: args}.run(t)
}

func (c command) run(t testing.TB) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, burnkey(t), c.args...)
	cmd.Env = environment(c.env...)
	cmd.Dir = c.dir
	cmd.Stdin = strings.NewReader(c.stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("burnkey %s: %v, %v", c.args[0], err, ctx.Err())
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// ok fails the test unless the command succeeded and printed nothing to standard error.
func (r result) ok(t testing.TB) result {
	t.Helper()
	if r.code != 0 || r.stderr != "" {
		t.Fatalf("exit status %d: %s", r.code, r.stderr)
	}
	return r
}

// fails checks for exit status 1, empty standard output, and the given words on standard error.
func (r result) fails(t testing.TB, words ...string) {
	t.Helper()
	if r.code != 1 || r.stdout != "" {
		t.Errorf("exit status %d, %d bytes on stdout; want 1 and none. stderr: %s", r.code, len(r.stdout), r.stderr)
	}
	says(t, r.stderr, words...)
}

func says(t testing.TB, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%q is not in:\n%s", word, text)
		}
	}
}
