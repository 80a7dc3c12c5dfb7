package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/burnkey/burnkey/authz/mint/burn"
)

// stat is a process's entry in /proc.
type stat struct {
	pid     int
	state   string // T: stopped, Z: dead and not yet waited for
	parent  int
	session int
}

func statOf(pid int) (s stat) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}
	}
	// The name, in the preceding field, is in brackets and may contain spaces.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 4 {
		return stat{}
	}
	parent, _ := strconv.Atoi(fields[1])
	session, _ := strconv.Atoi(fields[3])
	return stat{pid, fields[0], parent, session}
}

// sessionOf returns the live processes of a session, except its leader. For a server, these are the minting
// processes.
func sessionOf(leader int) (pids []int) {
	dirs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is good
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		s := statOf(pid)
		if s.session == leader && pid != leader && s.state != "Z" && s.state != "X" {
			pids = append(pids, pid)
		}
	}
	return pids
}

// isMinting reports whether a process is a minting process.
func isMinting(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && strings.Contains(string(text), "\x00"+burn.Subcommand+"\x00")
}
