package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

const (
	// beginStream reads the version and removes the statement timeout: a stream may take as long as its
	// consumer.
	beginStream    = `SELECT version, set_config('statement_timeout', '0', true) FROM workspaces WHERE id = $1`
	selectJWKs     = `SELECT kid, n FROM jwks WHERE workspace = $1 ORDER BY kid`
	selectVersions = `SELECT id, version, fingerprint FROM workspaces`
	// selectTombstone finds the only JWK without a record.
	selectTombstone = `SELECT kid, n FROM jwks WHERE workspace = $1 AND NOT EXISTS (
		SELECT 1 FROM keys WHERE keys.workspace = jwks.workspace AND keys.kid = jwks.kid) LIMIT 1`
	// stallTimeout is how long a stream waits for its next row.
	stallTimeout = 30 * time.Second
)

var errStalled = fmt.Errorf("no row came for %v", stallTimeout)

// Published implements store.Store. While it runs, it occupies a connection, and the database keeps all
// old versions of rows.
func (s *Store) Published(ctx context.Context, workspace string, yield func(jwks.Key) error) (uint64, error) {
	var version uint64
	err := s.stream(ctx, func(ctx context.Context, t pgx.Tx) (pgx.Rows, error) {
		var none string
		if err := t.QueryRow(ctx, beginStream, workspace).Scan(&version, &none); err != nil {
			return nil, notFound(err)
		}
		return t.Query(ctx, selectJWKs, workspace)
	}, func(rows pgx.Rows) error {
		key, err := scanJWK(rows)
		if err != nil {
			return err
		}
		return yield(key)
	})
	if err != nil {
		return 0, wrap(ctx, "read published keys", err)
	}
	return version, nil
}

// Tombstone implements store.Store.
func (s *Store) Tombstone(ctx context.Context, workspace string) (key jwks.Key, err error) {
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, selectTombstone, workspace)
		if err != nil {
			return err
		}
		defer rows.Close()
		if !rows.Next() {
			return errors.Join(rows.Err(), store.ErrNotFound)
		}
		key, err = scanJWK(rows)
		return err
	})
	return key, wrap(ctx, "read tombstone", err)
}

func scanJWK(rows pgx.Rows) (jwks.Key, error) {
	var kid, n pgtype.DriverBytes // until the next row
	if err := rows.Scan(&kid, &n); err != nil {
		return jwks.Key{}, err
	}
	key, err := jwks.FromModulus(n)
	if err != nil {
		return jwks.Key{}, fmt.Errorf("%w: a JWK: %w", store.ErrDamaged, err)
	}
	if got := key.KID(); string(got[:]) != string(kid) {
		return jwks.Key{}, fmt.Errorf("%w: a JWK's kid is not its thumbprint %s", store.ErrDamaged, got)
	}
	return key, nil
}

// Versions implements store.Store. While it runs, it occupies a connection.
func (s *Store) Versions(ctx context.Context, yield func(workspace string, version uint64, print jwks.Fingerprint) error) error {
	return wrap(ctx, "read versions", s.stream(ctx, func(ctx context.Context, t pgx.Tx) (pgx.Rows, error) {
		if _, err := t.Exec(ctx, `SET LOCAL statement_timeout = 0`); err != nil {
			return nil, err
		}
		return t.Query(ctx, selectVersions)
	}, func(rows pgx.Rows) error {
		var (
			workspace string
			version   uint64
			bits      pgtype.Bits
			print     jwks.Fingerprint
		)
		if err := rows.Scan(&workspace, &version, &bits); err != nil {
			return err
		}
		copy(print[:], bits.Bytes)
		return yield(workspace, version, print)
	}))
}

// stream calls row for each row of query in a transaction that sees one state of the database, however
// long it takes. It fails if no row comes for stallTimeout, when ctx ends, or when the store is closed.
func (s *Store) stream(ctx context.Context, query func(context.Context, pgx.Tx) (pgx.Rows, error), row func(pgx.Rows) error) error {
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.closing, func() { cancel(errClosed) })()
	stall := time.AfterFunc(stallTimeout, func() { cancel(errStalled) })
	defer stall.Stop()
	begun := false
	again := func(err error) bool { return !begun && lost(err) }
	err := s.call(inner, s.following, again, func(ctx context.Context, c *pgxpool.Conn) error {
		t, err := c.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
		if err != nil {
			return err
		}
		defer rollback(ctx, t)
		rows, err := query(ctx, t)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			begun = true
			stall.Stop() // its consumer may be slow
			if err := row(rows); err != nil {
				cancel(nil) // otherwise Close would read all other rows
				return err
			}
			stall.Reset(stallTimeout)
		}
		return rows.Err()
	})
	if cause := context.Cause(inner); err != nil && (errors.Is(cause, errStalled) || errors.Is(cause, errClosed)) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}
