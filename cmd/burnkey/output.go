package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// output is how a command shows its result: a table for people, or JSON.
type output struct {
	format string
	more   []string // further formats, which the command knows itself
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

// show prints the JSON text as it came, or the rows.
func (o *output) show(cmd *cobra.Command, text []byte, rows [][]string) error {
	asJSON, err := o.json()
	if err != nil {
		return err
	}
	if asJSON {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), strings.TrimSpace(string(text)))
		return err
	}
	return table(cmd.OutOrStdout(), rows)
}

// issued prints a new key. Into a pipe goes the token alone; a terminal gets
// the rest, too.
func (o *output) issued(cmd *cobra.Command, key issuedKey, text []byte) error {
	asJSON, err := o.json()
	if err != nil {
		return err
	}
	if asJSON && text == nil {
		if text, err = json.Marshal(key); err != nil {
			return err
		}
	}
	if asJSON {
		return o.show(cmd, text, nil)
	}
	if !terminal(cmd.OutOrStdout()) {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), key.Token)
		return err
	}
	rows := append(key.rows(), []string{"", ""}, []string{"token", key.Token})
	if err := table(cmd.OutOrStdout(), rows); err != nil {
		return err
	}
	_, err = fmt.Fprintln(cmd.ErrOrStderr(), "\nThe token is shown this once and kept nowhere.")
	return err
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// cellMost is the number of characters shown in a cell, except the last of a row: the longest
// owner.
const cellMost = 255

func table(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i := range row {
			row[i] = plain(row[i])
			if i < len(row)-1 { // the cell would widen all other rows
				row[i] = clipped(row[i], cellMost)
			}
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}

// plain takes from a text what would move the cursor or hide something. What
// the server refuses, another may have sent.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '\uFFFD'
		}
		return r
	}, text)
}

// when words a time and how far off it is.
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
