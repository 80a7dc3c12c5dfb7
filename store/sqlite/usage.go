package sqlite

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

const (
	// If the previous report is older than upsertReport's last argument, there is a gap.
	upsertReport = `INSERT INTO usage_reports (workspace, since, until, reported_at) SELECT id, ?, ?, ? FROM workspaces WHERE id = ?
		ON CONFLICT (workspace) DO UPDATE SET
			since = CASE WHEN ? OR reported_at < ? THEN max(since, excluded.since) ELSE since END,
			reported_at = max(reported_at, excluded.reported_at)`
	upsertReporter = `INSERT INTO usage_reporters (workspace, reporter, until, reported_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (workspace, reporter) DO UPDATE SET
			until = max(until, excluded.until), reported_at = max(reported_at, excluded.reported_at)`
	deleteSilent = `DELETE FROM usage_reporters WHERE workspace = ? AND reporter <> ? AND reported_at < ?`
	// deleteOldest deletes all but the latest MaxReporters reporters. It deletes at most 1,000 at a time,
	// because earlier versions stored any number.
	deleteOldest = `DELETE FROM usage_reporters WHERE workspace = ?1 AND reporter IN (SELECT reporter FROM usage_reporters
		WHERE workspace = ?1 AND reporter <> ?2 ORDER BY reported_at DESC LIMIT 1000 OFFSET ?3)`
	raiseSince  = `UPDATE usage_reports SET since = max(since, ?) WHERE workspace = ?`
	updateUntil = `UPDATE usage_reports SET until = (SELECT min(until) FROM usage_reporters WHERE workspace = ?) WHERE workspace = ?`
	// isLater means that the stored limits are of an earlier use: they were reported before this use, or this use is the latest.
	isLater = `(coalesce(limits_at, 0) < excluded.last_used_at OR last_used_at < excluded.last_used_at)`
	// upsertUse changes one row if the key exists, even if the new time is not later than the stored time.
	upsertUse = `INSERT INTO usage (workspace, id, last_used_at, limits, limits_at)
		SELECT workspace, id, ?1, ?2, CASE WHEN ?2 IS NOT NULL THEN ?3 END FROM keys WHERE workspace = ?4 AND kid = ?5
		ON CONFLICT (workspace, id) DO UPDATE SET
			limits = CASE WHEN ` + isLater + ` THEN coalesce(excluded.limits, limits) ELSE limits END,
			limits_at = CASE WHEN ` + isLater + ` THEN coalesce(excluded.limits_at, limits_at) ELSE limits_at END,
			last_used_at = max(last_used_at, excluded.last_used_at)`
)

// RecordUsage implements store.Store.
func (s *Store) RecordUsage(ctx context.Context, workspace string, uses []store.Use, r store.Report) (unknown int, err error) {
	if r.At.IsZero() {
		return 0, wrap(ctx, "record usage", rows.ErrTime)
	}
	err = s.write(ctx, func(t *tx) error {
		if err := recordReport(t, workspace, r); err != nil {
			return err
		}
		for _, use := range uses {
			if use.At.IsZero() {
				return rows.ErrTime
			}
			n, err := t.exec(upsertUse, use.At.UnixMicro(), rows.LeftArg(use.Left), r.At.UnixMicro(), workspace, use.KID[:])
			if err != nil {
				return err
			}
			if n == 0 {
				unknown++
			}
		}
		return nil
	})
	if err != nil {
		return 0, wrap(ctx, "record usage", err)
	}
	return unknown, nil
}

// LimitsLeft implements store.Store.
func (s *Store) LimitsLeft(ctx context.Context, workspace string, id uuid.UUID) ([]store.Left, time.Time, error) {
	left, at, err := dialect.LimitsLeft(s.query(ctx), workspace, id)
	return left, at, wrap(ctx, "read what limits allow", err)
}

func recordReport(t *tx, workspace string, r store.Report) error {
	if r.Partial {
		_, err := scanWorkspace(t.row(selectWorkspace, workspace))
		return err
	}
	at, until, unbroken := r.At.UnixMicro(), r.UntilAt().UnixMicro(), r.At.Add(-store.UsageGap).UnixMicro()
	n, err := t.exec(upsertReport, at, until, at, workspace, r.Incomplete, unbroken)
	if err == nil && n == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return err
	}
	if _, err := t.exec(upsertReporter, workspace, r.Reporter, until, at); err != nil {
		return err
	}
	if _, err := t.exec(deleteSilent, workspace, r.Reporter, unbroken); err != nil {
		return err
	}
	deleted, err := t.exec(deleteOldest, workspace, r.Reporter, store.MaxReporters-1)
	if err != nil {
		return err
	}
	if deleted > 0 {
		if _, err := t.exec(raiseSince, at, workspace); err != nil {
			return err
		}
	}
	_, err = t.exec(updateUntil, workspace, workspace)
	return err
}
