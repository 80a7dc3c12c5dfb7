package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// cobra's marks on the flags of a group, whose names each lists; it exports neither.
const (
	oneRequiredMark = "cobra_annotation_one_required"
	exclusiveMark   = "cobra_annotation_mutually_exclusive"
)

// checkGroups refuses what MarkFlagsOneRequired and MarkFlagsMutuallyExclusive do, in
// our words: cobra's own, which would come later, name no flag as it was given.
func checkGroups(cmd *cobra.Command) error {
	flags := cmd.Flags()
	for _, group := range flagGroups(flags, exclusiveMark) {
		if set := given(flags, group); len(set) > 1 {
			return fmt.Errorf("%s: is not to be given with %s", asGiven(flags, set[0]), asGiven(flags, set[1]))
		}
	}
	for _, group := range flagGroups(flags, oneRequiredMark) {
		if len(given(flags, group)) == 0 {
			return fmt.Errorf("--%s: one of them must be given", strings.Join(group, ", --"))
		}
	}
	return nil
}

// flagGroups returns the names in each group of a kind, in their order; a group may come
// more than once.
func flagGroups(flags *pflag.FlagSet, mark string) (groups [][]string) {
	flags.VisitAll(func(f *pflag.Flag) {
		for _, names := range f.Annotations[mark] {
			groups = append(groups, strings.Split(names, " "))
		}
	})
	return groups
}

// given returns those that were set, by a variable perhaps.
func given(flags *pflag.FlagSet, names []string) (set []string) {
	for _, name := range names {
		if flags.Changed(name) {
			set = append(set, name)
		}
	}
	return set
}
