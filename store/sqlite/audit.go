package sqlite

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

const insertAudit = `INSERT INTO audit (` + rows.AuditColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

// record adds entries to the audit, in the transaction of the changes that they describe.
func record(t *tx, entries ...store.Entry) error {
	for _, e := range entries {
		if _, err := t.exec(insertAudit, dialect.EntryArgs(e)...); err != nil {
			return err
		}
	}
	return nil
}

// Record implements store.Store.
func (s *Store) Record(ctx context.Context, e store.Entry) error {
	if e.At.IsZero() {
		return wrap(ctx, "record", rows.ErrTime)
	}
	e = store.Recorded(ctx, e)
	return wrap(ctx, "record", s.write(ctx, func(t *tx) error { return record(t, e) }))
}

const (
	beginCut = `INSERT INTO audit_cuts (workspace) VALUES (?)`
	endCut   = `DELETE FROM audit_cuts WHERE workspace = ?`
	cutAudit = `DELETE FROM audit WHERE workspace = ?1 AND id IN (SELECT id FROM audit
		WHERE workspace = ?1 AND id <= ?2 AND at < ?3 ORDER BY id LIMIT ?4)`
)

// CutAudit implements store.Store.
func (s *Store) CutAudit(ctx context.Context, workspace string, through uuid.UUID, before, now time.Time) (int, error) {
	var n int64
	err := s.write(ctx, func(t *tx) (err error) {
		if _, err := t.exec(beginCut, workspace); err != nil {
			return err
		}
		if n, err = t.exec(cutAudit, workspace, through[:], before.UnixMicro(), store.AuditCut); err != nil {
			return err
		}
		if _, err := t.exec(endCut, workspace); err != nil || n == 0 {
			return err
		}
		return record(t, store.AuditWasCut(ctx, workspace, int(n), before, now))
	})
	if err != nil {
		return 0, wrap(ctx, "cut audit", err)
	}
	return int(n), nil
}
