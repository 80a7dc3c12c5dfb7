package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// docsLeaving is the maximum time in which the page's processes end.
const docsLeaving = 20 * time.Second

// leavesNothing kills the shell's process group. If a process of the page has left that group, for example by setsid, it
// fails the test and kills that process, too.
func (r *docsRun) leavesNothing(shell int) {
	r.t.Helper()
	if err := syscall.Kill(-shell, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		r.t.Errorf("%s: kill what it started: %v", r.page.name, err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(docsLeaving); time.Now().Before(until) && len(r.processes()) > 0; {
		<-tick.C
	}
	for pid, name := range r.processes() {
		r.t.Errorf("%s: still runs at the end of the page: %s", r.page.name, name)
		_ = syscall.Kill(pid, syscall.SIGKILL) // may be gone
	}
}

// processes returns the processes that the page started: those with its environment, or in its folder.
func (r *docsRun) processes() map[int]string {
	found := map[int]string{}
	dirs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is good; macOS has no /proc
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		if s := statOf(pid); s.state == "Z" || s.state == "X" {
			continue
		}
		in, _ := os.Readlink(dir + "/cwd")
		env, _ := os.ReadFile(dir + "/environ")
		if in == r.dir || strings.HasPrefix(in, r.dir+"/") || strings.Contains("\x00"+string(env), "\x00"+r.mark()+"\x00") {
			command, _ := os.ReadFile(dir + "/cmdline")
			found[pid] = fmt.Sprintf("%d %s", pid, strings.ReplaceAll(string(command), "\x00", " "))
		}
	}
	return found
}

// mark is a variable in the environment of the page's processes.
func (r *docsRun) mark() string { return "DOCS_PAGE=" + r.dir }
