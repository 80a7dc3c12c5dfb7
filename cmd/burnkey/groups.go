package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Annotations of commands with groups of flags, one per line. Cobra checks groups, too, but its errors do not say whether a
// flag or a variable was given.
const (
	oneRequiredMark = "burnkey_one_required"
	exclusiveMark   = "burnkey_exclusive"
)

// exclusive allows only one of the flags.
func exclusive(cmd *cobra.Command, names ...string) {
	cmd.MarkFlagsMutuallyExclusive(names...) // for shell completion
	markGroup(cmd, exclusiveMark, names)
}

// oneRequired requires at least one of the flags.
func oneRequired(cmd *cobra.Command, names ...string) {
	cmd.MarkFlagsOneRequired(names...) // for shell completion
	markGroup(cmd, oneRequiredMark, names)
}

func markGroup(cmd *cobra.Command, mark string, names []string) {
	if cmd.Annotations == nil {
		cmd.Annotations = make(map[string]string)
	}
	cmd.Annotations[mark] += strings.Join(names, " ") + "\n"
}

// checkGroups returns an error if the flags do not fit their groups.
func checkGroups(cmd *cobra.Command) error {
	flags := cmd.Flags()
	for line := range strings.Lines(cmd.Annotations[exclusiveMark]) {
		if set := given(flags, strings.Fields(line)); len(set) > 1 {
			return fmt.Errorf("%s: cannot be used with %s", asGiven(flags, set[0]), asGiven(flags, set[1]))
		}
	}
	for line := range strings.Lines(cmd.Annotations[oneRequiredMark]) {
		if names := strings.Fields(line); len(given(flags, names)) == 0 {
			return fmt.Errorf("--%s: one of them is required", strings.Join(names, ", --"))
		}
	}
	return nil
}

// given returns the flags that were set, including those set by a variable.
func given(flags *pflag.FlagSet, names []string) (set []string) {
	for _, name := range names {
		if flags.Changed(name) {
			set = append(set, name)
		}
	}
	return set
}
