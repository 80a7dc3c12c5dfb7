package postgres

import (
	"context"
	"math"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

const (
	selectVersion = `SELECT version FROM workspaces WHERE id = $1`
	selectChanges = `SELECT version, added, removed, unsigned FROM changes WHERE workspace = $1 AND version > $2
		ORDER BY version LIMIT $3`
	selectLog = `SELECT version, (SELECT min(version) FROM changes WHERE workspace = $1) FROM workspaces WHERE id = $1`
	// compactChanges takes no lock that writers of the workspace wait for.
	compactChanges = `DELETE FROM changes WHERE workspace = $1 AND version BETWEEN $2 AND $3`
	// compactAtOnce bounds the size of one transaction.
	compactAtOnce = 1000
)

// Changes implements store.Store.
func (s *Store) Changes(ctx context.Context, workspace string, after uint64, limit int) ([]jwks.Change, error) {
	if limit < 1 {
		return nil, wrap(ctx, "read changes", rows.ErrLimit)
	}
	var list []jwks.Change
	err := s.readFrom(ctx, s.following, func(ctx context.Context, c *pgxpool.Conn) (err error) {
		found, _ := c.Query(ctx, selectChanges, workspace, min(after, math.MaxInt64), limit) // its error is found.Err
		list, err = pgx.CollectRows(found, scanChange)
		switch {
		case err != nil:
			return err
		case len(list) == 0:
			var version uint64
			return rows.NotFound(c.QueryRow(ctx, selectVersion, workspace).Scan(&version))
		case list[0].Version != after+1:
			return store.ErrCompacted
		}
		return nil
	})
	if err != nil {
		return nil, wrap(ctx, "read changes", err)
	}
	return list, nil
}

func scanChange(row pgx.CollectableRow) (jwks.Change, error) {
	var (
		version        uint64
		added, removed pgtype.DriverBytes // until the next row
		unsigned       jwks.Unsigned
	)
	if err := row.Scan(&version, &added, &removed, rows.Unsigned(&unsigned)); err != nil {
		return jwks.Change{}, err
	}
	return rows.Change(version, added, removed, unsigned)
}

// Compact implements store.Store. Versions have no gaps, so Compact need not count rows to see whether more are
// left.
func (s *Store) Compact(ctx context.Context, workspace string, through uint64) (more bool, err error) {
	err = s.write(ctx, workspace, func(ctx context.Context, c conn) error {
		var version uint64
		var first *uint64
		if err := c.QueryRow(ctx, selectLog, workspace).Scan(&version, &first); err != nil {
			return rows.NotFound(err)
		}
		through = min(through, version-1) // the version may rise meanwhile, which only leaves more changes
		if first == nil || *first > through {
			return nil
		}
		last := min(through, *first+compactAtOnce-1)
		more = last < through
		_, err := c.Exec(ctx, compactChanges, workspace, *first, last)
		return err
	})
	return more, wrap(ctx, "compact changes", err)
}
