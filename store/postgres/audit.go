package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

// recordEntry adds an entry to the audit within the statement of the change. The statement's first arguments
// are those of EntryArgs: $1 is the workspace and $8 the key. If an appended FROM clause finds no row, no entry
// is added.
const recordEntry = `INSERT INTO audit (` + rows.AuditColumns + `) SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11`

// Record implements store.Store. Record and changes of the workspace do not wait for one another.
func (s *Store) Record(ctx context.Context, e store.Entry) error {
	if e.At.IsZero() {
		return wrap(ctx, "record", rows.ErrTime)
	}
	e = store.Recorded(ctx, e)
	return wrap(ctx, "record", s.write(ctx, "audit "+e.Workspace, func(ctx context.Context, c conn) error {
		_, err := c.Exec(ctx, recordEntry, dialect.EntryArgs(e)...)
		return err
	}))
}

const (
	// beginCut lets the transaction delete entries, which the trigger audit_is_append_only otherwise refuses.
	beginCut = `SELECT set_config('burnkey.audit_cut', 'on', true)`
	cutAudit = `DELETE FROM audit WHERE workspace = $1 AND id IN (SELECT id FROM audit
		WHERE workspace = $1 AND id <= $2 AND at < $3 ORDER BY id LIMIT $4)`
)

// CutAudit implements store.Store.
func (s *Store) CutAudit(ctx context.Context, workspace string, through uuid.UUID, before, now time.Time) (int, error) {
	var n int64
	err := s.write(ctx, "audit "+workspace, inTx(func(ctx context.Context, t pgx.Tx) error {
		if _, err := t.Exec(ctx, beginCut); err != nil {
			return err
		}
		tag, err := t.Exec(ctx, cutAudit, workspace, [16]byte(through), before.UnixMicro(), store.AuditCut)
		if n = tag.RowsAffected(); err != nil || n == 0 {
			return err
		}
		_, err = t.Exec(ctx, recordEntry, dialect.EntryArgs(store.AuditWasCut(ctx, workspace, int(n), before, now))...)
		return err
	}))
	if err != nil {
		return 0, wrap(ctx, "cut audit", err)
	}
	return int(n), nil
}
