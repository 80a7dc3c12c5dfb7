// Package envoytest runs a real Envoy in a test.
package envoytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/burnkey/burnkey/internal/testkit"
)

const startTimeout = time.Minute

// Binary returns the path of Envoy: BURNKEY_ENVOY, .tools/envoy/envoy in the module, or envoy in PATH. Without Envoy it skips
// the test, or fails it with CI=true.
func Binary(t testing.TB) string {
	t.Helper()
	if p := os.Getenv("BURNKEY_ENVOY"); p != "" {
		if _, err := os.Stat(p); err != nil {
			t.Fatalf("BURNKEY_ENVOY: %v", err)
		}
		return p
	}
	places := []string{"envoy"}
	if mod, err := exec.Command("go", "env", "GOMOD").Output(); err == nil {
		places = []string{filepath.Join(filepath.Dir(string(mod)), ".tools", "envoy", "envoy"), "envoy"}
	}
	for _, place := range places {
		if p, err := exec.LookPath(place); err == nil {
			return p
		}
	}
	const missing = "no Envoy: set BURNKEY_ENVOY, or put it at .tools/envoy/envoy or into PATH"
	if os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// FreeAddr is testkit.FreeAddr.
func FreeAddr(t testing.TB) string {
	t.Helper()
	return testkit.FreeAddr(t)
}

// Validate has Envoy check a bootstrap and returns the log. If Envoy rejects the bootstrap, the test fails.
func Validate(t testing.TB, bootstrap string) string {
	t.Helper()
	log, err := validate(t, bootstrap)
	if err != nil {
		t.Fatalf("envoy refuses the configuration: %v\n%s", err, log)
	}
	return log
}

// Refused has Envoy check a bootstrap and returns the log. If Envoy accepts the bootstrap, the test fails.
func Refused(t testing.TB, bootstrap string) string {
	t.Helper()
	log, err := validate(t, bootstrap)
	if exit := new(exec.ExitError); !errors.As(err, &exit) {
		t.Fatalf("envoy does not refuse the configuration: %v\n%s", err, log)
	}
	return log
}

func validate(t testing.TB, bootstrap string) (log string, err error) {
	t.Helper()
	file := write(t, bootstrap)
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, Binary(t), "--mode", "validate", "-c", file, "--log-level", "warn").CombinedOutput()
	return string(out), err
}

// An Envoy is a running Envoy.
type Envoy struct {
	admin string
	log   *buffer
	done  chan struct{}
}

// Start runs Envoy until the test ends, and returns once Envoy is ready. The bootstrap must have an admin
// address.
func Start(t testing.TB, bootstrap string) *Envoy {
	t.Helper()
	e := &Envoy{admin: adminAddress(t, bootstrap), log: new(buffer), done: make(chan struct{})}
	cmd := exec.Command(Binary(t), "-c", write(t, bootstrap),
		"--disable-hot-restart", "--concurrency", "1", "--log-level", "warn", "--file-flush-interval-msec", "50")
	cmd.Stdout, cmd.Stderr = e.log, e.log
	if err := cmd.Start(); err != nil {
		t.Fatalf("start envoy: %v", err)
	}
	go func() {
		defer close(e.done)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-e.done
		if t.Failed() {
			t.Logf("envoy's log:\n%s", e.log)
		}
	})
	testkit.Within(t, startTimeout, "envoy is ready", func() bool {
		select {
		case <-e.done:
			t.Fatal("envoy exited")
		default:
		}
		code, _ := e.get("/ready")
		return code == http.StatusOK
	})
	return e
}

// Log returns the log written so far, from level warning up, with an access log on standard output.
func (e *Envoy) Log() string { return e.log.String() }

// Stats returns the value of a counter or gauge, or 0 if Envoy does not have it yet.
func (e *Envoy) Stats(t testing.TB, name string) int {
	t.Helper()
	filter := url.Values{"filter": {"^" + regexp.QuoteMeta(name) + "$"}}
	code, body := e.get("/stats?" + filter.Encode())
	if code != http.StatusOK {
		t.Fatalf("envoy's /stats answers %d", code)
	}
	value, ok := strings.CutPrefix(strings.TrimSpace(body), name+": ")
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		t.Fatalf("stat %s: %v", name, err)
	}
	return n
}

func (e *Envoy) get(path string) (code int, body string) {
	client := http.Client{Timeout: 30 * time.Second}
	resp, err := client.Get("http://" + e.admin + path)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

func write(t testing.TB, bootstrap string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "envoy.yaml")
	if err := os.WriteFile(file, []byte(bootstrap), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func adminAddress(t testing.TB, bootstrap string) string {
	t.Helper()
	var b struct {
		Admin struct {
			Address struct {
				Socket struct {
					Address string `yaml:"address"`
					Port    int    `yaml:"port_value"`
				} `yaml:"socket_address"`
			} `yaml:"address"`
		} `yaml:"admin"`
	}
	if err := yaml.Unmarshal([]byte(bootstrap), &b); err != nil {
		t.Fatalf("bootstrap: %v", err)
	}
	if b.Admin.Address.Socket.Port == 0 {
		t.Fatal("envoytest: the bootstrap has no admin address")
	}
	return net.JoinHostPort(b.Admin.Address.Socket.Address, fmt.Sprint(b.Admin.Address.Socket.Port))
}

// buffer is a bytes.Buffer that a test can read while a process writes to it.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// patience has pairs of times within a line, as Envoy is rendered and as tests take them.
var patience = []string{" timeout: 0.5s", " timeout: 5s", " timeout: 0.25s", " timeout: 5s", "max_interval: 0.5s", "max_interval: 5s"}

var patient = strings.NewReplacer(append(patience, "timeout: 1s\n      interval: 2s", "timeout: 5s\n      interval: 2s")...)

// Patient returns a configuration of Envoy that waits longer for burnkey gateway, which on a loaded machine can be late without
// being unwell.
func Patient(config string) string { return patient.Replace(config) }

// PatientProgram returns a folder with a program "envoy": Envoy that waits longer, as Patient has it, given the flag -c first.
// Only its health checks keep their time.
func PatientProgram(t testing.TB) string {
	t.Helper()
	dir, edits := t.TempDir(), ""
	for i := 0; i < len(patience); i += 2 {
		edits += fmt.Sprintf(" -e 's/%s/%s/'", patience[i], patience[i+1])
	}
	script := fmt.Sprintf(`#!/usr/bin/env bash
set -euo pipefail
if [ "$1" = -c ]; then
	sed%s "$2" > "$2.patient.yaml"
	set -- -c "$2.patient.yaml" "${@:3}"
fi
exec %q "$@"
`, edits, Binary(t))
	testkit.Check(t, os.WriteFile(filepath.Join(dir, "envoy"), []byte(script), 0o755))
	return dir
}
