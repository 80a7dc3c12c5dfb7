package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/burnkey/burnkey/store"
)

const (
	// lastUsed is a column of a query on keys.
	lastUsed = `(SELECT last_used_at FROM usage WHERE usage.workspace = keys.workspace AND usage.id = keys.id)`
	// recordUsage keeps uses once the workspace's row of reports is locked, so that no two
	// reports wait for one another's keys in a circle. $6 is the earliest report that
	// leaves no gap to this one.
	recordUsage = `WITH used AS (
			SELECT keys.id, u.at FROM unnest($2::bytea[], $3::bigint[]) AS u (kid, at)
			JOIN keys ON keys.workspace = $1 AND keys.kid = u.kid
		), reported AS (
			INSERT INTO usage_reports AS r (workspace, since, reported_at) SELECT id, $4::bigint, $4 FROM workspaces WHERE id = $1
			ON CONFLICT (workspace) DO UPDATE SET
				since = CASE WHEN $5 OR r.reported_at < $6 THEN greatest(r.since, excluded.since) ELSE r.since END,
				reported_at = greatest(r.reported_at, excluded.reported_at)
			RETURNING workspace
		), kept AS (
			INSERT INTO usage AS k (workspace, id, last_used_at)
			SELECT workspace, id, max(at) FROM reported, used GROUP BY workspace, id
			ON CONFLICT (workspace, id) DO UPDATE SET last_used_at = excluded.last_used_at
			WHERE k.last_used_at < excluded.last_used_at
		)
		SELECT EXISTS (SELECT FROM reported), (SELECT count(*) FROM used)`
)

// RecordUsage implements store.Store.
func (s *Store) RecordUsage(ctx context.Context, workspace string, uses []store.Use, r store.Report) (unknown int, err error) {
	if r.At.IsZero() {
		return 0, wrap(ctx, "record usage", errTime)
	}
	kids, times := make([][]byte, len(uses)), make([]int64, len(uses))
	for i, use := range uses {
		if use.At.IsZero() {
			return 0, wrap(ctx, "record usage", errTime)
		}
		kids[i], times[i] = uses[i].KID[:], use.At.UnixMicro()
	}
	args := []any{workspace, kids, times, r.At.UnixMicro(), r.Incomplete, r.At.Add(-store.UsageGap).UnixMicro()}
	// Its own gate, as sessions have.
	err = s.write(ctx, "usage "+workspace, func(ctx context.Context, c *pgxpool.Conn) error {
		var known bool
		var kept int
		err := c.QueryRow(ctx, recordUsage, args...).Scan(&known, &kept)
		if err == nil && !known {
			err = store.ErrNotFound
		}
		unknown = len(uses) - kept
		return err
	})
	if err != nil {
		return 0, wrap(ctx, "record usage", err)
	}
	return unknown, nil
}

// unused selects by Filter.UnusedSince, in microseconds.
func (c *clause) unused(since int64) {
	at := c.arg(since)
	c.add(`(created_at IS NULL OR created_at < ` + at + `) AND NOT EXISTS (SELECT FROM usage
		WHERE usage.workspace = keys.workspace AND usage.id = keys.id AND last_used_at >= ` + at + `)`)
}

// scanUsed reads a row of lastUsed and keyColumns.
func scanUsed(workspace string, row pgx.Row) (store.Key, error) {
	var used *int64
	k, err := scanKey(workspace, behind{row, &used})
	if err == nil {
		k.LastUsedAt = fromMicros(used)
	}
	return k, err
}
