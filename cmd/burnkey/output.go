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

// output prints the result of a command as a table or as JSON.
type output struct {
	format string
	csv    func(io.Writer) error // writes a further format, if it is supported
}

func (o *output) formats() []string {
	if o.csv != nil {
		return []string{"table", "json", "csv"}
	}
	return []string{"table", "json"}
}

func (o *output) choice() string {
	names := o.formats()
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

func (o *output) flag(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVarP(&o.format, "output", "o", "table", o.choice())
	choices(cmd, "output", o.formats()...)
}

func (o *output) check() error {
	if !slices.Contains(o.formats(), o.format) {
		return fmt.Errorf("--output: must be %s", o.choice())
	}
	return nil
}

// show prints either the JSON text as the server sent it or the rows, depending on the format.
func (o *output) show(cmd *cobra.Command, text string, rows [][]string) error {
	if err := o.check(); err != nil {
		return err
	}
	switch o.format {
	case "json":
		_, err := fmt.Fprintln(cmd.OutOrStdout(), strings.TrimSpace(text))
		return err
	case "csv":
		return o.csv(cmd.OutOrStdout())
	}
	return table(cmd.OutOrStdout(), rows)
}

// issued prints a new key. A terminal gets all fields; a pipe gets only the token.
func (o *output) issued(cmd *cobra.Command, key *client.IssuedKey) error {
	token := key.Token.Reveal()
	rows := append(keyRows(&key.Key), []string{"", ""}, []string{"token", token})
	return o.alone(cmd, key, token, rows, "The token is shown this once and stored nowhere.")
}

// alone prints an answer as JSON if requested. Otherwise a terminal gets the rows and a note, and a pipe gets
// only the essence.
func (o *output) alone(cmd *cobra.Command, a answer, essence string, rows [][]string, note string) error {
	isTerminal := terminal(cmd.OutOrStdout())
	if !isTerminal {
		rows = [][]string{{essence}}
	}
	if err := o.show(cmd, a.Text(), rows); err != nil || !isTerminal || o.format != "table" {
		return err
	}
	_, err := fmt.Fprintln(cmd.ErrOrStderr(), "\n"+note)
	return err
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// maxCell is the maximum number of characters shown in a cell. It fits the longest owner, and does not apply to
// the last cell of a row.
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

// plain replaces characters that move the cursor or hide text. Burnkey accepts none of them, but text from
// another server can contain them.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '\uFFFD'
		}
		return r
	}, text)
}

// when returns a time and its distance from now.
func when(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return fmt.Sprintf("%s (%s)", t.UTC().Format(time.RFC3339), distance(time.Until(*t)))
}

func distance(d time.Duration) string {
	format, length := "in %d %s", d.Abs()
	if d < 0 {
		format = "%d %s ago"
	}
	for _, unit := range []struct {
		name  string
		size  time.Duration
		limit time.Duration
	}{{"s", time.Second, 2 * time.Minute}, {"min", time.Minute, 2 * time.Hour}, {"h", time.Hour, 48 * time.Hour}} {
		if length.Round(time.Second) < unit.limit {
			return fmt.Sprintf(format, length.Round(unit.size)/unit.size, unit.name)
		}
	}
	const day = 24 * time.Hour
	return fmt.Sprintf(format, length.Round(day)/day, "days")
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
