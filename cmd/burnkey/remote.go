package main

import (
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
