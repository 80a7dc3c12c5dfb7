// Package portaltest provides a real Chromium and an independent OpenID provider for tests. `make
// browser` installs both. If they are missing, a test is skipped, or fails if the environment variable CI
// is "true".
package portaltest

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

const (
	// actionTimeout is how long an action waits for an element or a page.
	actionTimeout = 30 * time.Second
	// hangTimeout limits the wait for an unresponsive script.
	hangTimeout = 90 * time.Second
)

// serve is the end of every script: it reads requests and calls the script's actions.
//
//go:embed serve.mjs
var serve string

// script is a Node.js program that answers requests, each a line of JSON, concurrently. It starts with
// the first request, and all tests of a test binary share it.
type script struct {
	text  string
	start sync.Once
	err   error // of the start

	cmd *exec.Cmd
	in  io.WriteCloser
	out *os.File
	log *os.File // standard error

	mu      sync.Mutex
	last    int                 // id of the last request
	waiting map[int]chan answer // by id; nil: the script has ended
}

type answer struct {
	ID     int
	Error  string
	Result json.RawMessage
}

// Main wraps a package's tests for TestMain: after the tests, it stops Chromium and the OpenID provider.
func Main(m *testing.M) interface{ Run() int } { return tests{m} }

type tests struct{ *testing.M }

func (t tests) Run() int {
	code := t.M.Run()
	for _, s := range []*script{chromium, provider} {
		if err := s.stop(); err != nil {
			fmt.Fprintln(os.Stderr, "portaltest:", err)
			code = 1
		}
	}
	return code
}

// do sends a request and decodes the answer into result, if result is not nil.
func (s *script) do(t testing.TB, r request, result any) error {
	t.Helper()
	dir, node := tools(t)
	s.start.Do(func() { s.err = s.run(dir, node) })
	if s.err != nil {
		return s.err
	}
	return s.ask(r, result)
}

func (s *script) run(dir, node string) (err error) {
	if s.log, err = os.CreateTemp("", "portaltest-*.log"); err != nil {
		return err
	}
	// A script passed with --eval resolves its imports from the working directory.
	s.cmd = exec.Command(node, "--input-type=module", "--eval", s.text+serve)
	s.cmd.Dir, s.cmd.Stderr = dir, s.log
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return err
	}
	out, w, err := os.Pipe() // not StdoutPipe, which the end of the script would close
	if err != nil {
		return err
	}
	s.out, s.cmd.Stdout, s.waiting = out, w, make(map[int]chan answer)
	err = s.cmd.Start()
	_ = w.Close() // the script has its own
	if err == nil {
		go s.receive()
	}
	return err
}

// receive delivers the answers to the callers until the script ends.
func (s *script) receive() {
	answers := json.NewDecoder(bufio.NewReader(s.out))
	for {
		var a answer
		err := answers.Decode(&a)
		s.mu.Lock()
		if err != nil {
			for _, reply := range s.waiting {
				close(reply)
			}
			s.waiting = nil
			s.mu.Unlock()
			return
		}
		if reply := s.waiting[a.ID]; reply != nil {
			reply <- a
			delete(s.waiting, a.ID)
		}
		s.mu.Unlock()
	}
}

func (s *script) ask(r request, result any) error {
	reply, err := s.send(r)
	if err != nil {
		return err
	}
	select {
	case a, ok := <-reply:
		switch {
		case !ok:
			return errors.New("the script has ended")
		case a.Error != "":
			return errors.New(a.Error)
		case result == nil:
			return nil
		}
		return json.Unmarshal(a.Result, result)
	case <-time.After(hangTimeout):
		return errors.New("no answer from the script")
	}
}

func (s *script) send(r request) (<-chan answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting == nil {
		return nil, errors.New("the script has ended")
	}
	s.last++
	line, err := json.Marshal(request{"id": s.last, "ask": r})
	if err != nil {
		return nil, err
	}
	reply := make(chan answer, 1)
	s.waiting[s.last] = reply
	_, err = s.in.Write(append(line, '\n'))
	return reply, err
}

// explain logs the script's standard error if the test failed.
func (s *script) explain(t testing.TB) {
	if text, _ := os.ReadFile(s.log.Name()); t.Failed() && len(text) > 0 {
		t.Logf("standard error of the script:\n%s", text)
	}
}

// stop closes the script's standard input, which ends the script.
func (s *script) stop() error {
	if s.log != nil {
		defer func() { _, _ = s.log.Close(), os.Remove(s.log.Name()) }()
	}
	if s.cmd == nil || s.cmd.Process == nil {
		return nil
	}
	_ = s.in.Close()
	hangs := time.AfterFunc(hangTimeout, func() { _ = s.cmd.Process.Kill() })
	defer hangs.Stop()
	err := s.cmd.Wait()
	return errors.Join(err, s.out.Close())
}

// tools returns the folder that `make browser` fills and the path of Node.js: in this folder, or else in
// PATH.
func tools(t testing.TB) (dir, node string) {
	t.Helper()
	dir, err := toolsDir()
	if err != nil {
		missing(t, err)
	}
	node = filepath.Join(dir, "node_modules", ".bin", "node")
	if _, err := os.Stat(node); err == nil {
		return dir, node
	}
	node, err = exec.LookPath("node")
	if err != nil {
		missing(t, err)
	}
	return dir, node
}

func toolsDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		tools := filepath.Join(dir, ".tools", "browser")
		if _, err := os.Stat(filepath.Join(tools, "pin.json")); err == nil {
			return tools, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no .tools/browser: run make browser")
		}
		dir = parent
	}
}

// executable returns the path of Chromium: BURNKEY_CHROMIUM, or else a program in PATH.
func executable(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("BURNKEY_CHROMIUM"); path != "" {
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("BURNKEY_CHROMIUM: %v", err)
		}
		return path
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing(t, errors.New("no Chromium: run make browser, or set BURNKEY_CHROMIUM"))
	return ""
}

func missing(t testing.TB, why error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}
