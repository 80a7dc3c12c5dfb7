package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/postgres"
	"github.com/burnkey/burnkey/store/sqlite"
)

func databaseFlag(cmd *cobra.Command, database *string) {
	cmd.Flags().StringVar(database, "database", "sqlite:burnkey.db", "where everything is kept: sqlite:PATH or postgres://…")
}

// databaseName returns what may be shown of a database's URL: not a password.
func databaseName(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	u.RawQuery = ""
	return u.Redacted()
}

// existing fails where a database of SQLite's is not there yet, which openStore
// would create.
func existing(database string) error {
	if path, ok := strings.CutPrefix(database, "sqlite:"); ok {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("--database: %w", err)
		}
	}
	return nil
}

// openStore opens the database that a URL names. It waits a while for one that
// can't be reached yet, and says so to the log.
func openStore(ctx context.Context, database string, log *slog.Logger) (store.Store, error) {
	var (
		st            store.Store
		err           error
		kind, rest, _ = strings.Cut(database, ":")
	)
	switch {
	case kind == "sqlite" && rest != "":
		if err = checkDatabaseFile(rest, log); err == nil {
			st, err = sqlite.Open(ctx, rest)
		}
	case kind == "postgres" || kind == "postgresql":
		st, err = postgres.Open(ctx, database, log)
	default:
		err = errors.New("must be sqlite:PATH or postgres://…")
	}
	if err != nil {
		return nil, fmt.Errorf("--database: %w", err)
	}
	return st, nil
}
