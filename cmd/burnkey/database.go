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

// errDatabaseURL is the error if the URL of a database has another form.
var errDatabaseURL = errors.New("must be sqlite:PATH or postgres://…")

// sqlitePath returns the path in the URL of an SQLite database, or an empty string.
func sqlitePath(database string) string {
	if path, ok := strings.CutPrefix(database, "sqlite:"); ok {
		return path
	}
	return ""
}

// sameDatabase reports whether two URLs are the same, or name the same SQLite file.
func sameDatabase(a, b string) bool {
	one, errOne := os.Stat(sqlitePath(a))
	two, errTwo := os.Stat(sqlitePath(b))
	return a == b || errOne == nil && errTwo == nil && os.SameFile(one, two)
}

// isPostgres returns whether a database is given by a URL of PostgreSQL. Its driver would also accept other forms, in which
// databaseName would not find the password.
func isPostgres(database string) bool {
	return strings.HasPrefix(database, "postgres://") || strings.HasPrefix(database, "postgresql://")
}

// databaseName returns the URL of a database without password and parameters.
func databaseName(text string) string {
	if sqlitePath(text) != "" {
		name, _, _ := strings.Cut(text, "?")
		return name
	}
	u, err := url.Parse(text)
	// Without a host, the password can be anywhere, as in postgres:///user:password@host. A socket's host is a parameter.
	if err != nil || u.Opaque != "" || u.Host == "" && (u.Query().Get("host") == "" || strings.ContainsAny(u.Path, "@:= ")) {
		return "(invalid URL)"
	}
	u.RawQuery, u.Fragment = "", ""
	return u.Redacted()
}

// openExisting opens the database at the URL in a flag. It must already exist: openStore would create an SQLite file.
func openExisting(ctx context.Context, flag, database string, stderr io.Writer) (store.Store, error) {
	if path := sqlitePath(database); path != "" {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("--%s: %w", flag, err)
		}
	}
	return openStore(ctx, flag, database, slog.New(slog.NewTextHandler(stderr, nil)))
}

// openStore opens the database at the URL in a flag. If the database is unreachable, openStore logs a warning and retries
// for a while.
func openStore(ctx context.Context, flag, database string, log *slog.Logger) (st store.Store, err error) {
	switch path := sqlitePath(database); {
	case path != "":
		if err = checkDatabaseFile(path, log); err == nil {
			st, err = sqlite.Open(ctx, path)
		}
	case isPostgres(database):
		st, err = postgres.Open(ctx, database, log)
	default:
		err = errDatabaseURL
	}
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flag, err)
	}
	return st, nil
}
