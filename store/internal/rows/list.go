package rows

import (
	"strings"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

// lookTo returns the id of the last row that a list can examine within `rows` rows, or uuid.Nil for no bound.
func lookTo(q Query, table string, found Where, narrows bool, rows int) (id uuid.UUID, err error) {
	if rows <= 0 || !narrows {
		return uuid.Nil, nil
	}
	query, args := found.query(`SELECT id FROM `+table, ` ORDER BY id DESC LIMIT 1 OFFSET %s`, rows-1)
	err = q.first(found.IDInto(&id), query, args...)
	return id, err
}

// among selects rows by ids.
func (w *Where) among(ids []uuid.UUID) {
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = w.ID(id)
	}
	w.Among(w, args)
}

// page is query with a LIMIT. A search has no LIMIT, because some of its rows are dropped afterwards.
func (w Where) page(begin, order, search string, limit int) (string, []any) {
	if search != "" {
		return w.query(begin, order)
	}
	return w.query(begin, order+` LIMIT %s`, limit+1)
}

// Audit implements store.Store.Audit.
func (d *Dialect) Audit(q Query, workspace string, f store.AuditFilter) ([]store.Entry, uuid.UUID, error) {
	if f.Limit < 1 {
		return nil, uuid.Nil, ErrLimit
	}
	if !storable(workspace, f.Owner, f.Action, f.ActorID, f.Result) {
		return []store.Entry{}, uuid.Nil, nil
	}
	where := d.audit(workspace, f)
	end, err := lookTo(q, `audit`, where, f.Narrows(), f.Rows)
	if err != nil {
		return nil, uuid.Nil, err
	}
	where = where.downTo(end)
	where.narrowAudit(f)
	page, err := where.pick(q, `SELECT id, 256 + octet_length(detail) FROM audit`, f.Limit, f.Bytes)
	if err != nil || len(page.IDs) == 0 {
		return []store.Entry{}, page.Next(end), err
	}
	read := Where{Dialect: d}
	read.Add(`workspace = %s`, workspace)
	read.among(page.IDs)
	query, args := read.query(`SELECT `+AuditColumns+` FROM audit`, ` ORDER BY id DESC`)
	list, err := collect(q, d.entry, query, args...)
	return list, page.Next(end), err
}

// pick chooses the rows of a page by a query of their ids and sizes.
func (w Where) pick(q Query, sized string, limit, bytes int) (*store.Picker[uuid.UUID], error) {
	var (
		id   uuid.UUID
		size int
		page = &store.Picker[uuid.UUID]{Limit: limit, Bytes: bytes}
	)
	query, args := w.page(sized, ` ORDER BY id DESC`, "", limit)
	for err := range q([]any{w.IDInto(&id), &size}, query, args...) {
		if err != nil {
			return page, err
		}
		if !page.Add(id, size) {
			break
		}
	}
	return page, nil
}

// Workspaces implements store.Store.Workspaces.
func (d *Dialect) Workspaces(q Query, f store.WorkspaceFilter) (list []store.Workspace, next string, err error) {
	if f.Limit < 1 {
		return nil, "", ErrLimit
	}
	if !storable(f.Query, f.After, f.EnvironmentOf) {
		return []store.Workspace{}, "", nil
	}
	end := ""
	if f.Rows > 0 && f.Query != "" {
		err := q.first(&end, `SELECT id FROM workspaces WHERE id > $1 ORDER BY id LIMIT 1 OFFSET $2`, f.After, f.Rows-1)
		if err != nil {
			return nil, "", err
		}
	}
	page, err := d.pickWorkspaces(q, f, end)
	if err != nil || len(page.IDs) == 0 {
		return []store.Workspace{}, page.Next(end), err
	}
	read, ids := Where{Dialect: d}, make([]any, len(page.IDs))
	for i, id := range page.IDs {
		ids[i] = id
	}
	d.Among(&read, ids)
	// The list omits the settings, which are much larger than the other columns.
	query, args := read.query(`SELECT `+WorkspaceColumns+`, NULL, NULL, `+ReportedColumns+`, `+GatewayColumns+` FROM workspaces
		LEFT JOIN usage_reports ON usage_reports.workspace = workspaces.id`, ` ORDER BY id`)
	list, err = collect(q, d.Workspace, query, args...)
	return list, page.Next(end), err
}

func (d *Dialect) pickWorkspaces(q Query, f store.WorkspaceFilter, end string) (*store.Picker[string], error) {
	var (
		id, name string
		size     int
		where    = Where{Dialect: d}
		search   = store.NewSearch(f.Query)
		page     = &store.Picker[string]{Limit: f.Limit, Bytes: f.Bytes}
	)
	where.Add(`id > %s`, f.After)
	if f.EnvironmentOf != "" {
		where.Add(`environment_of = %s`, f.EnvironmentOf)
	}
	if f.Query != "" {
		where.terms = append(where.terms, `(`+strings.Join(where.maybe(search, `id`, `name`), ` OR `)+`)`)
	}
	if end != "" {
		where.Add(`id <= %s`, end)
	}
	query, args := where.page(`SELECT id, name, 512 + octet_length(name) + `+d.ListSize(`audiences`)+` FROM workspaces`,
		` ORDER BY id`, f.Query, f.Limit)
	for err := range q([]any{&id, &name, &size}, query, args...) {
		if err != nil {
			return page, err
		}
		if (f.Query == "" || search.Names(id, name)) && !page.Add(id, size) {
			break
		}
	}
	return page, nil
}
