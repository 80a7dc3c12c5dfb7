package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

// here returns flags in which an existing program stands in for burnkey and Envoy.
func here(t *testing.T) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{"--burnkey", self, "--envoy", self}
}

func TestOptions(t *testing.T) {
	for _, test := range []struct {
		args    string
		sizes   string
		out     string
		command string
	}{
		{"", "[1 8192 65536 262144 1138688]", "docs/benchmarks", "make bench"},
		{"--quick", "[1 2048]", "", "make bench BENCH=--quick"},
		{"--quick --out x", "[1 2048]", "x", "make bench BENCH=--quick"},
		{"--only jwks,verify", "[1 8192 65536 262144 1138688]", "", "make bench BENCH='--only jwks,verify'"},
		{"--sizes 10,5,10", "[5 10]", "", "make bench BENCH='--sizes 5,10'"},
		{"--sizes 7 --quick --out /tmp/x", "[7]", "/tmp/x", "make bench BENCH='--quick --sizes 7'"},
	} {
		o, err := parseOptions(append(here(t), strings.Fields(test.args)...), new(bytes.Buffer))
		if err != nil {
			t.Errorf("%q: %v", test.args, err)
			continue
		}
		if got := fmt.Sprint(o.sizes); got != test.sizes || o.out != test.out || o.command() != test.command {
			t.Errorf("%q: %s into %q by %q, want %s into %q by %q", test.args, got, o.out, o.command(), test.sizes, test.out, test.command)
		}
		if want := map[bool]plan{false: full, true: quick}[o.quick]; o.plan != want {
			t.Errorf("%q: the plan is %+v", test.args, o.plan)
		}
	}
}

func TestOptionsThatAreRefused(t *testing.T) {
	for args, want := range map[string]string{
		"--sizes 0":             "--sizes: \"0\" is not a number from 1 to",
		"--sizes 1,x":           "--sizes: \"x\"",
		"--sizes 4000001":       "4000000",
		"--only cpu":            "--only: \"cpu\" is not one of gateway,",
		"--scratch /nowhere/at": "--scratch",
		"--burnkey /nowhere/at": "--burnkey",
		"--envoy /nowhere/at":   "--envoy",
		"--slow":                "slow",
		"quick":                 "\"quick\" is not a flag",
	} {
		_, err := parseOptions(append(here(t), strings.Fields(args)...), new(bytes.Buffer))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", args, err, want)
		}
	}
	var out bytes.Buffer
	if _, err := parseOptions([]string{"--help"}, &out); !errors.Is(err, flag.ErrHelp) || !strings.Contains(out.String(), "-quick") {
		t.Errorf("--help: %v, %q", err, out.String())
	}
}

func TestParts(t *testing.T) {
	for only, want := range map[string]int{"": 5, "gateway": 1, "change": 1, "gateway,change": 1, "verify,issuing,jwks": 3} {
		o, err := parseOptions(append(here(t), "--only", only), new(bytes.Buffer))
		if err != nil {
			t.Fatal(err)
		}
		if got := len((&bench{o: o}).parts()); got != want {
			t.Errorf("--only %s: %d parts, want %d", only, got, want)
		}
	}
	b := &bench{o: options{sizes: []int{1, 8192}, only: []string{"gateway"}}}
	if got := fmt.Sprint(b.rungs()); got != "[1 8192]" {
		t.Errorf("rungs without changes: %s", got)
	}
	b.o.only = nil
	if got := fmt.Sprint(b.rungs()); got != "[1 1000 8192]" || len(b.o.sizes) != 2 {
		t.Errorf("rungs: %s", got)
	}
}
