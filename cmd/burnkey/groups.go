package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Marks on the flags of a group, with the names of all flags in it. Cobra checks groups, too, but its errors do not say
// whether a flag or a variable was given.
const (
	oneRequiredMark = "burnkey_one_required"
	exclusiveMark   = "burnkey_exclusive"
)

// exclusive allows only one of the flags.
func exclusive(cmd *cobra.Command, names ...string) {
	cmd.MarkFlagsMutuallyExclusive(names...) // for shell completion
	markGroup(cmd.Flags(), exclusiveMark, names)
}

// oneRequired requires at least one of the flags.
func oneRequired(cmd *cobra.Command, names ...string) {
	cmd.MarkFlagsOneRequired(names...) // for shell completion
	markGroup(cmd.Flags(), oneRequiredMark, names)
}

// markGroup puts a mark on the first flag of a group.
func markGroup(flags *pflag.FlagSet, mark string, names []string) {
	groups := flags.Lookup(names[0]).Annotations[mark]
	_ = flags.SetAnnotation(names[0], mark, append(groups, strings.Join(names, " "))) // fails only for an unknown flag
}

// checkGroups returns an error if the flags do not fit their groups.
func checkGroups(cmd *cobra.Command) error {
	flags := cmd.Flags()
	for _, group := range flagGroups(flags, exclusiveMark) {
		if set := given(flags, group); len(set) > 1 {
			return fmt.Errorf("%s: cannot be used with %s", asGiven(flags, set[0]), asGiven(flags, set[1]))
		}
	}
	for _, group := range flagGroups(flags, oneRequiredMark) {
		if len(given(flags, group)) == 0 {
			return fmt.Errorf("--%s: one of them is required", strings.Join(group, ", --"))
		}
	}
	return nil
}

// flagGroups returns the names of the flags in each group with a mark.
func flagGroups(flags *pflag.FlagSet, mark string) (groups [][]string) {
	flags.VisitAll(func(f *pflag.Flag) {
		for _, names := range f.Annotations[mark] {
			groups = append(groups, strings.Split(names, " "))
		}
	})
	return groups
}

// given returns the flags that were set, also those set by a variable.
func given(flags *pflag.FlagSet, names []string) (set []string) {
	for _, name := range names {
		if flags.Changed(name) {
			set = append(set, name)
		}
	}
	return set
}
