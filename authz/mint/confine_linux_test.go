package mint

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/burnkey/burnkey/authz/mint/burn"
	"github.com/burnkey/burnkey/internal/confined"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
)

// nobody is the user of the processes if the test runs as root, since the checks can't tell root's own
// processes apart.
const nobody = 65534

// waiting starts a process that waits for its standard input, and returns its pid and the pipe to write to.
func waiting(t *testing.T, command func(context.Context) *exec.Cmd, out io.Writer) (*exec.Cmd, *io.PipeWriter) {
	t.Helper()
	in, feed := io.Pipe()
	cmd := command(context.WithoutCancel(t.Context()))
	cmd.Stdin, cmd.Stdout = in, out
	if os.Geteuid() == 0 {
		if cmd.SysProcAttr == nil {
			cmd.SysProcAttr = &syscall.SysProcAttr{}
		}
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = feed.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd, feed
}

const self = "/proc/self/exe"

// plain is a command without confinement. Every check must fail on it, so that none passes by accident.
func plain(ctx context.Context) *exec.Cmd {
	cmd := exec.CommandContext(ctx, self)
	cmd.Args[0] = "idle"
	return cmd
}

func TestConfinement(t *testing.T) {
	t.Setenv("BURNKEY_DATABASE", "postgres://user:password@db")
	allowCoreDumps(t)
	leaked := leak(t)

	control, _ := waiting(t, plain, io.Discard)
	testkit.Eventually(t, "the control runs", func() bool { return len(descriptors(t, control.Process.Pid)) > 2 })
	m := newMinter(t, Options{})
	var out bytes.Buffer
	cmd, feed := waiting(t, m.command, &out)
	pid := cmd.Process.Pid
	// The priority is set last, so now the process is completely hardened.
	testkit.Eventually(t, "the process is hardened", func() bool { return hardenedThread(t, pid) != "" })

	for _, check := range confinements {
		t.Run(check.name, func(t *testing.T) {
			if got := check.confined(t, pid, leaked); !got {
				t.Error("a minting process is not so confined")
			}
			if check.confined(t, control.Process.Pid, leaked) {
				t.Error("so is any process: this shows nothing")
			}
		})
	}
	// Making a key proves that the inspected process is a minting process.
	if _, err := feed.Write([]byte{burn.Tombstone}); err != nil {
		t.Fatal(err)
	}
	_ = feed.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := jwks.FromModulus(out.Bytes()); err != nil {
		t.Error(err)
	}
}

var confinements = []struct {
	name     string
	confined func(t *testing.T, pid int, leaked string) bool
}{
	{"no environment", func(t *testing.T, pid int, _ string) bool {
		if os.Geteuid() != 0 {
			t.Skip("who could read it is root alone")
		}
		return len(read(t, pid, "environ")) == 0
	}},
	{"no core dump", func(t *testing.T, pid int, _ string) bool {
		var ours unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_CORE, &ours); err != nil || ours.Max == 0 {
			t.Skip("no process here may dump core: ", err)
		}
		for line := range strings.Lines(string(read(t, pid, "limits"))) {
			if rest, ok := strings.CutPrefix(line, "Max core file size"); ok {
				return slices.Equal(strings.Fields(rest), []string{"0", "0", "bytes"})
			}
		}
		return false
	}},
	// Files below /proc of a process that is not dumpable belong to root, so the user of the process can't open
	// its memory (man 5 proc).
	{"not dumpable", func(t *testing.T, pid int, _ string) bool {
		info, err := os.Stat(proc(pid, "mem"))
		if err != nil {
			t.Fatal(err)
		}
		return info.Sys().(*syscall.Stat_t).Uid == 0
	}},
	{"no new privileges, for the thread that gives way", func(t *testing.T, pid int, _ string) bool {
		thread := hardenedThread(t, pid)
		return thread != "" && strings.Contains(string(read(t, pid, "task", thread, "status")), "\nNoNewPrivs:\t1\n")
	}},
	{"a process group of its own", func(t *testing.T, pid int, _ string) bool {
		return stat(t, pid)[2] == strconv.Itoa(pid)
	}},
	{"no working directory", func(t *testing.T, pid int, _ string) bool {
		dir, err := os.Readlink(proc(pid, "cwd"))
		if err != nil {
			t.Skip("not allowed to look: ", err)
		}
		return dir == "/"
	}},
	{"no descriptor that was open here", func(t *testing.T, pid int, leaked string) bool {
		open := descriptors(t, pid)
		return !slices.Contains(slices.Collect(values(open)), leaked)
	}},
	{"pipes and its runtime's own descriptors alone", func(t *testing.T, pid int, _ string) bool {
		for fd, target := range descriptors(t, pid) {
			pipe := fd <= 1 && strings.HasPrefix(target, "pipe:") || fd == 2 && target == os.DevNull
			// Go's runtime itself opens files for polling and for the CPU limit of its cgroup.
			own := strings.HasPrefix(target, "anon_inode:") || strings.HasPrefix(target, "/sys/fs/cgroup/")
			if !pipe && !own {
				t.Logf("process %d has %d -> %s", pid, fd, target)
				return false
			}
		}
		return true
	}},
}

