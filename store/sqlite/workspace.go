package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

const (
	insertWorkspace = `INSERT INTO workspaces (` + workspaceColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO NOTHING`
	updateWorkspace = `UPDATE workspaces SET name = ?, audiences = ?, allow_never_expires = ?, updated_at = ?
		WHERE id = ?`
	upsertSettings = `INSERT INTO settings (workspace, policy, portal) VALUES (?, ?, ?)
		ON CONFLICT (workspace) DO UPDATE SET policy = excluded.policy, portal = excluded.portal`
	upsertLogo = `INSERT INTO logos (workspace, png) VALUES (?, ?)
		ON CONFLICT (workspace) DO UPDATE SET png = excluded.png`
	deleteLogo     = `DELETE FROM logos WHERE workspace = ?`
	selectLogo     = `SELECT png FROM logos WHERE workspace = ?`
	fromWorkspaces = `SELECT ` + workspaceColumns + `, ` + settingsColumns + `, ` + reportedColumns + ` FROM workspaces
		LEFT JOIN settings ON settings.workspace = workspaces.id
		LEFT JOIN usage_reports ON usage_reports.workspace = workspaces.id`
	selectWorkspace = fromWorkspaces + ` WHERE id = ?`
	// fromListed leaves out the settings, which are much larger than the rest.
	fromListed = `SELECT ` + workspaceColumns + `, NULL, NULL, ` + reportedColumns + ` FROM workspaces
		LEFT JOIN usage_reports ON usage_reports.workspace = workspaces.id`
)

// errLimit is returned for limits that SQLite would treat as unlimited.
var errLimit = errors.New("the limit must be positive")

// CreateWorkspace implements store.Store.
func (s *Store) CreateWorkspace(ctx context.Context, w store.Workspace, tombstone jwks.Key) (store.Workspace, error) {
	w.Version, w.Usage = 1, store.Reported{}
	w.Audiences = notNil(w.Audiences)
	portal, logo, _ := w.Portal.Kept(store.Portal{})
	w.Policy, w.Portal = w.Policy.Clone(), portal
	w.CreatedAt = cut(w.CreatedAt)
	w.UpdatedAt = w.CreatedAt
	err := s.write(ctx, func(t *tx) error { return createWorkspace(t, w, logo, tombstone) })
	if err != nil {
		return store.Workspace{}, wrap(ctx, "create workspace", err)
	}
	return w, nil
}

func createWorkspace(t *tx, w store.Workspace, logo []byte, tombstone jwks.Key) error {
	audiences, err := encodeList(w.Audiences)
	if err != nil {
		return err
	}
	n, err := t.exec(insertWorkspace, w.ID, w.Name, audiences, w.AllowNeverExpires, w.Version,
		micros(w.CreatedAt), micros(w.UpdatedAt))
	if err != nil {
		return err
	}
	if n == 0 {
		return store.ErrExists
	}
	if err := storeSettings(t, w); err != nil {
		return err
	}
	if err := storeLogo(t, w.ID, logo); err != nil {
		return err
	}
	if err := publish(t, w.ID, tombstone); err != nil {
		return err
	}
	if err := logChange(t, w.ID, w.Version, []jwks.Key{tombstone}, nil); err != nil {
		return err
	}
	return record(t, store.WorkspaceCreated(t.ctx, w))
}

func storeSettings(t *tx, w store.Workspace) error {
	policy, err := json.Marshal(w.Policy)
	if err != nil {
		return err
	}
	portal, err := json.Marshal(w.Portal)
	if err != nil {
		return err
	}
	_, err = t.exec(upsertSettings, w.ID, string(policy), string(portal))
	return err
}

// storeLogo stores a logo; nil deletes it.
func storeLogo(t *tx, workspace string, logo []byte) (err error) {
	if len(logo) == 0 {
		_, err = t.exec(deleteLogo, workspace)
	} else {
		_, err = t.exec(upsertLogo, workspace, logo)
	}
	return err
}

// Logo implements store.Store.
func (s *Store) Logo(ctx context.Context, workspace string) ([]byte, error) {
	var logo []byte
	err := notFound(s.reads.row(ctx, s.reader, selectLogo, workspace).Scan(&logo))
	return logo, wrap(ctx, "read logo", err)
}

// Workspace implements store.Store.
func (s *Store) Workspace(ctx context.Context, id string) (store.Workspace, error) {
	w, err := scanWorkspace(s.reads.row(ctx, s.reader, selectWorkspace, id).Scan)
	return w, wrap(ctx, "read workspace", err)
}

// Workspaces implements store.Store.
func (s *Store) Workspaces(ctx context.Context, f store.WorkspaceFilter) ([]store.Workspace, string, error) {
	list, next, err := s.workspaces(ctx, f)
	return list, next, wrap(ctx, "list workspaces", err)
}

func (s *Store) workspaces(ctx context.Context, f store.WorkspaceFilter) (list []store.Workspace, next string, err error) {
	if f.Limit < 1 {
		return nil, "", errLimit
	}
	end := ""
	if f.Rows > 0 && f.Query != "" {
		err = s.reader.QueryRowContext(ctx, `SELECT id FROM workspaces WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?`, f.After, f.Rows-1).Scan(&end)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, "", err
		}
	}
	page, err := s.pickWorkspaces(ctx, f, end)
	if err != nil {
		return nil, "", err
	}
	list, err = s.readWorkspaces(ctx, page.IDs)
	return list, page.Next(end), err
}

func (s *Store) pickWorkspaces(ctx context.Context, f store.WorkspaceFilter, end string) (*store.Picker[string], error) {
	var where clause
	where.add(`id > ?`, f.After)
	search, limit := store.NewSearch(f.Query), f.Limit+1
	if f.Query != "" {
		limit = -1 // the database returns more than the matches
		terms, args := maybe(search, `id`, `name`)
		where.add(`(`+strings.Join(terms, ` OR `)+`)`, args...)
	}
	if end != "" {
		where.add(`id <= ?`, end)
	}
	rows, err := s.reader.QueryContext(ctx, `SELECT id, name, 512 + octet_length(name) + octet_length(audiences) FROM workspaces WHERE `+
		where.text()+` ORDER BY id LIMIT ?`, append(where.args, limit)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	page := &store.Picker[string]{Limit: f.Limit, Bytes: f.Bytes}
	for more := true; more && rows.Next(); {
		var id, name string
		var size int
		if err := rows.Scan(&id, &name, &size); err != nil {
			return nil, err
		}
		if f.Query == "" || search.Names(id, name) {
			more = page.Add(id, size)
		}
	}
	return page, rows.Err()
}

func (s *Store) readWorkspaces(ctx context.Context, ids []string) ([]store.Workspace, error) {
	list := []store.Workspace{}
	if len(ids) == 0 {
		return list, ctx.Err()
	}
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	rows, err := s.reader.QueryContext(ctx, fromListed+` WHERE id IN (`+strings.TrimSuffix(strings.Repeat(`?, `, len(ids)), `, `)+
		`) ORDER BY id`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		w, err := scanWorkspace(rows.Scan)
		if err != nil {
			return nil, err
		}
		list = append(list, w)
	}
	return list, rows.Err()
}

// UpdateWorkspace implements store.Store.
func (s *Store) UpdateWorkspace(ctx context.Context, id string, change func(*store.Workspace) error) (store.Workspace, error) {
	var w store.Workspace
	err := s.write(ctx, func(t *tx) error {
		old, err := scanWorkspace(t.row(selectWorkspace, id).Scan)
		if err != nil {
			return err
		}
		w = old
		w.Audiences = notNil(old.Audiences) // change may write into slices
		w.Policy, w.Portal = old.Policy.Clone(), old.Portal.Clone()
		if err := change(&w); err != nil {
			return err
		}
		w.ID, w.Version, w.CreatedAt, w.Usage = old.ID, old.Version, old.CreatedAt, old.Usage
		w.Audiences = notNil(w.Audiences)
		portal, logo, newLogo := w.Portal.Kept(old.Portal)
		w.Policy, w.Portal = w.Policy.Clone(), portal
		w.UpdatedAt = cut(w.UpdatedAt)
		if err := storeWorkspace(t, w); err != nil {
			return err
		}
		if newLogo {
			if err := storeLogo(t, w.ID, logo); err != nil {
				return err
			}
		}
		return record(t, store.WorkspaceUpdated(t.ctx, old, w))
	})
	if err != nil {
		return store.Workspace{}, wrap(ctx, "update workspace", err)
	}
	return w, nil
}

func storeWorkspace(t *tx, w store.Workspace) error {
	audiences, err := encodeList(w.Audiences)
	if err != nil {
		return err
	}
	if _, err = t.exec(updateWorkspace, w.Name, audiences, w.AllowNeverExpires, micros(w.UpdatedAt), w.ID); err != nil {
		return err
	}
	return storeSettings(t, w)
}
