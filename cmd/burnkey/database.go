package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/sqlite"
)

func databaseFlag(cmd *cobra.Command, url *string) {
	cmd.Flags().StringVar(url, "database", "sqlite:burnkey.db", "where everything is kept: sqlite:PATH")
}

// existing fails where a database of SQLite's is not there yet, which openStore
// would create.
func existing(url string) error {
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("--database: %w", err)
		}
	}
	return nil
}

// openStore opens the database that the URL names.
func openStore(ctx context.Context, url string) (store.Store, error) {
	kind, rest, _ := strings.Cut(url, ":")
	switch {
	case kind == "sqlite" && rest != "":
		return sqlite.Open(ctx, rest)
	case kind == "postgres" || kind == "postgresql":
		return nil, fmt.Errorf("--database: this version keeps its data in SQLite alone; PostgreSQL is not supported yet")
	}
	return nil, fmt.Errorf("--database: must be sqlite:PATH")
}
