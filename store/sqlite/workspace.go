package sqlite

import (
	"context"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

const (
	insertWorkspace = `INSERT INTO workspaces (` + rows.WorkspaceColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO NOTHING`
	updateWorkspace = `UPDATE workspaces SET name = ?, audiences = ?, allow_never_expires = ?, updated_at = ?
		WHERE id = ?`
	upsertSettings = `INSERT INTO settings (workspace, policy, portal) VALUES (?, ?, ?)
		ON CONFLICT (workspace) DO UPDATE SET policy = excluded.policy, portal = excluded.portal`
	upsertLogo = `INSERT INTO logos (workspace, png) VALUES (?, ?)
		ON CONFLICT (workspace) DO UPDATE SET png = excluded.png`
	deleteLogo      = `DELETE FROM logos WHERE workspace = ?`
	selectLogo      = `SELECT png FROM logos WHERE workspace = ?`
	selectWorkspace = `SELECT ` + rows.WorkspaceColumns + `, ` + rows.SettingsColumns + `, ` + rows.ReportedColumns + `, ` +
		rows.GatewayColumns + ` FROM workspaces
		LEFT JOIN settings ON settings.workspace = workspaces.id
		LEFT JOIN usage_reports ON usage_reports.workspace = workspaces.id WHERE id = ?`
)

// CreateWorkspace implements store.Store.
func (s *Store) CreateWorkspace(ctx context.Context, w store.Workspace, tombstone jwks.Key) (store.Workspace, error) {
	w, logo := rows.NewWorkspace(w)
	var created store.Workspace
	err := s.write(ctx, func(t *tx) error {
		created = w
		if err := createWorkspace(t, w, logo, tombstone); err != nil {
			return err
		}
		return t.locked(rows.Unsettled(w)).Settle(&created)
	})
	return orZero(created, wrap(ctx, "create workspace", err))
}

func createWorkspace(t *tx, w store.Workspace, logo []byte, tombstone jwks.Key) error {
	audiences, err := encodeList(w.Audiences)
	if err != nil {
		return err
	}
	n, err := t.exec(insertWorkspace, w.ID, w.Name, audiences, w.AllowNeverExpires, w.Version,
		rows.Micros(w.CreatedAt), rows.Micros(w.UpdatedAt))
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
	if err := publish(t, w.ID, tombstone, jwks.Attributes{}); err != nil {
		return err
	}
	if err := logChange(t, w.ID, jwks.Change{Version: w.Version, Add: []jwks.Key{tombstone}}); err != nil {
		return err
	}
	return record(t, store.WorkspaceCreated(t.ctx, w))
}

func storeSettings(t *tx, w store.Workspace) error {
	policy, portal, err := rows.Settings(w)
	if err != nil {
		return err
	}
	_, err = t.exec(upsertSettings, w.ID, policy, portal)
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
	err := rows.NotFound(s.reads.row(ctx, s.reader, selectLogo, workspace).Scan(&logo))
	return logo, wrap(ctx, "read logo", err)
}

// Workspace implements store.Store.
func (s *Store) Workspace(ctx context.Context, id string) (store.Workspace, error) {
	w, err := scanWorkspace(s.reads.row(ctx, s.reader, selectWorkspace, id))
	return w, wrap(ctx, "read workspace", err)
}

// UpdateWorkspace implements store.Store.
func (s *Store) UpdateWorkspace(ctx context.Context, id string, change func(*store.Workspace) error) (store.Workspace, error) {
	var w store.Workspace
	err := s.write(ctx, func(t *tx) error {
		old, err := scanWorkspace(t.row(selectWorkspace, id))
		if err != nil {
			return err
		}
		var logo []byte
		var newLogo bool
		if w, logo, newLogo, err = rows.ChangedWorkspace(old, change); err != nil {
			return err
		}
		if err := storeWorkspace(t, w); err != nil {
			return err
		}
		if newLogo {
			if err := storeLogo(t, w.ID, logo); err != nil {
				return err
			}
		}
		if err := t.locked(old).Settle(&w); err != nil {
			return err
		}
		return record(t, store.WorkspaceUpdated(t.ctx, old, w))
	})
	return orZero(w, wrap(ctx, "update workspace", err))
}

func storeWorkspace(t *tx, w store.Workspace) error {
	audiences, err := encodeList(w.Audiences)
	if err != nil {
		return err
	}
	if _, err = t.exec(updateWorkspace, w.Name, audiences, w.AllowNeverExpires, rows.Micros(w.UpdatedAt), w.ID); err != nil {
		return err
	}
	return storeSettings(t, w)
}
