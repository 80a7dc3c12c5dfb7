package sqlite

import (
	"context"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

const (
	insertWorkspace = `INSERT INTO workspaces (` + rows.WorkspaceColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO NOTHING`
	updateWorkspace = `UPDATE workspaces SET name = ?, audiences = ?, allow_never_expires = ?, updated_at = ?,
		environment = ?, environment_of = ?, inherits = ? WHERE id = ?`
	upsertSettings = `INSERT INTO settings (workspace, policy, portal) VALUES (?, ?, ?)
		ON CONFLICT (workspace) DO UPDATE SET policy = excluded.policy, portal = excluded.portal`
	upsertLogo = `INSERT INTO logos (workspace, png) VALUES (?, ?)
		ON CONFLICT (workspace) DO UPDATE SET png = excluded.png`
	deleteLogo       = `DELETE FROM logos WHERE workspace = ?`
	selectLogo       = `SELECT png FROM logos WHERE workspace = ?`
	selectWorkspaces = `SELECT ` + rows.WorkspaceColumns + `, ` + rows.SettingsColumns + `, ` + rows.ReportedColumns + `, ` +
		rows.GatewayColumns + ` FROM workspaces
		LEFT JOIN settings ON settings.workspace = workspaces.id
		LEFT JOIN usage_reports ON usage_reports.workspace = workspaces.id`
	selectWorkspace    = selectWorkspaces + ` WHERE id = ?`
	selectFirst        = selectWorkspaces + ` WHERE id = (SELECT coalesce(environment_of, id) FROM workspaces WHERE id = ?)`
	selectEnvironments = selectWorkspaces + ` WHERE environment_of = ? ORDER BY id`
)

// CreateWorkspace implements store.Store.
func (s *Store) CreateWorkspace(ctx context.Context, w store.Workspace, tombstone jwks.Key) (store.Workspace, error) {
	var created store.Workspace
	err := s.write(ctx, func(t *tx) (err error) {
		if w.EnvironmentOf == "" {
			created, err = createWorkspace(t, w, tombstone)
		} else {
			created, err = createEnvironment(t, w, tombstone)
		}
		return err
	})
	return orZero(created, wrap(ctx, "create workspace", err))
}

func createWorkspace(t *tx, w store.Workspace, tombstone jwks.Key) (store.Workspace, error) {
	w, logo := rows.NewWorkspace(w)
	audiences, err := encodeList(w.Audiences)
	if err != nil {
		return w, err
	}
	n, err := t.exec(insertWorkspace, append([]any{
		w.ID, w.Name, audiences, w.AllowNeverExpires, w.Version, rows.Micros(w.CreatedAt), rows.Micros(w.UpdatedAt),
	}, rows.EnvironmentArgs(w)...)...)
	if err != nil {
		return w, err
	}
	if n == 0 {
		return w, store.ErrExists
	}
	if err := fillWorkspace(t, w, logo, tombstone); err != nil {
		return w, err
	}
	return w, t.locked(rows.Unsettled(w)).Settle(&w)
}

// fillWorkspace stores what belongs to a new workspace: settings, logo, tombstone, the first change and the audit entry.
func fillWorkspace(t *tx, w store.Workspace, logo []byte, tombstone jwks.Key) error {
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
		f, err := t.family(selectFirst, id)
		if err != nil {
			return err
		}
		w, err = f.Update(id, change)
		return err
	})
	return orZero(w, wrap(ctx, "update workspace", err))
}

func storeWorkspace(t *tx, w store.Workspace) error {
	audiences, err := encodeList(w.Audiences)
	if err != nil {
		return err
	}
	args := append([]any{w.Name, audiences, w.AllowNeverExpires, rows.Micros(w.UpdatedAt)}, rows.EnvironmentArgs(w)...)
	if _, err = t.exec(updateWorkspace, append(args, w.ID)...); err != nil {
		return err
	}
	return storeSettings(t, w)
}
