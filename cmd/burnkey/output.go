package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/burnkey/burnkey/client"
)

// output shows the result of a command: as a table for people, or as JSON.
type output struct {
	format string
	more   []string // further formats, which the command writes itself
}

func (o *output) formats() []string { return append([]string{"table", "json"}, o.more...) }

func (o *output) flag(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVarP(&o.format, "output", "o", "table", strings.Join(o.formats(), " or "))
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(o.formats(), cobra.ShellCompDirectiveNoFileComp))
}

func (o *output) json() (bool, error) {
	if !slices.Contains(o.formats(), o.format) {
		return false, fmt.Errorf("--output: must be %s", strings.Join(o.formats(), " or "))
	}
	return o.format == "json", nil
}

// show prints the JSON text as the server sent it, or the rows.
func (o *output) show(cmd *cobra.Command, text string, rows [][]string) error {
	asJSON, err := o.json()
	if err != nil {
		return err
	}
	if asJSON {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), strings.TrimSpace(text))
		return err
	}
	return table(cmd.OutOrStdout(), rows)
}

// issued prints a new key: to a pipe the token alone, to a terminal all of it.
func (o *output) issued(cmd *cobra.Command, key *client.IssuedKey) error {
	asJSON, err := o.json()
	if err != nil {
		return err
	}
	if asJSON {
		return o.show(cmd, key.Raw.Reveal(), nil)
	}
	if !terminal(cmd.OutOrStdout()) {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), key.Token.Reveal())
		return err
	}
	rows := append(keyRows(&key.Key), []string{"", ""}, []string{"token", key.Token.Reveal()})
	if err := table(cmd.OutOrStdout(), rows); err != nil {
		return err
	}
	_, err = fmt.Fprintln(cmd.ErrOrStderr(), "\nThe token is shown this once and stored nowhere.")
	return err
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// maxCell is the number of characters shown in a cell, except the last of a row. It is that of the longest owner.
const maxCell = 255

func table(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i := range row {
			row[i] = plain(row[i])
			if i < len(row)-1 { // a longer cell would widen all rows
				row[i] = clipped(row[i], maxCell)
			}
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}

// plain replaces characters that move the cursor or hide text. Burnkey's server accepts none, but the sender may not be
// Burnkey's.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '\uFFFD'
		}
		return r
	}, text)
}

// when returns a time and how far away it is.
func when(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return fmt.Sprintf("%s (%s)", t.UTC().Format(time.RFC3339), distance(time.Until(*t)))
}

func distance(d time.Duration) string {
	text, ago := "", d < 0
	d = d.Abs().Round(time.Second)
	switch {
	case d < 2*time.Minute:
		text = fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		text = fmt.Sprintf("%d min", int(d.Round(time.Minute).Minutes()))
	case d < 48*time.Hour:
		text = fmt.Sprintf("%d h", int(d.Round(time.Hour).Hours()))
	default:
		text = fmt.Sprintf("%d days", int(d.Round(24*time.Hour).Hours()/24))
	}
	if ago {
		return text + " ago"
	}
	return "in " + text
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
