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
	"github.com/burnkey/burnkey/store/internal/rows"
)

const (
	// beginStream removes the statement timeout: a stream can be as slow as its consumer.
	beginStream    = `SET LOCAL statement_timeout = 0`
	selectJWKs     = `SELECT kid, n, attributes FROM jwks WHERE workspace = $1 AND n <> $2 ORDER BY kid` // without imported keys: rows.NoJWK
	selectVersions = `SELECT id, version, fingerprint FROM workspaces`
	// selectTombstone finds the tombstone, which is the only JWK without a record or a signer.
	selectTombstone = `SELECT kid, n FROM jwks WHERE workspace = $1 AND NOT EXISTS (
		SELECT 1 FROM keys WHERE keys.workspace = jwks.workspace AND keys.kid = jwks.kid) AND NOT EXISTS (
		SELECT 1 FROM signers WHERE signers.workspace = jwks.workspace AND signers.kid = jwks.kid) LIMIT 1`
	// stallTimeout is how long a stream waits for its next row.
	stallTimeout = 30 * time.Second
)

var errStalled = fmt.Errorf("no row came for %v", stallTimeout)

// Published implements store.Store. It occupies a connection, and meanwhile the database can't delete old
// versions of rows.
func (s *Store) Published(ctx context.Context, workspace string, yield func(jwks.Key, jwks.Attributes) error) (
	version uint64, unsigned jwks.Unsigned, err error,
) {
	var attributes jwks.Attributes
	err = s.stream(ctx, func(ctx context.Context, t pgx.Tx) (pgx.Rows, error) {
		if _, err := t.Exec(ctx, beginStream); err != nil {
			return nil, err
		}
		if err := t.QueryRow(ctx, rows.SelectVersioned, workspace).Scan(rows.Versioned(&version, &unsigned)...); err != nil {
			return nil, rows.NotFound(err)
		}
		found, _ := t.Query(ctx, rows.SelectShared, workspace) // its error is that of CollectRows
		var err error
		unsigned.Limits, err = pgx.CollectRows(found, func(row pgx.CollectableRow) (set jwks.LimitSet, err error) {
			return set, row.Scan(rows.Shared(&set)...)
		})
		if err != nil {
			return nil, err
		}
		if unsigned.Imported, err = readImported(ctx, t, workspace); err != nil {
			return nil, err
		}
		return t.Query(ctx, selectJWKs, workspace, rows.NoJWK)
	}, func(row pgx.Rows) error {
		key, err := scanJWK(row, rows.Attributes(&attributes))
		if err != nil {
			return err
		}
		return yield(key, attributes)
	})
	if err != nil {
		return 0, jwks.Unsigned{}, wrap(ctx, "read published keys", err)
	}
	return version, unsigned, nil
}

// Tombstone implements store.Store.
func (s *Store) Tombstone(ctx context.Context, workspace string) (key jwks.Key, err error) {
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		found, _ := c.Query(ctx, selectTombstone, workspace) // its error is found.Err
		key, err = pgx.CollectExactlyOneRow(found, func(row pgx.CollectableRow) (jwks.Key, error) { return scanJWK(row) })
		return rows.NotFound(err)
	})
	return key, wrap(ctx, "read tombstone", err)
}

// scanJWK reads a kid and a modulus, which come before the columns `after`.
func scanJWK(row pgx.Row, after ...any) (jwks.Key, error) {
	var kid, n pgtype.DriverBytes // until the next row
	if err := row.Scan(append([]any{&kid, &n}, after...)...); err != nil {
		return jwks.Key{}, err
	}
	return rows.JWK(kid, n)
}

// Versions implements store.Store. While it runs, it occupies a connection.
func (s *Store) Versions(ctx context.Context, yield func(workspace string, version uint64, print jwks.Fingerprint) error) error {
	return wrap(ctx, "read versions", s.stream(ctx, func(ctx context.Context, t pgx.Tx) (pgx.Rows, error) {
		if _, err := t.Exec(ctx, beginStream); err != nil {
			return nil, err
		}
		return t.Query(ctx, selectVersions)
	}, func(row pgx.Rows) error {
		var (
			workspace string
			version   uint64
			bits      pgtype.Bits
			print     jwks.Fingerprint
		)
		if err := row.Scan(&workspace, &version, &bits); err != nil {
			return err
		}
		copy(print[:], bits.Bytes)
		return yield(workspace, version, print)
	}))
}

// stream calls row for each row of query in a transaction that sees one state of the database, however long it
// takes. stream fails if no row arrives within stallTimeout, when ctx ends, or when the store is closed.
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
		found, err := query(ctx, t)
		if err != nil {
			return err
		}
		defer found.Close()
		for found.Next() {
			begun = true
			stall.Stop() // its consumer may be slow
			if err := row(found); err != nil {
				cancel(nil) // otherwise Close would read all other rows
				return err
			}
			stall.Reset(stallTimeout)
		}
		return found.Err()
	})
	if cause := context.Cause(inner); err != nil && (errors.Is(cause, errStalled) || errors.Is(cause, errClosed)) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}
