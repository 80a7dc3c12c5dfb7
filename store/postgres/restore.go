package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

const (
	// identified identifies the database and its cluster. A standby and a base backup have the same identifiers; a restored
	// dump has others. A role that may not call the function identifies the database alone, by selectHere.
	mayIdentify = `SELECT has_function_privilege('pg_control_system()', 'EXECUTE')`
	databaseOID = `(SELECT oid FROM pg_database WHERE datname = current_database())`
	selectHere  = `SELECT 'database ' || ` + databaseOID
	identified  = `SELECT 'database ' || ` + databaseOID + ` || ' of ' || system_identifier FROM pg_control_system()`
	// settle changes no row if the database was somewhere else and $2 is false.
	settle = `UPDATE installation SET home = $1 WHERE home IS NULL OR home = $1 OR $2`

	inspectInstallation = `SELECT needs_schema, coalesce(home <> $1, false) FROM installation`

	lockVersion = `SELECT version FROM workspaces WHERE id = $1 FOR NO KEY UPDATE`
	clearLog    = `DELETE FROM changes WHERE workspace = $1`
	leap        = `WITH leapt AS (UPDATE workspaces SET version = $12 WHERE id = $1), audited AS (` + recordEntry + `)
		INSERT INTO changes (workspace, version, added, removed) VALUES ($1, $12, '', '')`
)

// Settle implements store.Store.
func (s *Store) Settle(ctx context.Context, moved bool) error {
	return wrap(ctx, "settle", s.write(ctx, "", func(ctx context.Context, c conn) error {
		here, err := whereIs(ctx, c)
		if err != nil {
			return err
		}
		tag, err := c.Exec(ctx, settle, here, moved)
		if err == nil && tag.RowsAffected() == 0 {
			return store.ErrMoved
		}
		return err
	}))
}

// whereIs identifies the database of a connection.
func whereIs(ctx context.Context, c interface {
	QueryRow(ctx context.Context, query string, args ...any) pgx.Row
},
) (here string, err error) {
	var may bool
	if err := c.QueryRow(ctx, mayIdentify).Scan(&may); err != nil {
		return "", err
	}
	query := selectHere
	if may {
		query = identified
	}
	err = c.QueryRow(ctx, query).Scan(&here)
	return here, err
}

// Leap implements store.Store.
func (s *Store) Leap(ctx context.Context, workspace string, at time.Time) (version uint64, err error) {
	err = s.write(ctx, workspace, inTx(func(ctx context.Context, t pgx.Tx) error {
		var before uint64
		if err := t.QueryRow(ctx, lockVersion, workspace).Scan(&before); err != nil {
			return rows.NotFound(err)
		}
		if _, err := t.Exec(ctx, clearLog, workspace); err != nil {
			return err
		}
		version = store.Leapt(before, at)
		_, err := t.Exec(ctx, leap, append(dialect.EntryArgs(store.WorkspaceRestored(ctx, workspace, before, version, rows.Cut(at))), version)...)
		return err
	}))
	if err != nil {
		return 0, wrap(ctx, "leap", err)
	}
	s.notifier.notify(workspace)
	return version, nil
}
