package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

// machine is where a run was made, in words that name no host.
type machine struct{ hardware, system, versions string }

func describe(ctx context.Context, o options) machine {
	cpu, _ := os.ReadFile("/proc/cpuinfo")
	memory, _ := os.ReadFile("/proc/meminfo")
	release, _ := os.ReadFile("/etc/os-release")
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	m := machine{
		hardware: fmt.Sprintf("%d cores of %s, %d GB of memory", runtime.NumCPU(), processor(cpu),
			(number(memory, "MemTotal:")<<10+5e8)/1e9),
		system: fmt.Sprintf("%s, Linux %s, %s", field(release, "PRETTY_NAME="), majorMinor(kernel), runtime.GOARCH),
	}
	versions := []string{strings.Replace(runtime.Version(), "go", "Go ", 1)}
	for _, p := range []struct {
		name, program, flag string
	}{{"Envoy", o.envoy, "--version"}, {"nginx", "nginx", "-v"}, {"OpenSSL", "openssl", "version"}, {"burnkey", o.burnkey, "--version"}} {
		if v := versionOf(ctx, p.program, p.flag); v != "" {
			versions = append(versions, p.name+" "+v)
		}
	}
	m.versions = strings.Join(versions, ", ")
	return m
}

// processor returns the family of a CPU: its model, with the vendor's numbers.
func processor(cpuinfo []byte) string {
	return fmt.Sprintf("%s (family %s, model %s)", field(cpuinfo, "model name\t"), field(cpuinfo, "cpu family\t"), field(cpuinfo, "model\t"))
}

// field returns the value after a name at the beginning of a line, or "?".
func field(text []byte, name string) string {
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name); ok {
			return strings.Trim(value, " \t\n:\"")
		}
	}
	return "?"
}

// number returns the number that a field begins with, or 0.
func number(text []byte, name string) int64 {
	n, _ := strconv.ParseInt(strings.Fields(field(text, name) + " ?")[0], 10, 64)
	return n
}

func majorMinor(release []byte) string {
	parts := strings.SplitN(strings.TrimSpace(string(release)), ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}

var versionNumber = regexp.MustCompile(`\d+\.\d+\.\d+[a-z]?`)

// versionOf runs a program and returns its version; "" if it is missing or prints none.
func versionOf(ctx context.Context, program, flag string) string {
	if program == "" {
		return ""
	}
	cmd := exec.CommandContext(ctx, program, flag)
	cmd.Env = environment()
	text, err := cmd.CombinedOutput() // nginx prints it on standard error
	if err != nil {
		return ""
	}
	if v := versionNumber.Find(text); v != nil {
		return string(v)
	}
	if bytes.Contains(text, []byte("burnkey")) { // built between releases
		fields := strings.Fields(string(text))
		return fields[len(fields)-1]
	}
	return ""
}
