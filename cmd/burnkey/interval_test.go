package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Every flag for a duration accepts the same forms: none uses pflag's own parser.
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
