package main

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// samples are valid values for each type of flag, other than the defaults.
var samples = map[string]string{
	"string": "x", "int": "7", "float64": "0.5", "bool": "true", "duration": "7s", "stringSlice": "x,y", "stringArray": "x",
	"DURATION": "7m", "TIME": "2026-01-31",
	"FILE": "main.go", "LIMIT": "burst=1/1s", "OBJECT": "{}",
}

// TestEveryFlagHasItsVariable sets each flag of each command by its variable.
func TestEveryFlagHasItsVariable(t *testing.T) {
	n := 0
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
		for _, flags := range []*pflag.FlagSet{cmd.LocalFlags(), cmd.InheritedFlags()} {
			flags.VisitAll(func(f *pflag.Flag) {
				if n++; f.Name != "help" && f.Name != "version" {
					t.Run(cmd.CommandPath()+" --"+f.Name, func(t *testing.T) { takesVariable(t, cmd.CommandPath(), f.Name) })
				}
			})
		}
	}
	visit(rootCommand())
	if n < 30 {
		t.Errorf("only %d flags were found", n)
	}
}

func takesVariable(t *testing.T, path, flag string) {
	// Commands share flag values, so each test uses a new command tree.
	cmd, _, err := rootCommand().Find(strings.Fields(path)[1:])
	if err != nil {
		t.Fatal(err)
	}
	f := cmd.InheritedFlags().Lookup(flag)
	if f == nil {
		f = cmd.LocalFlags().Lookup(flag)
	}
	sample, ok := samples[f.Value.Type()]
	if f.DefValue == "true" {
		sample = "false"
	}
	if !ok {
		t.Fatalf("no sample of a %s", f.Value.Type())
	}
	name := "BURNKEY_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
	if name == "BURNKEY_KEY" {
		t.Fatal("the credential would be taken for it")
	}
	t.Setenv(name, sample)
	before := f.Value.String()
	if err := fromEnvironment(cmd.Flags()); err != nil || f.Value.String() == before || !f.Changed {
		t.Errorf("%s leaves it at %q: %v", name, f.Value, err)
	}
	if got := asGiven(cmd.Flags(), flag); got != name+" (--"+flag+")" {
		t.Errorf("it is named %s", got)
	}
}

// TestFlagGroups checks that violations of groups are reported by this program's errors, not by cobra's.
func TestFlagGroups(t *testing.T) {
	t.Setenv("BURNKEY_EXPIRES_IN", "1h")
	for args, want := range map[string]string{
		"portal link -w a --operator --owner c":                     "--owner: cannot be used with --operator",
		"portal link -w a --operator --scope s":                     "--scope: cannot be used with --operator",
		"portal link -w a":                                          "--owner, --operator: one of them is required",
		"key issue -w a --owner c --never-expires":                  "BURNKEY_EXPIRES_IN (--expires-in): cannot be used with --never-expires",
		"admin issue --never-expires --expires-in 1h":               "--expires-in: cannot be used with --never-expires",
		"key revoke-many -w a --dry-run --yes --owner c":            "--dry-run: cannot be used with --yes",
		"key revoke-many -w a --yes":                                "--owner, --scope, --plan, --created-before, --unused-for: one of them is required",
		"key update x -w a --expires-in 1h --expires-at 2036-01-31": "--expires-at: cannot be used with --expires-in",
	} {
		cmd := rootCommand()
		cmd.SetArgs(strings.Fields(args))
		if err := cmd.ExecuteContext(t.Context()); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
	for _, args := range []string{
		"key issue --owner c", "key revoke-many --owner c --scope s --dry-run", "portal link --operator", "key list",
	} {
		cmd, rest, err := rootCommand().Find(strings.Fields(args))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(cmd.ParseFlags(rest), checkGroups(cmd)); err != nil {
			t.Errorf("%s: %v", args, err)
		}
	}
}

func TestSpan(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1": time.Second, "3600": time.Hour, "90m": 90 * time.Minute, "720h": 720 * time.Hour, "30d": 720 * time.Hour, "1h30m": 90 * time.Minute,
		"": 0, "0": 0, "-1": 0, "0d": 0, "-1d": 0, "d": 0, "1.5d": 0, "1.5s": 0, "500ms": 0, "1w": 0, "1d12h": 0, "x": 0,
	} {
		before := span{text: "before", value: time.Minute}
		s := before
		err := s.Set(text)
		if want == 0 && (err == nil || s != before) || want != 0 && (err != nil || s != span{text: text, value: want}) {
			t.Errorf("%q: %+v, %v", text, s, err)
		}
	}
}

func TestMoment(t *testing.T) {
	for text, want := range map[string]string{
		"2026-01-31T12:00:00Z": "2026-01-31T12:00:00Z", "2026-01-31T12:00:00.5+01:00": "2026-01-31T11:00:00.5Z",
		"2026-01-31": "2026-01-31T00:00:00Z",
		"":           "", "2026-1-31": "", "2026-02-30": "", "2026-01-31 12:00": "", "yesterday": "", "-1d": "",
	} {
		m := moment{text: "before"}
		err := m.Set(text)
		at, _ := time.Parse(time.RFC3339Nano, want) // else the zero time
		if (err == nil) != (want != "") || !m.at.Equal(at) || m.at.Location() != time.UTC || err != nil && m.text != "before" {
			t.Errorf("%q: %+v, %v", text, m, err)
		}
	}
	var ago moment
	before := time.Now()
	if err := ago.Set("30d"); err != nil || ago.at.Before(before.Add(-720*time.Hour)) || ago.at.After(time.Now().Add(-720*time.Hour)) {
		t.Errorf("30d ago was %s, %v", ago.at, err)
	}
}

