package sqlite

import (
	"context"
	"encoding/json"
	"errors"

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
	selectWorkspace  = fromWorkspaces + ` WHERE id = ?`
	selectWorkspaces = fromWorkspaces + ` WHERE id > ? ORDER BY id LIMIT ?`
	// findWorkspaces reads no settings and reports; as to instr and lower, see match.
	findWorkspaces = `SELECT ` + workspaceColumns + `, NULL, NULL, NULL, NULL, NULL FROM workspaces
		WHERE id > ? AND (instr(lower(id), lower(?)) > 0 OR instr(lower(name), lower(?)) > 0) ORDER BY id LIMIT ?`
)

// errLimit guards against SQLite's reading of a negative LIMIT as none.
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
	if err := keepSettings(t, w); err != nil {
		return err
	}
	if err := keepLogo(t, w.ID, logo); err != nil {
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

func keepSettings(t *tx, w store.Workspace) error {
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

// keepLogo keeps a logo, or with nil that there is none.
func keepLogo(t *tx, workspace string, logo []byte) (err error) {
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
func (s *Store) Workspaces(ctx context.Context, after string, limit int) ([]store.Workspace, error) {
	list, err := s.workspaces(ctx, limit, selectWorkspaces, after, limit)
	return list, wrap(ctx, "list workspaces", err)
}

// FindWorkspaces implements store.Store.
func (s *Store) FindWorkspaces(ctx context.Context, query, after string, limit int) ([]store.Workspace, error) {
	list, err := s.workspaces(ctx, limit, findWorkspaces, after, query, query, limit)
	return list, wrap(ctx, "find workspaces", err)
}

func (s *Store) workspaces(ctx context.Context, limit int, query string, args ...any) ([]store.Workspace, error) {
	if limit < 1 {
		return nil, errLimit
	}
	rows, err := s.reads.rows(ctx, s.reader, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := []store.Workspace{}
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
		if err := keepWorkspace(t, w); err != nil {
			return err
		}
		if newLogo {
			if err := keepLogo(t, w.ID, logo); err != nil {
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

func keepWorkspace(t *tx, w store.Workspace) error {
	audiences, err := encodeList(w.Audiences)
	if err != nil {
		return err
	}
	if _, err = t.exec(updateWorkspace, w.Name, audiences, w.AllowNeverExpires, micros(w.UpdatedAt), w.ID); err != nil {
		return err
	}
	return keepSettings(t, w)
}
