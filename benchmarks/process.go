package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/burnkey/burnkey/internal/testkit"
)

// process is a running program, which runs until stop is called.
type process struct {
	name string
	log  string // file
	cmd  *exec.Cmd
	done chan struct{}
}

// stopTimeout limits the time that a process has to exit.
const stopTimeout = time.Minute

// startProcess starts a program. Its output goes to a file in dir.
func startProcess(dir, name, program string, args ...string) (*process, error) {
	log, err := os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	p := &process{name: name, log: log.Name(), cmd: exec.Command(program, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.Env = environment()
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for this process only
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait()
	}()
	return p, nil
}

// environment returns this process's environment without the variables that burnkey reads.
func environment() []string {
	var env []string
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "BURNKEY_") {
			env = append(env, pair)
		}
	}
	return env
}

// stop ends the process, by force if necessary, and returns after it has exited.
func (p *process) stop() {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// logTail returns the last lines of the process's log. The server, the gateway and Envoy log no tokens.
func (p *process) logTail() string {
	text, _ := os.ReadFile(p.log)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}

// until waits until `ask` returns true. It returns an error if the process exits first or the time runs out.
func (p *process) until(ctx context.Context, within time.Duration, what string, ask func() bool) error {
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ask() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-p.done:
			return fmt.Errorf("%s ended before %s:\n%s", p.name, what, p.logTail())
		case <-deadline.C:
			return fmt.Errorf("%s: not within %s: %s:\n%s", p.name, within, what, p.logTail())
		}
	}
	return nil
}

// usage is the memory and the processor time that a process has used so far.
type usage struct {
	resident, peak int64 // bytes
	cpu            time.Duration
	called         int64 // bytes passed to write calls
	written        int64 // bytes that went to disks
}

// clockTick is the unit of times in /proc/PID/stat.
const clockTick = 10 * time.Millisecond

func (p *process) usage() (usage, error) { return usageOf(p.cmd.Process.Pid) }

func usageOf(pid int) (u usage, err error) {
	dir := fmt.Sprintf("/proc/%d/", pid)
	status, err1 := os.ReadFile(dir + "status")
	stat, err2 := os.ReadFile(dir + "stat")
	io, err3 := os.ReadFile(dir + "io")
	if err := errors.Join(err1, err2, err3); err != nil {
		return u, err
	}
	u.resident, u.peak = number(status, "VmRSS:")<<10, number(status, "VmHWM:")<<10
	u.called, u.written = number(io, "wchar:"), number(io, "write_bytes:")
	// The process's name, in brackets, may contain spaces. The fields utime and stime are 14 and 15.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 || u.resident == 0 {
		return u, fmt.Errorf("process %d is gone", pid)
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	u.cpu = time.Duration(user+system) * clockTick
	return u, nil
}

// freeAddr returns an address on which no process listens. No other call returns it, even before a process listens.
func freeAddr() (string, error) {
	addr, _, err := freePort()
	return addr, err
}

// held are the ports that were given, until this process ends.
var held struct {
	sync.Mutex
	releases []func() error
}

func freePort() (addr, port string, err error) {
	n, release, err := testkit.FreePort()
	if err != nil {
		return "", "", err
	}
	held.Lock()
	defer held.Unlock()
	held.releases = append(held.releases, release)
	port = strconv.Itoa(n)
	return net.JoinHostPort("127.0.0.1", port), port, nil
}
