package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
	"github.com/burnkey/burnkey/jwks"
)

const (
	nobody = 65534
	tries  = 30
	// thiefVariable makes the test binary act as a thief that tries to read this process's secrets.
	thiefVariable = "BURNKEY_TEST_THIEF"
)

func init() {
	if target, err := strconv.Atoi(os.Getenv(thiefVariable)); err == nil {
		runtime.LockOSThread() // ptrace belongs to a thread
		steal(target)
		os.Exit(0)
	}
}

// stolen contains what a thief could read, by method.
type stolen struct {
	Ways     map[string]int // successes by method
	Tokens   int            // different tokens in the memory
	Children int            // children of the target that were caught
}

// TestE2ESeize runs another process of the same user. It tries to read the memory of every process that handles
// tokens, and of minting processes between fork and exec.
func TestE2ESeize(t *testing.T) {
	if os.Getuid() != 0 {
		absent(t, "not root: cannot start two processes of another user")
	}
	scope, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope")
	t.Logf("kernel.yama.ptrace_scope: %q, %v", bytes.TrimSpace(scope), err)
	control := asNobody(t, exec.Command("/bin/sleep", "600"))
	possible := thief(t, control, nil)
	t.Logf("a process that does nothing about it: %+v", possible)
	if len(possible.Ways) == 0 {
		t.Fatal("no way works on any process: this would show nothing")
	}

	s := nobodysServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	wantNothing(t, "serve", thief(t, s.pid(), func() {
		for i := range tries {
			admin.mustIssue(t, "acme", "owner", fmt.Sprint("cust_", i))
		}
	}))
	code, metrics := s.get("/metrics")
	if code != 200 || !strings.Contains(metrics, "process_open_fds") || !strings.Contains(metrics, "process_resident_memory_bytes") {
		t.Errorf("the server no longer sees its own /proc: %d", code)
	}

	gateway := asNobody(t, exec.Command(s.binary, "gateway", "--server", s.url, "--workspace", "acme", "--any-audience", "--listen",
		envoytest.FreeAddr(t)))
	wantNothing(t, "gateway", thief(t, gateway, nil))
	verify := exec.Command(s.binary, "verify", "-")
	_, err = verify.StdinPipe()
	check(t, err)
	wantNothing(t, "verify", thief(t, asNobody(t, verify), nil))
}

func wantNothing(t *testing.T, what string, got stolen) {
	t.Helper()
	t.Logf("%s: %+v of %d tries", what, got, tries)
	if len(got.Ways) > 0 || got.Tokens > 0 || got.Children > 0 {
		t.Errorf("%s: another process of its user gets at it", what)
	}
}

// nobodysServer returns a server that runs as the user nobody.
func nobodysServer(t *testing.T) *server {
	t.Helper()
	s := newServer(t)
	s.as, s.binary = &syscall.Credential{Uid: nobody, Gid: nobody}, filepath.Join(s.dir, "burnkey")
	content, err := os.ReadFile(burnkey(t))
	check(t, err)
	check(t, os.WriteFile(s.binary, content, 0o755))
	check(t, os.Chmod(filepath.Dir(s.dir), 0o755)) // t.TempDir's own parent
	check(t, os.Chown(s.dir, nobody, nobody))
	s.start()
	return s
}

// asNobody starts a command as the user nobody. It returns the PID once the process runs the expected program.
func asNobody(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	cmd.Env = environment()
	check(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	pid := cmd.Process.Pid
	if cmd.Path == "/bin/sleep" {
		return pid
	}
	eventually(t, "it is undumpable and may dump no core", func() bool {
		mem, err := os.Stat(fmt.Sprintf("/proc/%d/mem", pid))
		check(t, err)
		limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
		check(t, err)
		return mem.Sys().(*syscall.Stat_t).Uid == 0 && strings.Contains(strings.Join(strings.Fields(string(limits)), " "),
			"Max core file size 0 0 ")
	})
	return pid
}

// thief runs a thief against a process, and meanwhile keeps that process busy.
func thief(t *testing.T, pid int, busy func()) (got stolen) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = environment(thiefVariable + "=" + strconv.Itoa(pid))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	cmd.Stderr = os.Stderr
	stop, err := cmd.StdinPipe()
	check(t, err)
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	if busy != nil {
		busy()
	}
	check(t, stop.Close())
	text, err := io.ReadAll(out)
	check(t, err)
	check(t, cmd.Wait())
	check(t, json.Unmarshal(text, &got))
	if state := statOf(pid).state; state == "" || state == "Z" {
		t.Fatalf("the process that was to be stolen from has ended: %q", state)
	}
	return got
}

