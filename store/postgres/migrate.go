package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/burnkey/burnkey/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	// versionTable is our own name for goose's table, so that the table of another program in the same schema
	// is not mistaken for ours.
	versionTable = "burnkey_schema_version"
	// migrationLock is the advisory lock that a server holds while it migrates ("burnkey" in ASCII). Other
	// schemas of the database share it.
	migrationLock = 0x6275726e6b6579
)

// setUp brings the schema up to date. If it already is, no lock is taken.
func setUp(ctx context.Context, config *pgx.ConnConfig) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer disconnect(conn)
	// Only ctx limits how long a migration, or the wait for another server's migration, takes.
	if err := prepareSession(noTimeout+`, set_config('lock_timeout', '0', false)`)(ctx, conn); err != nil {
		return err
	}
	if err := keepsSessions(ctx, conn, config); err != nil {
		return err
	}
	done, err := isCurrent(ctx, conn, files)
	if done || err != nil {
		return err
	}
	// The lock is released with the connection.
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(migrationLock)); err != nil {
		return fmt.Errorf("waiting for another server to migrate: %w", err)
	}
	done, err = isCurrent(ctx, conn, files)
	if done || err != nil {
		return err
	}
	return migrate(ctx, config, files)
}

const noTimeout = `, set_config('statement_timeout', '0', false)`

// migrate applies the missing migrations with a connection of its own. Only the wait for a table's lock is
// limited, because all later statements on that table would wait, too.
func migrate(ctx context.Context, config *pgx.ConnConfig, files fs.FS) (err error) {
	prepare := prepareSession(timeouts(config) + noTimeout)
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(prepare))
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	provider, err := newProvider(db, files)
	if err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// selectNeeds returns the lowest schema version that a program must know.
const selectNeeds = `SELECT needs_schema FROM installation`

// state is the state of the database that isCurrent checks.
type state struct {
	schema   *string // the first of search_path that exists
	encoding string
	ours     bool
	foreign  []string // tables with names of ours, if versionTable is missing
	version  int64
}

const selectState = `SELECT current_schema()::text, current_setting('server_encoding'),
	to_regclass(quote_ident(current_schema()) || '.` + versionTable + `') IS NOT NULL,
	ARRAY(SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident(current_schema()))
		AND relname IN ('workspaces', 'keys', 'jwks', 'changes', 'sessions', 'audit', 'logos') ORDER BY relname)`

// isCurrent reports whether the schema is up to date. It returns an error if migrations can't bring the schema
// up to date. It changes nothing.
func isCurrent(ctx context.Context, conn *pgx.Conn, files fs.FS) (bool, error) {
	var s state
	if err := conn.QueryRow(ctx, selectState).Scan(&s.schema, &s.encoding, &s.ours, &s.foreign); err != nil {
		return false, err
	}
	switch {
	case s.schema == nil:
		return false, errors.New("no schema in the search_path exists")
	case s.encoding != "UTF8":
		return false, fmt.Errorf("the database's encoding is %s: it must be UTF8", s.encoding)
	case !s.ours && len(s.foreign) > 0:
		return false, fmt.Errorf("not a Burnkey database: schema %s has tables %q of another program", *s.schema, s.foreign)
	case !s.ours:
		return false, nil
	}
	if err := conn.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM `+versionTable).Scan(&s.version); err != nil {
		return false, err
	}
	known, err := knownVersion(files)
	if err != nil {
		return false, err
	}
	if s.version > known {
		return true, store.CheckSchema(s.version, known, func() (needs int64, err error) {
			err = conn.QueryRow(ctx, selectNeeds).Scan(&needs)
			return needs, err
		})
	}
	return s.version == known, nil
}

// newProvider returns a goose migrator for our schema that uses no global state.
func newProvider(db *sql.DB, files fs.FS) (*goose.Provider, error) {
	return goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithDisableGlobalRegistry(true), goose.WithTableName(versionTable))
}

// knownVersion returns the version of the last migration.
func knownVersion(files fs.FS) (int64, error) {
	names, err := fs.Glob(files, "*.sql") // sorted
	if err != nil {
		return 0, err
	}
	return goose.NumericComponent(names[len(names)-1])
}
