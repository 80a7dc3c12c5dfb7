package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

const (
	// lockReports locks the workspace's row in usage_reports, so that two reports do not deadlock and each sees
	// the other's changes. If the previous report is older than the time $5, there is a gap.
	lockReports = `INSERT INTO usage_reports AS r (workspace, since, until, reported_at)
		SELECT id, $2::bigint, $3::bigint, $2 FROM workspaces WHERE id = $1
		ON CONFLICT (workspace) DO UPDATE SET
			since = CASE WHEN $4 OR r.reported_at < $5 THEN greatest(r.since, excluded.since) ELSE r.since END,
			reported_at = greatest(r.reported_at, excluded.reported_at)`
	// recordUses begins a statement. It stores uses in the order of ids, so that two reports do not deadlock.
	recordUses = `WITH used AS (
			SELECT keys.id, u.at, u.limits FROM unnest($2::bytea[], $3::bigint[], $4::text[]) AS u (kid, at, limits)
			JOIN keys ON keys.workspace = $1 AND keys.kid = u.kid
		), stored AS (
			INSERT INTO usage AS k (workspace, id, last_used_at, limits, limits_at)
				SELECT DISTINCT ON (id) $1, id, at, limits, CASE WHEN limits IS NOT NULL THEN $5::bigint END FROM used ORDER BY id, at DESC
			ON CONFLICT (workspace, id) DO UPDATE SET last_used_at = greatest(k.last_used_at, excluded.last_used_at),
				limits = coalesce(excluded.limits, k.limits), limits_at = coalesce(excluded.limits_at, k.limits_at)
			WHERE k.last_used_at < excluded.last_used_at
				OR excluded.limits IS NOT NULL AND coalesce(k.limits_at, 0) < excluded.last_used_at -- limits of an earlier use
		)`
	// recordUsage comes after lockReports. $8 is the time since which a reporter must have reported to count.
	recordUsage = recordUses + `, reporter AS (
			INSERT INTO usage_reporters AS r (workspace, reporter, until, reported_at) VALUES ($1, $6, $7, $5)
			ON CONFLICT (workspace, reporter) DO UPDATE SET
				until = greatest(r.until, excluded.until), reported_at = greatest(r.reported_at, excluded.reported_at)
			RETURNING until
		), silent AS (
			DELETE FROM usage_reporters WHERE workspace = $1 AND reporter <> $6 AND reported_at < $8
		), known AS (
			UPDATE usage_reports SET until = least((SELECT until FROM reporter), (
				SELECT min(until) FROM usage_reporters WHERE workspace = $1 AND reporter <> $6 AND reported_at >= $8
			)) WHERE workspace = $1
		)
		SELECT count(*) FROM used`
	// recordPartial returns no row if there is no such workspace.
	recordPartial = recordUses + ` SELECT (SELECT count(*) FROM used) FROM workspaces WHERE id = $1`
	// deleteOldest deletes all but the latest MaxReporters reporters, of which $2 is one and $3 is the number
	// of the others. It deletes at most 1,000 at a time, because earlier versions stored any number.
	deleteOldest = `WITH oldest AS (
			SELECT reporter FROM usage_reporters WHERE workspace = $1 AND reporter <> $2
			ORDER BY reported_at DESC LIMIT 1000 OFFSET $3
		), gone AS (
			DELETE FROM usage_reporters AS r USING oldest WHERE r.workspace = $1 AND r.reporter = oldest.reporter RETURNING r.reporter
		)
		UPDATE usage_reports SET since = greatest(since, $4), until = (
			SELECT min(until) FROM usage_reporters WHERE workspace = $1 AND reporter NOT IN (SELECT reporter FROM gone)
		) WHERE workspace = $1 AND EXISTS (SELECT FROM gone)`
)

// RecordUsage implements store.Store.
func (s *Store) RecordUsage(ctx context.Context, workspace string, uses []store.Use, r store.Report) (unknown int, err error) {
	if r.At.IsZero() {
		return 0, wrap(ctx, "record usage", rows.ErrTime)
	}
	kids, times, left := make([][]byte, len(uses)), make([]int64, len(uses)), make([]any, len(uses))
	for i, use := range uses {
		if use.At.IsZero() {
			return 0, wrap(ctx, "record usage", rows.ErrTime)
		}
		kids[i], times[i], left[i] = uses[i].KID[:], use.At.UnixMicro(), rows.LeftArg(use.Left)
	}
	// Usage has a gate of its own, as sessions have.
	err = s.write(ctx, "usage "+workspace, inTx(func(ctx context.Context, t pgx.Tx) error {
		known, err := recordReport(ctx, t, r, workspace, kids, times, left, r.At.UnixMicro())
		unknown = len(uses) - known
		return err
	}))
	if err != nil {
		return 0, wrap(ctx, "record usage", err)
	}
	return unknown, nil
}

// recordReport stores a report, and returns how many of its uses are of keys of the workspace. uses are the arguments of
// recordUses: the first is the workspace, the last r.At.
func recordReport(ctx context.Context, t pgx.Tx, r store.Report, uses ...any) (known int, err error) {
	if r.Partial {
		err = rows.NotFound(t.QueryRow(ctx, recordPartial, uses...).Scan(&known))
		return known, err
	}
	workspace, at := uses[0], r.At.UnixMicro()
	until, unbroken := r.UntilAt().UnixMicro(), r.At.Add(-store.UsageGap).UnixMicro()
	tag, err := t.Exec(ctx, lockReports, workspace, at, until, r.Incomplete, unbroken)
	if err == nil && tag.RowsAffected() == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return 0, err
	}
	if err := t.QueryRow(ctx, recordUsage, append(uses, r.Reporter, until, unbroken)...).Scan(&known); err != nil {
		return 0, err
	}
	_, err = t.Exec(ctx, deleteOldest, workspace, r.Reporter, store.MaxReporters-1, at)
	return known, err
}

// LimitsLeft implements store.Store.
func (s *Store) LimitsLeft(ctx context.Context, workspace string, id uuid.UUID) (left []store.Left, at time.Time, err error) {
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		left, at, err = dialect.LimitsLeft(query(ctx, c), workspace, id)
		return err
	})
	return left, at, wrap(ctx, "read what limits allow", err)
}