// All flags for durations accept the same forms.
func TestDurationFlags(t *testing.T) {
	var durations int
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Value.Type() == "duration" {
				t.Errorf("%s --%s reads no days", cmd.CommandPath(), f.Name)
			}
			if f.Value.Type() != "DURATION" {
				return
			}
			durations++
			for _, text := range []string{"30d", "720h", "2592000"} {
				if err := f.Value.Set(text); err != nil {
					t.Errorf("%s --%s %s: %v", cmd.CommandPath(), f.Name, text, err)
				}
			}
			if err := f.Value.Set("soon"); err == nil || !strings.Contains(err.Error(), "such as 3600") {
				t.Errorf("%s --%s soon: %v", cmd.CommandPath(), f.Name, err)
			}
		})
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(rootCommand())
	if durations < 12 {
		t.Errorf("%d flags for durations", durations)
	}
}

func TestSuggestFlag(t *testing.T) {
	for args, want := range map[string]string{
		"gateway --max-stalenes 1m":     "unknown flag: --max-stalenes; did you mean --max-staleness?",
		"gateway --worksapce a":         "unknown flag: --worksapce; did you mean --workspace?",
		"gateway --metrics x":           "unknown flag: --metrics; did you mean --metrics-listen?",
		"key issue --sever x":           "unknown flag: --sever; did you mean --server?",
		"envoy config --nothing-like-x": "unknown flag: --nothing-like-x",
		"gateway -x":                    "unknown shorthand flag: 'x' in -x",
	} {
		cmd := rootCommand()
		cmd.SetArgs(strings.Fields(args))
		cmd.SetOut(io.Discard)
		if err := cmd.ExecuteContext(t.Context()); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}

// Flags for limits that would have no effect are refused.
func TestLimitFlags(t *testing.T) {
	const pull, gateway = "-w acme --any-audience --format filter", "--mode gateway --gateway 127.0.0.1:9002 --format filter"
	for args, want := range map[string]string{
		pull + " --limits signed --signed-limit 1/day":                           "",
		pull + " --limits service --gateway 127.0.0.1:9002":                      "",
		pull + " --limits service --gateway 127.0.0.1:9002 --limits-down refuse": "",
		pull + " --limits none":                                                  "--limits: must be off, signed or service",
		pull + " --limits service":                                               "--gateway: must be given as HOST:PORT with --limits service",
		pull + " --gateway 127.0.0.1:9002":                                       "--gateway: is for --mode gateway or --limits service",
		pull + " --limits signed":                                                "--signed-limit: must be given as REQUESTS/UNIT",
		pull + " --signed-limit 1/day":                                           "--signed-limit: is for --limits signed",
		pull + " --limits service --gateway 127.0.0.1:9002 --limits-down x":      "--limits-down: must be pass or refuse",
		pull + " --limits-down refuse":                                           "--limits-down: is for --limits service",
		gateway + " --limits signed --signed-limit 1/day":                        "--limits: has no effect with --mode gateway",
		gateway + " --limits-down refuse":                                        "--limits-down: has no effect with --mode gateway",

		pull + " --format espv2 --limits signed --signed-limit 1/day": "--format: espv2 cannot be combined with --limits",
	} {
		cmd := rootCommand()
		cmd.SetArgs(append([]string{"envoy", "config"}, strings.Fields(args)...))
		cmd.SetOut(io.Discard)
		if err := cmd.ExecuteContext(t.Context()); (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}

// TestSuggestCommand checks that the printed suggestion contains no control characters.
func TestSuggestCommand(t *testing.T) {
	cmd := rootCommand()
	cmd.SetArgs([]string{"kye", "list"})
	var out bytes.Buffer
	report(&out, cmd.ExecuteContext(t.Context()))
	const want = "burnkey: unknown command \"kye\" for \"burnkey\"\n\nDid you mean this?\n  key\n\n"
	if out.String() != want {
		t.Errorf("printed %q, want %q", out.Bytes(), want)
	}
}

// TestInvalidNumbers checks that a flag and its environment variable are refused in the same words.
func TestInvalidNumbers(t *testing.T) {
	for flag, want := range map[string]string{
		"trace-ratio": "must be a number", "mint-queue": "must be a whole number", "any-audience": "must be true or false",
	} {
		for _, value := range []string{"", "rubbish"} {
			command := "serve"
			if flag == "any-audience" {
				command = "gateway"
			}
			t.Run(flag+"="+value, func(t *testing.T) {
				cmd := rootCommand()
				cmd.SetArgs([]string{command, "--" + flag + "=" + value})
				if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.HasSuffix(err.Error(), ": "+want) {
					t.Errorf("the flag: %v", err)
				}
				t.Setenv(variable(flag), value)
				cmd = rootCommand()
				cmd.SetArgs([]string{command})
				err := cmd.ExecuteContext(t.Context())
				if err == nil || !strings.HasPrefix(err.Error(), variable(flag)+": ") || !strings.HasSuffix(err.Error(), ": "+want) {
					t.Errorf("the variable: %v", err)
				}
			})
		}
	}
}
