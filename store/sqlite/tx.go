package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"iter"

	"github.com/burnkey/burnkey/internal/spans"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// statements are prepared statements by their text.
type statements map[string]*sql.Stmt

func prepare(ctx context.Context, db *sql.DB, queries []string) (statements, error) {
	prepared := make(statements, len(queries))
	for _, query := range queries {
		stmt, err := db.PrepareContext(ctx, query)
		if err != nil {
			prepared.close()
			return nil, fmt.Errorf("prepare %q: %w", query, err)
		}
		prepared[query] = stmt
	}
	return prepared, nil
}

func (s statements) close() {
	for _, stmt := range s {
		_ = stmt.Close()
	}
}

// row runs a query, prepared or not, that returns one row.
func (s statements) row(ctx context.Context, db *sql.DB, query string, args ...any) *sql.Row {
	defer spans.Start(&ctx, "store.read", nil)()
	if stmt, ok := s[query]; ok {
		return stmt.QueryRowContext(ctx, args...)
	}
	return db.QueryRowContext(ctx, query, args...)
}

// rows runs a query, prepared or not, that returns any number of rows.
func (s statements) rows(ctx context.Context, db *sql.DB, query string, args ...any) (_ *sql.Rows, err error) {
	defer spans.Start(&ctx, "store.read", &err)()
	if stmt, ok := s[query]; ok {
		return stmt.QueryContext(ctx, args...)
	}
	return db.QueryContext(ctx, query, args...)
}

// tx is a write transaction.
type tx struct {
	*sql.Tx
	ctx      context.Context // the caller's, without its end
	prepared statements
	// fingerprint is stored with the workspace whose version the transaction raises.
	fingerprint jwks.Fingerprint
	// entered is the fingerprint of the imported keys that the change publishes, which are not in Add.
	entered jwks.Fingerprint
}

// enters says that the change publishes an imported key.
func (t *tx) enters(kid jwks.KID) { t.entered.Toggle(&kid) }

// inTx runs do in a transaction that holds SQLite's write lock from its start. If ctx ends, a wait for the lock
// ends, but a transaction that holds it, which is short, is completed. An error of do undoes everything and is
// returned.
func inTx(ctx context.Context, db *sql.DB, prepared statements, do func(*tx) error) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	t := &tx{ctx: context.WithoutCancel(ctx), prepared: prepared}
	err = retryBusy(ctx, func() error {
		t.Tx, err = conn.BeginTx(t.ctx, nil)
		return err
	})
	if err != nil {
		return err
	}
	defer t.Rollback() // does nothing after Commit
	if err := do(t); err != nil {
		return err
	}
	return t.Commit()
}

// write runs do in a transaction that first checks the authority of ctx. At most AtGate writes of one caller
// wait for the only connection, because that connection serves waiting writes in no particular order.
func (s *Store) write(ctx context.Context, do func(*tx) error) (err error) {
	defer spans.Start(&ctx, "store.write", &err)()
	if a := store.AuthorityOf(ctx); !a.Own() {
		leave, err := s.gate.Enter(ctx, a.Name())
		if err != nil {
			return fmt.Errorf("waiting for other writes: %w", err)
		}
		defer leave()
	}
	return inTx(ctx, s.writer, s.writes, func(t *tx) error {
		if err := dialect.Stands(store.AuthorityOf(ctx), t.look, ""); err != nil {
			return err
		}
		return do(t)
	})
}

// exec runs a statement and returns how many rows it changed.
func (t *tx) exec(query string, args ...any) (int64, error) {
	var (
		result sql.Result
		err    error
	)
	if stmt, ok := t.prepared[query]; ok {
		result, err = t.StmtContext(t.ctx, stmt).ExecContext(t.ctx, args...)
	} else {
		result, err = t.ExecContext(t.ctx, query, args...)
	}
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// row runs a query that returns one row.
func (t *tx) row(query string, args ...any) *sql.Row {
	if stmt, ok := t.prepared[query]; ok {
		return t.StmtContext(t.ctx, stmt).QueryRowContext(t.ctx, args...)
	}
	return t.QueryRowContext(t.ctx, query, args...)
}

// query is a rows.Query.
func (t *tx) query(into []any, query string, args ...any) iter.Seq[error] {
	return func(yield func(error) bool) {
		if stmt, ok := t.prepared[query]; ok {
			each(t.StmtContext(t.ctx, stmt).QueryContext(t.ctx, args...))(into)(yield)
		} else {
			each(t.QueryContext(t.ctx, query, args...))(into)(yield)
		}
	}
}

// look is a rows.Look.
func (t *tx) look(into any, query string, args ...any) error { return t.row(query, args...).Scan(into) }
