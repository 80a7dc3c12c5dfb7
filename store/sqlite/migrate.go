package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"

	"github.com/burnkey/burnkey/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// selectNeeds returns the lowest schema version that a program must know.
const selectNeeds = `SELECT needs_schema FROM installation`

// applicationID marks the file as a Burnkey database ("Burn" in ASCII).
const applicationID = 0x4275726e

// newProvider returns a goose migrator for our schema that uses no global state.
func newProvider(db *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	logos := goose.NewGoMigration(4, &goose.GoFunc{RunTx: moveLogos}, nil)
	fingerprints := goose.NewGoMigration(10, &goose.GoFunc{RunTx: addFingerprints}, nil)
	return goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true),
		goose.WithGoMigrations(logos, fingerprints))
}

// claim marks an empty database as ours and refuses a database of another program. It also creates goose's
// table, because two processes can deadlock if goose itself creates it in both.
func claim(ctx context.Context, db *sql.DB) error {
	versions, err := database.NewStore(goose.DialectSQLite3, goose.DefaultTablename)
	if err != nil {
		return err
	}
	mark := func(t *tx) error {
		var id, tables int64
		if err := t.row(`PRAGMA application_id`).Scan(&id); err != nil {
			return err
		}
		if err := t.row(`SELECT count(*) FROM sqlite_schema`).Scan(&tables); err != nil {
			return err
		}
		if id == applicationID {
			return nil
		}
		if id != 0 || tables > 0 {
			return errors.New("not a Burnkey database")
		}
		if _, err := t.exec(fmt.Sprintf(`PRAGMA application_id = %d`, applicationID)); err != nil {
			return err
		}
		if err := versions.CreateVersionTable(t.ctx, t.Tx); err != nil {
			return err
		}
		return versions.Insert(t.ctx, t.Tx, database.InsertRequest{Version: 0})
	}
	// Without a WAL, a commit can also have to wait for readers.
	return retryBusy(ctx, func() error { return inTx(ctx, db, nil, mark) })
}

// migrate applies the missing migrations. Each is a transaction: if two processes start together, it fails in
// one process, whose next attempt finds the migration applied.
func migrate(ctx context.Context, db *sql.DB) error {
	for {
		provider, err := newProvider(db)
		if err != nil {
			return err
		}
		current, target, err := schemaVersions(ctx, provider)
		if err != nil {
			return err
		}
		if current > target {
			return store.CheckSchema(current, target, func() (needs int64, err error) {
				err = retryBusy(ctx, func() error { return db.QueryRowContext(ctx, selectNeeds).Scan(&needs) })
				return needs, err
			})
		}
		if current == target {
			return nil
		}
		err = retryBusy(ctx, func() error {
			_, err := provider.Up(ctx)
			return err
		})
		if err == nil {
			continue
		}
		now, _, lookErr := schemaVersions(ctx, provider)
		if lookErr != nil || now == current {
			return fmt.Errorf("migrate from schema version %d: %w", current, err)
		}
	}
}

func schemaVersions(ctx context.Context, p *goose.Provider) (current, target int64, err error) {
	err = retryBusy(ctx, func() error {
		current, target, err = p.GetVersions(ctx)
		return err
	})
	return current, target, err
}