// leak opens a file without close-on-exec, as programs in other languages do.
func leak(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "inheritable")
	fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_CREAT, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	return path
}

// If the kernel can't mark all files in one call, they are marked one by one.
func TestSealEach(t *testing.T) {
	leaked := leak(t)
	before, _ := waiting(t, plain, io.Discard)
	if err := confined.SealEach(); err != nil {
		t.Fatal(err)
	}
	after, _ := waiting(t, plain, io.Discard)
	has := func(cmd *exec.Cmd) bool {
		return slices.Contains(slices.Collect(values(descriptors(t, cmd.Process.Pid))), leaked)
	}
	testkit.Eventually(t, "the file is inherited before", func() bool { return has(before) })
	testkit.Eventually(t, "the second runs", func() bool { return len(descriptors(t, after.Process.Pid)) > 2 })
	if has(after) {
		t.Error("the file is inherited after")
	}
}

// allowCoreDumps raises the soft limit on core dumps, which child processes inherit, to the hard limit.
func allowCoreDumps(t *testing.T) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: old.Max, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Setrlimit(unix.RLIMIT_CORE, &old) })
}

func proc(pid int, path ...string) string {
	return filepath.Join(append([]string{"/proc", strconv.Itoa(pid)}, path...)...)
}

func read(t *testing.T, pid int, path ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(proc(pid, path...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// stat returns the fields of /proc/PID/stat from the third field on, the state.
func stat(t *testing.T, pid int, path ...string) []string {
	t.Helper()
	return statFields(string(read(t, pid, append(path, "stat")...)))
}

func statFields(text string) []string {
	return strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
}

// hardenedThread returns the thread with the niceness of a minting process, or "": on Linux, each thread has
// its own niceness.
func hardenedThread(t *testing.T, pid int) string {
	t.Helper()
	threads, err := os.ReadDir(proc(pid, "task"))
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		if stat(t, pid, "task", thread.Name())[19-3] == strconv.Itoa(burn.Niceness) {
			return thread.Name()
		}
	}
	return ""
}

// givesWay reports whether a process or thread has the niceness of a minting process.
func givesWay(t *testing.T, pid int, path ...string) bool {
	t.Helper()
	return stat(t, pid, path...)[19-3] == strconv.Itoa(burn.Niceness)
}

// A minting process has a low priority from its start, and so do the threads that it starts.
func TestGivesWayFromTheStart(t *testing.T) {
	cmd, _ := waiting(t, plain, io.Discard)
	pid := cmd.Process.Pid
	if givesWay(t, pid) {
		t.Fatal("so does any process: this shows nothing")
	}
	burn.GiveWay(pid)
	if !givesWay(t, pid) {
		t.Error("it does not")
	}
	burn.GiveWay(pid) // as the process does once more
}

// If a process ends early, the error has its exit status.
func TestOneKeyTellsTheStatus(t *testing.T) {
	if _, err := oneKey(exec.Command(self+"-missing", "x"), Claims{}); err == nil {
		t.Error("a program that is missing was run")
	}
	var exit *exec.ExitError
	m := newMinter(t, Options{})
	m.binary = role(t, "crash")
	if _, err := oneKey(m.command(t.Context()), Claims{}); !errors.As(err, &exit) || exit.ExitCode() != 2 {
		t.Errorf("got %v", err)
	}
}

// descriptors returns the open files of a process.
func descriptors(t *testing.T, pid int) map[int]string {
	t.Helper()
	entries, err := os.ReadDir(proc(pid, "fd"))
	if err != nil {
		t.Skip("not allowed to look: ", err)
	}
	open := make(map[int]string)
	for _, entry := range entries {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		if target, err := os.Readlink(proc(pid, "fd", entry.Name())); err == nil {
			open[fd] = target
		}
	}
	return open
}

func values(m map[int]string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, v := range m {
			if !yield(v) {
				return
			}
		}
	}
}
