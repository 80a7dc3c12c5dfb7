package postgres

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

// Inspect reports the state of the database at a URL, once, without waiting for it to start. It changes nothing.
func Inspect(ctx context.Context, url string) (c store.Condition, err error) {
	defer func() { err = wrap(ctx, "inspect", err) }()
	config, err := parse(url)
	if err != nil {
		return c, err
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return c, err
	}
	c.Plaintext = plaintextHosts(config.ConnConfig)
	conn, err := connectAny(ctx, config.ConnConfig)
	if err != nil {
		return c, err
	}
	defer disconnect(conn)
	if err := readSettings(ctx, conn, &c); err != nil {
		return c, err
	}
	if !c.Standby {
		err = keepsSessions(ctx, conn, config.ConnConfig)
		c.Pooled = errors.Is(err, ErrPooler)
		if err != nil && !c.Pooled {
			return c, err
		}
	}
	return c, readSchema(ctx, conn, files, &c)
}

// connectAny connects to the primary or, if no host is one, to a standby. All statements use the simple protocol,
// since a pooler may not keep prepared statements.
func connectAny(ctx context.Context, config *pgx.ConnConfig) (*pgx.Conn, error) {
	config = config.Copy()
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	conn, err := pgx.ConnectConfig(ctx, config)
	if err == nil {
		return conn, nil
	}
	config.ValidateConnect = nil
	if conn, anyErr := pgx.ConnectConfig(ctx, config); anyErr == nil {
		return conn, nil
	}
	return nil, err
}

const selectSettings = `SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on',
	current_setting('synchronous_commit') = 'off',
	array_remove(ARRAY[CASE current_setting('fsync') WHEN 'off' THEN 'fsync' END,
		CASE current_setting('full_page_writes') WHEN 'off' THEN 'full_page_writes' END], NULL)::text[], clock_timestamp()`

func readSettings(ctx context.Context, conn *pgx.Conn, c *store.Condition) error {
	var now time.Time
	began := time.Now()
	if err := conn.QueryRow(ctx, selectSettings).Scan(&c.Standby, &c.LaxCommits, &c.Unsafe, &now); err != nil {
		return err
	}
	took := time.Since(began)
	c.Ahead = now.Sub(began.Add(took / 2))
	return nil
}

// readSchema reads the version of the schema. An error means that it is not Burnkey's, or newer than this program.
func readSchema(ctx context.Context, conn *pgx.Conn, files fs.FS, c *store.Condition) (err error) {
	if c.Known, err = knownVersion(files); err != nil {
		return err
	}
	var s state
	if err := conn.QueryRow(ctx, selectState).Scan(&s.schema, &s.encoding, &s.ours, &s.foreign); err != nil {
		return err
	}
	if !s.ours {
		_, err := isCurrent(ctx, conn, files) // says why, if the database can't become Burnkey's
		return err
	}
	if err := conn.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM `+versionTable).Scan(&c.Schema); err != nil {
		return err
	}
	if c.Schema >= store.FirstExpandOnly {
		here, err := whereIs(ctx, conn)
		if err != nil {
			return err
		}
		if err := conn.QueryRow(ctx, inspectInstallation, here).Scan(&c.Needs, &c.Moved); err != nil {
			return err
		}
	}
	if c.Schema != c.Known {
		return nil
	}
	var names []string
	if err := conn.QueryRow(ctx, `SELECT ARRAY(SELECT relname::text FROM pg_class JOIN pg_index ON indexrelid = pg_class.oid
		WHERE indisvalid AND relnamespace = to_regnamespace(quote_ident(current_schema())))`).Scan(&names); err != nil {
		return err
	}
	c.MissingIndexes, err = rows.MissingIndexes(files, names)
	return err
}
