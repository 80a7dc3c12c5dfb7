package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// samples are values that a flag of the type takes, and which are no default.
var samples = map[string]string{
	"string": "x", "int": "7", "bool": "true", "duration": "7s", "stringSlice": "x,y", "stringArray": "x", "DURATION": "7m", "TIME": "2026-01-31",
	"FILE": "main.go",
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
	// Commands share flags, so each look is at new ones.
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

// TestFlagGroups: each group is checked with our errors, not cobra's.
func TestFlagGroups(t *testing.T) {
	t.Setenv("BURNKEY_EXPIRES_IN", "1h")
	for args, want := range map[string]string{
		"portal link -w a --operator --owner c":          "--owner: cannot be used with --operator",
		"portal link -w a --operator --scope s":          "--scope: cannot be used with --operator",
		"portal link -w a":                               "--owner, --operator: one of them is required",
		"key issue -w a --owner c --never-expires":       "BURNKEY_EXPIRES_IN (--expires-in): cannot be used with --never-expires",
		"admin issue --never-expires --expires-in 1h":    "--expires-in: cannot be used with --never-expires",
		"key revoke-many -w a --dry-run --yes --owner c": "--dry-run: cannot be used with --yes",
		"key revoke-many -w a --yes":                     "--owner, --scope, --created-before, --unused-for: one of them is required",
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
