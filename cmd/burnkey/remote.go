package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/burnkey/burnkey/client"
)

// remote is the server that a command manages.
type remote struct {
	server  string
	keyFile string
	given   *pflag.FlagSet // for errors that name a flag as given; may be nil
}

const retries = 2 // of calls that are safe to repeat

func (r *remote) flags(cmd *cobra.Command) {
	serverFlag(cmd, &r.server)
	r.given = cmd.PersistentFlags()
	cmd.PersistentFlags().StringVar(&r.keyFile, "key-file", "", "`FILE` with a management key (or put the key itself in BURNKEY_KEY)")
}

func serverFlag(cmd *cobra.Command, server *string) {
	cmd.PersistentFlags().StringVar(server, "server", "http://127.0.0.1:8080", "`URL` of the server")
}

// credential returns the management key. There is no flag for the key itself, since every user of the machine can read
// command lines.
func (r *remote) credential() (string, error) {
	if r.keyFile == "" {
		if key := strings.TrimSpace(os.Getenv("BURNKEY_KEY")); key != "" {
			return readKey("BURNKEY_KEY", key)
		}
		return "", errors.New("no management key: name a file with --key-file or BURNKEY_KEY_FILE, or put the key in BURNKEY_KEY")
	}
	flag := "--key-file"
	if r.given != nil {
		flag = asGiven(r.given, "key-file")
	}
	return readKeyFile(flag, r.keyFile)
}

func (r *remote) connect() (*client.Client, error) {
	c, err := client.New(client.Options{Server: r.server, Key: r.credential, UserAgent: "burnkey/" + version, Retries: retries})
	if err != nil {
		return nil, fmt.Errorf("--server: %w", err)
	}
	return c, nil
}

// run returns a command's RunE that calls the server.
func (r *remote) run(f func(*cobra.Command, *client.Client, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := r.connect()
		if err != nil {
			return err
		}
		err = f(cmd, c, args)
		if unreachable := new(client.UnreachableError); errors.As(err, &unreachable) {
			return fmt.Errorf("--server: %w", err)
		}
		return err
	}
}

// listing is a list, up to a limit.
type listing[T any] struct {
	items []T
	text  string // JSON of all pages as one
	more  bool
}

// list reads as many pages as it takes for limit items; 0 means all. raw returns the text of an item.
func list[T any](ctx context.Context, from client.List[T], limit int, member string, raw func(*T) client.Secret) (*listing[T], error) {
	if limit < 0 {
		return nil, errors.New("--limit: must be 0 (all) or more")
	}
	l := &listing[T]{items: []T{}, more: true}
	cursor := ""
	for l.more && (limit == 0 || len(l.items) < limit) {
		n := client.MaxPage
		if limit > 0 {
			n = min(n, limit-len(l.items))
		}
		page, err := from.Page(ctx, n, cursor)
		if err != nil {
			return nil, err
		}
		l.items = append(l.items, page.Items...)
		cursor, l.more = page.Next, page.Next != ""
	}
	texts := make([]json.RawMessage, len(l.items))
	for i := range l.items {
		texts[i] = json.RawMessage(raw(&l.items[i]))
	}
	joined := map[string]any{member: texts, "next_cursor": nil}
	if l.more {
		joined["next_cursor"] = cursor
	}
	text, err := json.Marshal(joined)
	l.text = string(text)
	return l, err
}

// show prints the rows, and a hint if there are more.
func (l *listing[T]) show(cmd *cobra.Command, out *output, rows [][]string) error {
	if err := out.show(cmd, l.text, rows); err != nil {
		return err
	}
	return l.hint(cmd)
}

func (l *listing[T]) hint(cmd *cobra.Command) error {
	if !l.more {
		return nil
	}
	_, err := fmt.Fprintln(cmd.ErrOrStderr(), "There are more: --limit 0 lists all.")
	return err
}
