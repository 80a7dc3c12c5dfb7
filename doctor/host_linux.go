package doctor

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// lookAtProcesses examines every long-running process of burnkey. Its command line and limits are readable for all users.
func (e *exam) lookAtProcesses(ctx context.Context) {
	swaps := openSwaps()
	entries, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range entries {
		line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil {
			continue // it has ended
		}
		args := bytes.Split(line, []byte{0})
		if len(args) < 2 || filepath.Base(string(args[0])) != "burnkey" || string(args[1]) != "serve" && string(args[1]) != "gateway" {
			continue
		}
		target := "process " + filepath.Base(dir) + " (burnkey " + string(args[1]) + ")"
		if isDumpable(dir) && pause(ctx) && isDumpable(dir) { // a process that has just started is dumpable for 2 ms
			e.add("dumpable", target, "Other processes of its user can open its memory"+coreDumps()+".")
		}
		if len(swaps) > 0 && !locksMemory(dir) {
			e.add("swap", target, "This machine has swap that may be unencrypted ("+strings.Join(swaps, ", ")+"), and the memory is not locked.")
		}
	}
}

// isDumpable reports whether a process can be dumped: the files in /proc of one that can't belong to root. For
// processes of root itself this is unknown, and the answer is no.
func isDumpable(dir string) bool {
	info, err := os.Stat(dir + "/environ")
	if err != nil {
		return false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && owner.Uid != 0
}

// pause waits a moment. It returns false if ctx ends before.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(100 * time.Millisecond):
		return true
	}
}

// coreDumps says where a crash writes the memory of a process.
func coreDumps() string {
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil {
		return ""
	}
	return fmt.Sprintf("; core dumps go to %q", strings.TrimSpace(string(pattern)))
}

// unlimited matches a line of /proc/PID/limits: without that limit, the minting process can lock its memory.
var unlimited = regexp.MustCompile(`(?m)^Max locked memory\s+unlimited\s`)

func locksMemory(dir string) bool {
	limits, err := os.ReadFile(dir + "/limits")
	return err == nil && unlimited.Match(limits)
}

// openSwaps returns the swap areas that are not known to be encrypted, or in memory.
func openSwaps() []string {
	text, err := os.ReadFile("/proc/swaps")
	if err != nil {
		return nil
	}
	return plainSwaps(string(text), func(device string) string {
		real, err := filepath.EvalSymlinks(device)
		if err != nil {
			return ""
		}
		uuid, _ := os.ReadFile("/sys/class/block/" + filepath.Base(real) + "/dm/uuid")
		return string(uuid)
	})
}

// plainSwaps reads /proc/swaps. The function mapper returns the device mapper's id of a device.
func plainSwaps(text string, mapper func(device string) string) (plain []string) {
	for _, line := range slices.Collect(strings.Lines(text))[min(1, strings.Count(text, "\n")):] {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "/dev/zram") || strings.HasPrefix(mapper(fields[0]), "CRYPT-") {
			continue
		}
		plain = append(plain, fields[0])
	}
	return plain
}
