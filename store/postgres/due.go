package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/burnkey/burnkey/store"
)

const (
	selectDue = `SELECT workspace, ` + keyColumns + ` FROM keys WHERE due_at IS NOT NULL
		AND (due_at, workspace, id) > ($1, $2, $3) AND due_at <= $4 ORDER BY due_at, workspace, id LIMIT $5`
	selectNextDue = `SELECT (SELECT due_at FROM keys WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1)`
)

// Retire implements store.Store.
func (s *Store) Retire(ctx context.Context, workspace string, id uuid.UUID, at time.Time) (store.Key, error) {
	k, err := s.asRead(ctx, workspace, id, func(k store.Key) (store.Key, error) {
		if !k.IsDue(at) {
			return k, nil
		}
		k = store.Retired(k, cut(at), 0) // the database knows the version
		return s.remove(ctx, k, store.KeyRetired(k, at))
	})
	return k, wrap(ctx, "retire key", err)
}

// Due implements store.Store.
func (s *Store) Due(ctx context.Context, after store.DuePlace, until time.Time, limit int) ([]store.Key, error) {
	if limit < 1 {
		return nil, wrap(ctx, "list due keys", errLimit)
	}
	var list []store.Key
	err := s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) (err error) {
		rows, _ := c.Query(ctx, selectDue, after.At.UnixMicro(), after.Workspace, [16]byte(after.ID),
			until.UnixMicro(), limit) // its error is rows.Err
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Key, error) {
			var workspace string
			k, err := scanKey("", behind{row, &workspace})
			k.Workspace = workspace
			return k, err
		})
		return err
	})
	return list, wrap(ctx, "list due keys", err)
}

// NextDue implements store.Store.
func (s *Store) NextDue(ctx context.Context) (time.Time, error) {
	var at *int64
	err := s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		return c.QueryRow(ctx, selectNextDue).Scan(&at)
	})
	return fromMicros(at), wrap(ctx, "read when a key is due", err)
}
