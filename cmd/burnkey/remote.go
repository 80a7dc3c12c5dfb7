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

// credential returns the management key. No flag takes the key itself, since every user of the machine can read
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

// run returns a RunE function that calls the server.
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

// calls contains what all commands that call a server share.
type calls struct {
	remote
	output
	workspace string
}

// group returns a command with subcommands, and adds the shared flags.
func (k *calls) group(use, short string, subs ...*cobra.Command) *cobra.Command {
	cmd := group(use, short, subs...)
	k.remote.flags(cmd)
	k.output.flag(cmd)
	return cmd
}

// inWorkspace adds the flag --workspace to each command.
func (k *calls) inWorkspace(cmds ...*cobra.Command) []*cobra.Command {
	for _, cmd := range cmds {
		cmd.Flags().StringVarP(&k.workspace, "workspace", "w", "", "id of the workspace")
		require(cmd, "workspace")
	}
	return cmds
}

// answer is an answer of the server, with its JSON text.
type answer interface{ Text() string }

// show returns a RunE function that makes a call and prints the answer.
func show[A answer](k *calls, rows func(A) [][]string, call func(*cobra.Command, *client.Client, []string) (A, error),
) func(*cobra.Command, []string) error {
	return k.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		a, err := call(cmd, c, args)
		if err != nil {
			return err
		}
		return k.show(cmd, a.Text(), rows(a))
	})
}

// keyMethod is a client method that takes the ID of one key.
type keyMethod[A answer] func(c *client.Client, ctx context.Context, workspace, id string) (A, error)

// oneKey returns a command that calls a keyMethod.
func oneKey[A answer](k *calls, use, short string, method keyMethod[A], rows func(A) [][]string) *cobra.Command {
	return &cobra.Command{
		Use: use + " ID", Short: short, Args: oneArg("the id of a key"),
		RunE: show(k, rows, func(cmd *cobra.Command, c *client.Client, args []string) (A, error) {
			return method(c, cmd.Context(), k.workspace, args[0])
		}),
	}
}

// listCommand returns a command that prints a list up to a limit. The parameter what is the JSON member that
// contains the items.
func listCommand[T any, A interface {
	*T
	answer
}](k *calls, what, short string, rows func([]T) [][]string, of func(*cobra.Command, *client.Client) (client.List[T], error),
) *cobra.Command {
	limit := 100
	cmd := &cobra.Command{
		Use: "list", Short: short, Args: noArgs,
		RunE: k.run(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			list, err := of(cmd, c)
			if err != nil {
				return err
			}
			items, next, err := upTo(cmd.Context(), list, limit)
			if err != nil {
				return err
			}
			texts := make([]json.RawMessage, len(items))
			for i := range items {
				texts[i] = json.RawMessage(A(&items[i]).Text())
			}
			text, err := json.Marshal(map[string]any{what: texts, "next_cursor": next})
			if err == nil {
				err = k.show(cmd, string(text), rows(items))
			}
			if err == nil && next != nil {
				_, err = fmt.Fprintln(cmd.ErrOrStderr(), "There are more: --limit 0 lists all.")
			}
			return err
		}),
	}
	cmd.Flags().IntVar(&limit, "limit", limit, "maximum number of "+what+"; 0: all")
	return cmd
}

// upTo reads pages until it has limit items; 0 means all items. At the end of the list, next is nil.
func upTo[T any](ctx context.Context, list client.List[T], limit int) (items []T, next *string, err error) {
	if limit < 0 {
		return nil, nil, errors.New("--limit: must be 0 (all) or more")
	}
	for cursor := ""; ; {
		n := client.MaxPage
		if limit > 0 {
			n = min(n, limit-len(items))
		}
		page, err := list.Page(ctx, n, cursor)
		if err != nil {
			return nil, nil, err
		}
		items = append(items, page.Items...)
		switch cursor = page.Next; {
		case cursor == "":
			return items, nil, nil
		case len(items) == limit:
			return items, &cursor, nil
		}
	}
}
