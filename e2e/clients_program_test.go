package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A judge is a running client that verifies tokens. The reason is empty if it accepts the token.
type judge interface {
	judge(token string) (reason string)
}

// programPatience is the maximum time for a verdict: some clients wait for a server that is away.
const programPatience = time.Minute

// A program is a client's process. It reads one token a line, and answers each with the line "accepted" or "refused REASON".
type program struct {
	mu    sync.Mutex // held until the program has judged a token
	in    io.Writer
	lines chan string // closed once the process has ended
	gone  error       // says why no further verdict can come
	log   *tail
}

// startProgram runs a program until the test ends, or until stop is called.
func startProgram(t *testing.T, env, argv []string) (p *program, stop func()) {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = env
	in, err := cmd.StdinPipe()
	check(t, err)
	out, err := cmd.StdoutPipe()
	check(t, err)
	p = &program{in: in, lines: make(chan string, 16), log: new(tail)}
	cmd.Stderr = p.log
	check(t, cmd.Start())
	go func() {
		defer close(p.lines)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			if line := scanner.Text(); line == "accepted" || strings.HasPrefix(line, "refused") {
				p.lines <- line
			}
		}
		_ = cmd.Wait() // the missing verdict says enough
	}()
	stop = func() {
		in.Close()
		_ = cmd.Process.Signal(syscall.SIGTERM) // may be gone; a gateway also ends its children
	}
	t.Cleanup(stop)
	return p, stop
}

func (p *program) judge(token string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone == nil {
		_, _ = io.WriteString(p.in, token+"\n") // without an answer, the program has ended
		select {
		case line, ok := <-p.lines:
			if ok {
				return reasonOf(line)
			}
			text := string(p.log.text)
			p.gone = fmt.Errorf("the program ended: %s", text[max(0, len(text)-600):])
		case <-time.After(programPatience):
			p.gone = fmt.Errorf("no verdict within %s", programPatience)
		}
	}
	return p.gone.Error()
}

func reasonOf(line string) string {
	if line == "accepted" {
		return ""
	}
	if reason := strings.TrimSpace(strings.TrimPrefix(line, "refused")); reason != "" {
		return reason
	}
	return "no reason"
}
