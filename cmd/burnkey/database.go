package main

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	cmd.Flags().StringVar(database, "database", "sqlite:burnkey.db", "where everything is stored: sqlite:PATH or postgres://…")
}

// databaseName returns the URL of a database without password and parameters.
func databaseName(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	u.RawQuery = ""
	return u.Redacted()
}

// openExisting opens a database that must already exist. openStore would create an SQLite file.
func openExisting(ctx context.Context, database string, stderr io.Writer) (store.Store, error) {
	if path, ok := strings.CutPrefix(database, "sqlite:"); ok {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("--database: %w", err)
		}
	}
	return openStore(ctx, database, slog.New(slog.NewTextHandler(stderr, nil)))
}

// openStore opens the database at a URL. If the database is unreachable, openStore logs a warning and retries
// for a while.
func openStore(ctx context.Context, database string, log *slog.Logger) (st store.Store, err error) {
	switch kind, rest, _ := strings.Cut(database, ":"); {
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
