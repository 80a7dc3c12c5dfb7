// Package portaltest runs, in a test, a real Chromium and an OpenID provider
// that nobody here wrote. `make browser` installs both; a test that finds them
// absent is skipped, and fails where CI is "true".
package portaltest

import (
	"bufio"
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
	// actionTimeout is how long the browser waits for what it is told to click
	// or wait for; hangTimeout ends what does not answer at all.
	actionTimeout = 15 * time.Second
	hangTimeout   = 90 * time.Second
)

// A script is a program on Node.js that answers each line of JSON with one.
type script struct {
	mu  sync.Mutex // one request at a time
	in  io.WriteCloser
	out *os.File
	r   *bufio.Reader
}

// start runs a script until the test ends.
func start(t testing.TB, text string) *script {
	t.Helper()
	dir, node := tools(t)
	log := logFile(t)
	// A script given as an argument imports from the folder it runs in.
	cmd := exec.Command(node, "--input-type=module", "--eval", text)
	cmd.Dir, cmd.Stderr = dir, log
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, w, err := os.Pipe() // and not StdoutPipe, which the end of the script would close
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = w
	err = cmd.Start()
	_ = w.Close() // the script has its own
	if err != nil {
		t.Fatal(err)
	}
	s := &script{in: in, out: out, r: bufio.NewReader(out)}
	t.Cleanup(func() {
		stop(t, cmd, in)
		_ = out.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("what %s wrote to standard error:\n%s", node, text)
		}
	})
	return s
}

// stop closes the script's input, upon which it ends.
func stop(t testing.TB, cmd *exec.Cmd, in io.Closer) {
	_ = in.Close()
	hangs := time.AfterFunc(hangTimeout, func() { _ = cmd.Process.Kill() })
	defer hangs.Stop()
	if err := cmd.Wait(); err != nil {
		t.Errorf("portaltest: the script: %v", err)
	}
}

func logFile(t testing.TB) *os.File {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	return log
}

// ask sends a request and decodes the result of its answer into result, if that
// is not nil.
func (s *script) ask(request, result any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	line, err := json.Marshal(request)
	if err != nil {
		return err
	}
	if _, err := s.in.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("the script has ended: %w", err)
	}
	if err := s.out.SetReadDeadline(time.Now().Add(hangTimeout)); err != nil {
		return err
	}
	line, err = s.r.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("no answer from the script: %w", err)
	}
	var answer struct {
		Error  string
		Result json.RawMessage
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		return err
	}
	if answer.Error != "" {
		return errors.New(answer.Error)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(answer.Result, result)
}

// tools returns the folder that `make browser` fills, and the Node.js to use:
// the one in there, else that in PATH.
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

// chromium returns the path of the browser: BURNKEY_CHROMIUM, or one in PATH.
func chromium(t testing.TB) string {
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
