package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/burnkey/burnkey/authz/api/reference"
	"github.com/burnkey/burnkey/internal/testkit"
)

//go:generate env BURNKEY_WRITE=true go test -run ^TestReference -count=1 .

// commands returns the command and all below it, except cobra's own.
func commands(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "completion" {
			all = append(all, commands(sub)...)
		}
	}
	return all
}

// flagsOf returns a command's flags with those of its parents, by name.
func flagsOf(cmd *cobra.Command) (all []*pflag.Flag) {
	cmd.InheritedFlags() // adds them to cmd.Flags
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" && f.Name != "version" && !f.Hidden {
			all = append(all, f)
		}
	})
	return all
}

// usage returns a flag with its placeholder, and its description with the default.
func usage(f *pflag.Flag) (name, description string) {
	placeholder, description := pflag.UnquoteUsage(f)
	name = strings.TrimSpace("--" + f.Name + " " + placeholder)
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + ", " + name
	}
	if !slices.Contains([]string{"", "0", "0s", "false", "[]"}, f.DefValue) {
		description += " (default `" + f.DefValue + "`)"
	}
	return name, reference.Cell(description)
}

// TestReferenceOfCommands checks that the reference has every command with its flags.
func TestReferenceOfCommands(t *testing.T) {
	var text strings.Builder
	for _, cmd := range commands(rootCommand())[1:] {
		fmt.Fprintf(&text, "\n## %s\n\n%s\n", cmd.CommandPath(), strings.TrimSpace(cmp.Or(cmd.Long, cmd.Short+".")))
		if cmd.HasSubCommands() {
			continue
		}
		fmt.Fprintf(&text, "\n```text\n%s\n```\n", cmd.UseLine())
		if cmd.Example != "" {
			fmt.Fprintf(&text, "\n```text\n%s\n```\n", strings.TrimRight(cmd.Example, "\n"))
		}
		flags := flagsOf(cmd)
		if len(flags) > 0 {
			text.WriteString("\n| flag | |\n|---|---|\n")
		}
		for _, f := range flags {
			name, description := usage(f)
			fmt.Fprintf(&text, "| `%s` | %s |\n", name, description)
		}
	}
	testkit.Generated(t, "../../docs/reference/cli.md", "commands", text.String())
}

// TestReferenceOfVariables checks that the reference lists every environment variable and the commands that read it.
func TestReferenceOfVariables(t *testing.T) {
	users := make(map[string][]string)
	var all []string
	for _, cmd := range commands(rootCommand())[1:] {
		if cmd.HasSubCommands() {
			continue
		}
		path := strings.TrimPrefix(cmd.CommandPath(), "burnkey ")
		all = append(all, path)
		for _, f := range flagsOf(cmd) {
			name := variable(f.Name)
			users[name] = append(users[name], path)
		}
	}
	var text strings.Builder
	text.WriteString("| variable | commands |\n|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(users)) {
		fmt.Fprintf(&text, "| `%s` | %s |\n", name, inGroups(users[name], all))
	}
	testkit.Generated(t, "../../docs/reference/configuration.md", "variables", text.String())
}

// inGroups lists commands. It shortens a group of three or more, such as key, to `key …` if all its commands are there.
func inGroups(list, all []string) string {
	var shown []string
	for _, path := range list {
		group, _, _ := strings.Cut(path, " ")
		others := func(other string) bool { return !strings.HasPrefix(other, group+" ") }
		members := slices.DeleteFunc(slices.Clone(all), others)
		outside := func(member string) bool { return !slices.Contains(list, member) }
		if len(members) > 2 && !slices.ContainsFunc(members, outside) {
			path = group + " …"
		}
		if text := "`" + path + "`"; !slices.Contains(shown, text) {
			shown = append(shown, text)
		}
	}
	return strings.Join(shown, ", ")
}