// steal is the thief's main function. It attaches to children of the target until standard input ends, then
// tries each method on the target itself.
func steal(target int) {
	got := stolen{Ways: map[string]int{}}
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	got.Children = catchChildren(target, ended)
	for range tries {
		for name, works := range ways {
			if works(target) {
				got.Ways[name]++
			}
		}
	}
	got.Tokens = tokensIn(target)
	if err := json.NewEncoder(os.Stdout).Encode(got); err != nil {
		panic(err)
	}
}

// catchChildren attaches to new children of the target as fast as it can, and detaches again.
func catchChildren(target int, ended <-chan struct{}) (caught int) {
	for last := newestPID(); ; {
		select {
		case <-ended:
			return caught
		default:
		}
		for newest := newestPID(); last < newest; {
			last++
			if statOf(last).parent == target && seize(last) {
				caught++
			}
		}
	}
}

func newestPID() int {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		panic(err)
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text[bytes.LastIndexByte(text, ' ')+1:])))
	return pid
}

// ways are the methods by which a process can access the memory or the descriptors of another.
var ways = map[string]func(pid int) bool{
	"ptrace": seize,
	"process_vm_readv": func(pid int) bool {
		here := make([]byte, 8)
		local := unix.Iovec{Base: &here[0]}
		local.SetLen(len(here))
		for _, r := range regionsOf(pid) {
			remote := unix.RemoteIovec{Base: uintptr(r.from), Len: len(here)}
			if n, err := unix.ProcessVMReadv(pid, []unix.Iovec{local}, []unix.RemoteIovec{remote}, 0); err == nil && n > 0 {
				return true
			}
		}
		// If no memory map is readable, try the address at which programs usually start.
		_, err := unix.ProcessVMReadv(pid, []unix.Iovec{local}, []unix.RemoteIovec{{Base: 0x400000, Len: len(here)}}, 0)
		return err == nil
	},
	"pidfd_getfd": func(pid int) bool {
		process, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			return false
		}
		defer unix.Close(process)
		fd, err := unix.PidfdGetfd(process, 0, 0)
		if err == nil {
			_ = unix.Close(fd)
		}
		return err == nil
	},
	"mem": opens("mem"), "environ": opens("environ"), "maps": opens("maps"), "auxv": opens("auxv"), "pagemap": opens("pagemap"),
	"fd":   func(pid int) bool { _, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid)); return err == nil },
	"exe":  func(pid int) bool { _, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); return err == nil },
	"task": func(pid int) bool { return opens(fmt.Sprintf("task/%d/mem", pid))(pid) },
}

// seize attaches to a process without stopping it, and detaches.
func seize(pid int) bool {
	const seizeRequest, interruptRequest = 0x4206, 0x4207
	if _, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, seizeRequest, uintptr(pid), 0, 0, 0, 0); errno != 0 {
		return false
	}
	_, _, _ = unix.RawSyscall6(unix.SYS_PTRACE, interruptRequest, uintptr(pid), 0, 0, 0, 0)
	_, _ = unix.Wait4(pid, nil, unix.WALL, nil)
	_ = unix.PtraceDetach(pid)
	return true
}

func opens(file string) func(pid int) bool {
	return func(pid int) bool {
		f, err := os.Open(fmt.Sprintf("/proc/%d/%s", pid, file))
		if err == nil {
			_ = f.Close()
		}
		return err == nil
	}
}

// regionsOf returns the readable memory regions of a process, as far as this process can see them.
func regionsOf(pid int) (all []region) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	for line := range strings.Lines(string(text)) {
		var r region
		var mode string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &r.from, &r.to, &mode); n == 3 && mode[0] == 'r' && !strings.Contains(line, "[v") {
			all = append(all, r)
		}
	}
	return all
}

// tokensIn counts the tokens in the readable memory of a process.
func tokensIn(pid int) int {
	found := map[string]bool{}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return 0
	}
	defer mem.Close()
	for _, r := range regionsOf(pid) {
		content := make([]byte, r.to-r.from)
		n, _ := mem.ReadAt(content, int64(r.from))
		for rest := content[:n]; ; {
			i := bytes.Index(rest, []byte(jwks.TokenPrefix))
			if i < 0 {
				break
			}
			rest = rest[i:]
			end := bytes.IndexFunc(rest, func(c rune) bool { return c != '.' && c != '-' && c != '_' && (c < '0' || c > 'z') })
			if token, err := jwks.Parse(string(rest[:max(end, 0)])); err == nil {
				found[token.KID.String()] = true
			}
			rest = rest[len(jwks.TokenPrefix):]
		}
	}
	return len(found)
}
