package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

const (
	auditColumns = `workspace, id, at, actor_kind, actor_id, actor_from, action, key, owner, result, detail`
	insertAudit  = `INSERT INTO audit (` + auditColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
)

// record adds entries to the audit, in the transaction of the changes that they describe.
func record(t *tx, entries ...store.Entry) error {
	for _, e := range entries {
		owner := sql.NullString{String: e.Owner, Valid: e.Owner != ""}
		// Not micros: the zero time is not NULL here.
		_, err := t.exec(insertAudit, e.Workspace, e.ID[:], e.At.UnixMicro(), e.Actor.Kind, e.Actor.ID, e.Actor.From,
			e.Action, orNull(e.Key), owner, e.Result, string(e.Detail))
		if err != nil {
			return err
		}
	}
	return nil
}

// Record implements store.Store.
func (s *Store) Record(ctx context.Context, e store.Entry) error {
	if e.At.IsZero() {
		return wrap(ctx, "record", errTime)
	}
	e = store.Recorded(ctx, e)
	return wrap(ctx, "record", s.write(ctx, func(t *tx) error { return record(t, e) }))
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
	way, end := auditWay(workspace, f), uuid.Nil
	if f.Rows > 0 && f.Narrows() {
		if end, err = s.lookTo(ctx, `audit`, way, f.Rows); err != nil {
			return nil, uuid.Nil, err
		}
	}
	where := way.from(end)
	where.narrowAudit(f)
	page, err := s.pickEntries(ctx, where, f)
	if err != nil {
		return nil, uuid.Nil, err
	}
	list, err = s.readEntries(ctx, workspace, page.IDs)
	return list, page.Next(end), err
}

func pickEntriesQuery(where clause) string {
	return `SELECT id, 256 + octet_length(detail) FROM audit WHERE ` + where.text() + ` ORDER BY id DESC LIMIT ?`
}

// pickEntries chooses the entries of a page, without reading their details.
func (s *Store) pickEntries(ctx context.Context, where clause, f store.AuditFilter) (*store.Picker[uuid.UUID], error) {
	rows, err := s.reader.QueryContext(ctx, pickEntriesQuery(where), append(where.args, f.Limit+1)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	page := &store.Picker[uuid.UUID]{Limit: f.Limit, Bytes: f.Bytes}
	for more := true; more && rows.Next(); {
		var id []byte
		var size int
		if err := rows.Scan(&id, &size); err != nil {
			return nil, err
		}
		entry, err := uuid.FromBytes(id)
		if err != nil {
			return nil, err
		}
		more = page.Add(entry, size)
	}
	return page, rows.Err()
}

func (s *Store) readEntries(ctx context.Context, workspace string, ids []uuid.UUID) ([]store.Entry, error) {
	list := []store.Entry{}
	if len(ids) == 0 {
		return list, ctx.Err()
	}
	var where clause
	where.add(`workspace = ?`, workspace)
	where.among(ids)
	rows, err := s.reader.QueryContext(ctx, `SELECT `+auditColumns+` FROM audit WHERE `+where.text()+` ORDER BY id DESC`, where.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		e, err := scanEntry(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, rows.Err()
}

// narrowAudit adds the conditions that no index answers.
func (c *clause) narrowAudit(f store.AuditFilter) {
	for _, is := range []struct{ column, value string }{{`action`, f.Action}, {`result`, f.Result}} {
		if is.value != "" {
			c.add(is.column+` = ?`, is.value)
		}
	}
	if f.ActorID != "" {
		c.add(`actor_id IN (?, ?)`, f.ActorID, f.ActorAsID())
	}
}

// auditWay returns the conditions that an index answers.
func auditWay(workspace string, f store.AuditFilter) (c clause) {
	c.add(`workspace = ?`, workspace)
	if f.Owner != "" {
		c.add(`owner = ?`, f.Owner)
	}
	if f.Key != uuid.Nil {
		c.add(`key = ?`, f.Key[:])
	}
	if f.After != uuid.Nil {
		c.add(`id < ?`, f.After[:])
	}
	// The times in the ids select a range of the index; the column has the exact time.
	if !f.Since.IsZero() {
		at := roundUp(f.Since)
		first := store.FirstEntryID(time.UnixMicro(at))
		c.add(`id >= ? AND at >= ?`, first[:], at)
	}
	if !f.Until.IsZero() {
		at := roundUp(f.Until)
		end := store.FirstEntryID(time.UnixMicro(at))
		c.add(`id < ? AND at < ?`, end[:], at)
	}
	return c
}

// scanEntry reads a row of auditColumns.
func scanEntry(rows *sql.Rows) (store.Entry, error) {
	var (
		e             store.Entry
		id, key       []byte
		at            int64
		owner         sql.NullString
		detail        string
		errID, errKey error
	)
	err := rows.Scan(&e.Workspace, &id, &at, &e.Actor.Kind, &e.Actor.ID, &e.Actor.From, &e.Action, &key, &owner,
		&e.Result, &detail)
	if err != nil {
		return store.Entry{}, err
	}
	e.ID, errID = uuid.FromBytes(id)
	e.Key, errKey = idOrNil(key)
	e.At, e.Owner, e.Detail = time.UnixMicro(at).UTC(), owner.String, json.RawMessage(detail)
	return e, errors.Join(errID, errKey)
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
