package postgres

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/burnkey/burnkey/store"
)

const (
	auditColumns = `workspace, id, at, actor_kind, actor_id, actor_from, action, key, owner, result, detail`
	// recordEntry adds an entry to the audit within the statement of the change. The statement's first
	// arguments are entryArgs: $1 is the workspace and $8 the key. A FROM added to it can make it add
	// nothing.
	recordEntry = `INSERT INTO audit (` + auditColumns + `) SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11`
)

func entryArgs(e store.Entry) []any {
	// Not micros: the zero time is not NULL here.
	return []any{
		e.Workspace, [16]byte(e.ID), e.At.UnixMicro(), e.Actor.Kind, e.Actor.ID, e.Actor.From, e.Action,
		idOrNull(e.Key), orNull(e.Owner), e.Result, string(e.Detail),
	}
}

// Record implements store.Store. It and changes of the workspace do not wait for one another.
func (s *Store) Record(ctx context.Context, e store.Entry) error {
	if e.At.IsZero() {
		return wrap(ctx, "record", errTime)
	}
	e = store.Recorded(ctx, e)
	return wrap(ctx, "record", s.write(ctx, "audit "+e.Workspace, func(ctx context.Context, c conn) error {
		_, err := c.Exec(ctx, recordEntry, entryArgs(e)...)
		return err
	}))
}

// Audit implements store.Store.
func (s *Store) Audit(ctx context.Context, workspace string, f store.AuditFilter) ([]store.Entry, uuid.UUID, error) {
	list, next, err := s.audit(ctx, workspace, f)
	return list, next, wrap(ctx, "read audit", err)
}

func (s *Store) audit(ctx context.Context, workspace string, f store.AuditFilter) (list []store.Entry, next uuid.UUID, err error) {
	if f.Limit < 1 {
		return nil, uuid.Nil, errLimit
	}
	for _, text := range []string{workspace, f.Owner, f.Action, f.ActorID, f.Result} {
		if !storable(text) {
			return []store.Entry{}, uuid.Nil, ctx.Err()
		}
	}
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) (err error) {
		way, end := auditWay(workspace, f), uuid.Nil
		if f.Rows > 0 && f.Narrows() {
			if end, err = lookTo(ctx, c, `audit`, way, f.Rows); err != nil {
				return err
			}
		}
		where := way.from(end)
		where.narrowAudit(f)
		page, err := pickEntries(ctx, c, where, f)
		if err != nil {
			return err
		}
		next = page.Next(end)
		list, err = readEntries(ctx, c, workspace, page.IDs)
		return err
	})
	return list, next, err
}

func pickEntriesQuery(where clause, f store.AuditFilter) (string, []any) {
	query := `SELECT id, 256 + octet_length(detail) FROM audit WHERE ` + where.text() + ` ORDER BY id DESC LIMIT ` + where.arg(f.Limit+1)
	return query, where.args
}

// pickEntries chooses the entries of a page, without reading their details.
func pickEntries(ctx context.Context, c *pgxpool.Conn, where clause, f store.AuditFilter) (*store.Picker[uuid.UUID], error) {
	query, args := pickEntriesQuery(where, f)
	rows, err := c.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	page := &store.Picker[uuid.UUID]{Limit: f.Limit, Bytes: f.Bytes}
	for more := true; more && rows.Next(); {
		var id uuid.UUID
		var size int
		if err := rows.Scan((*[16]byte)(&id), &size); err != nil {
			return nil, err
		}
		more = page.Add(id, size)
	}
	rows.Close()
	return page, rows.Err()
}

func readEntries(ctx context.Context, c *pgxpool.Conn, workspace string, ids []uuid.UUID) ([]store.Entry, error) {
	if len(ids) == 0 {
		return []store.Entry{}, nil
	}
	rows, _ := c.Query(ctx, `SELECT `+auditColumns+` FROM audit WHERE workspace = $1 AND id = ANY ($2) ORDER BY id DESC`, workspace,
		arrayOf(ids))
	return pgx.CollectRows(rows, scanEntry)
}

// narrowAudit adds the conditions that no index answers.
func (c *clause) narrowAudit(f store.AuditFilter) {
	for _, is := range []struct{ column, value string }{{`action`, f.Action}, {`result`, f.Result}} {
		if is.value != "" {
			c.add(is.column + ` = ` + c.arg(is.value))
		}
	}
	if f.ActorID != "" {
		c.add(`actor_id IN (` + c.arg(f.ActorID) + `, ` + c.arg(f.ActorAsID()) + `)`)
	}
}

// auditWay returns the conditions that an index answers.
func auditWay(workspace string, f store.AuditFilter) (c clause) {
	c.add(`workspace = ` + c.arg(workspace))
	if f.Owner != "" {
		c.add(`owner = ` + c.arg(f.Owner))
	}
	if f.Key != uuid.Nil {
		c.add(`key = ` + c.arg([16]byte(f.Key)))
	}
	if f.After != uuid.Nil {
		c.add(`id < ` + c.arg([16]byte(f.After)))
	}
	// The times in the ids select a range of the index; the column has the exact time.
	if !f.Since.IsZero() {
		at := roundUp(f.Since)
		c.add(`id >= ` + c.arg([16]byte(store.FirstEntryID(time.UnixMicro(at)))) + ` AND at >= ` + c.arg(at))
	}
	if !f.Until.IsZero() {
		at := roundUp(f.Until)
		c.add(`id < ` + c.arg([16]byte(store.FirstEntryID(time.UnixMicro(at)))) + ` AND at < ` + c.arg(at))
	}
	return c
}

// scanEntry reads a row of auditColumns.
func scanEntry(row pgx.CollectableRow) (store.Entry, error) {
	var (
		e      store.Entry
		at     int64
		key    *[16]byte
		owner  *string
		detail string
	)
	err := row.Scan(&e.Workspace, (*[16]byte)(&e.ID), &at, &e.Actor.Kind, &e.Actor.ID, &e.Actor.From, &e.Action, &key,
		&owner, &e.Result, &detail)
	if err != nil {
		return store.Entry{}, err
	}
	e.At, e.Key, e.Owner, e.Detail = time.UnixMicro(at).UTC(), orZero(key), orZero(owner), json.RawMessage(detail)
	return e, nil
}

const (
	// beginCut allows the transaction to delete entries: see audit_is_append_only.
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
		_, err = t.Exec(ctx, recordEntry, entryArgs(store.AuditWasCut(ctx, workspace, int(n), before, now))...)
		return err
	}))
	if err != nil {
		return 0, wrap(ctx, "cut audit", err)
	}
	return int(n), nil
}
