package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

const (
	insertWorkspace = `WITH created AS (
			INSERT INTO workspaces (` + rows.WorkspaceColumns + `, ` + rows.SettingsColumns + `, fingerprint)
			VALUES ($1, $12, $13, $14, 1, $15, $15, $16, $17, ('x' || encode($18::bytea, 'hex'))::bit(256))
			ON CONFLICT DO NOTHING RETURNING id
		), published AS (
			INSERT INTO jwks (workspace, kid, n) SELECT id, $18, $19 FROM created
		), logged AS (
			INSERT INTO changes (workspace, version, added, removed) SELECT id, 1, $19, '' FROM created
		), drawn AS (
			INSERT INTO logos (workspace, png) SELECT id, $20::bytea FROM created WHERE $20::bytea IS NOT NULL
		), audited AS (
			` + recordEntry + ` FROM created
		)
		SELECT count(*) FROM created`
	updateWorkspace = `WITH audited AS (` + recordEntry + `)
		UPDATE workspaces SET name = $12, audiences = $13, allow_never_expires = $14, updated_at = $15, policy = $16, portal = $17
		WHERE id = $1`
	upsertLogo = `INSERT INTO logos (workspace, png) VALUES ($1, $2)
		ON CONFLICT (workspace) DO UPDATE SET png = excluded.png`
	deleteLogo      = `DELETE FROM logos WHERE workspace = $1`
	selectLogo      = `SELECT png FROM logos WHERE workspace = $1`
	selectWorkspace = `SELECT ` + rows.WorkspaceColumns + `, ` + rows.SettingsColumns + `, ` + rows.ReportedColumns + `, ` +
		rows.GatewayColumns + ` FROM workspaces
		LEFT JOIN usage_reports ON usage_reports.workspace = workspaces.id WHERE id = $1`
	// FOR NO KEY UPDATE is the lock that an UPDATE takes. No foreign key refers to the row, so it suffices.
	lockWorkspace = selectWorkspace + ` FOR NO KEY UPDATE OF workspaces`
)

// CreateWorkspace implements store.Store.
func (s *Store) CreateWorkspace(ctx context.Context, w store.Workspace, tombstone jwks.Key) (store.Workspace, error) {
	w, logo := rows.NewWorkspace(w)
	args, err := workspaceArgs(store.WorkspaceCreated(ctx, w), w)
	if err != nil {
		return store.Workspace{}, wrap(ctx, "create workspace", err)
	}
	kid := tombstone.KID()
	args = append(args, kid[:], tombstone.Modulus(), logo)
	create := func(ctx context.Context, c conn) error {
		var created int
		err := c.QueryRow(ctx, insertWorkspace, args...).Scan(&created)
		if err == nil && created == 0 {
			return store.ErrExists
		}
		return err
	}
	if unsettled := rows.Unsettled(w); !w.Settings.IsDefault() {
		only := create
		create = inTx(func(ctx context.Context, t pgx.Tx) error {
			if err := only(ctx, t); err != nil {
				return err
			}
			return asLocked(ctx, t, unsettled, new(bool)).Settle(&w)
		})
	}
	err = s.write(ctx, w.ID, create)
	if err != nil {
		return store.Workspace{}, wrap(ctx, "create workspace", err)
	}
	s.notifier.notify(w.ID)
	return w, nil
}

// workspaceArgs returns the arguments of a statement that stores a workspace. Fields that can change begin at
// $12.
func workspaceArgs(e store.Entry, w store.Workspace) ([]any, error) {
	policy, portal, err := rows.Settings(w)
	return append(dialect.EntryArgs(e), w.Name, w.Audiences, w.AllowNeverExpires, rows.Micros(w.UpdatedAt), policy, portal), err
}

// Workspace implements store.Store.
func (s *Store) Workspace(ctx context.Context, id string) (store.Workspace, error) {
	var w store.Workspace
	err := s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) (err error) {
		w, err = scanWorkspace(c.QueryRow(ctx, selectWorkspace, id))
		return err
	})
	return w, wrap(ctx, "read workspace", err)
}

// UpdateWorkspace implements store.Store. While change runs, the workspace is locked against all other changes.
func (s *Store) UpdateWorkspace(ctx context.Context, id string, change func(*store.Workspace) error) (store.Workspace, error) {
	var w store.Workspace
	begun, raised := false, false
	err := s.writeUnless(ctx, id, &begun, inTx(func(ctx context.Context, t pgx.Tx) error {
		old, err := scanWorkspace(t.QueryRow(ctx, lockWorkspace, id))
		if err != nil {
			return err
		}
		begun = true
		var logo []byte
		var newLogo bool
		if w, logo, newLogo, err = rows.ChangedWorkspace(old, change); err != nil {
			return err
		}
		args, err := workspaceArgs(store.WorkspaceUpdated(ctx, old, w), w)
		if err != nil {
			return err
		}
		if _, err = t.Exec(ctx, updateWorkspace, args...); err == nil && newLogo {
			err = storeLogo(ctx, t, id, logo)
		}
		if err != nil {
			return err
		}
		return asLocked(ctx, t, old, &raised).Settle(&w)
	}))
	if err != nil {
		return store.Workspace{}, wrap(ctx, "update workspace", err)
	}
	if raised {
		s.notifier.notify(id)
	}
	return w, nil
}

// storeLogo stores a logo; nil deletes it.
func storeLogo(ctx context.Context, t pgx.Tx, workspace string, logo []byte) (err error) {
	if len(logo) == 0 {
		_, err = t.Exec(ctx, deleteLogo, workspace)
	} else {
		_, err = t.Exec(ctx, upsertLogo, workspace, logo)
	}
	return err
}

// Logo implements store.Store.
func (s *Store) Logo(ctx context.Context, workspace string) ([]byte, error) {
	var logo []byte
	err := s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		return rows.NotFound(c.QueryRow(ctx, selectLogo, workspace).Scan(&logo))
	})
	return logo, wrap(ctx, "read logo", err)
}

// rollbackTimeout limits the wait for a rollback. After this time, the connection is closed.
const rollbackTimeout = 2 * time.Second

// inTx wraps do in a transaction. An error or panic of do undoes everything. Within another transaction,
// do becomes part of it.
func inTx(do func(context.Context, pgx.Tx) error) change {
	return func(ctx context.Context, c conn) error {
		if t, is := c.(pgx.Tx); is {
			return do(ctx, t)
		}
		t, err := c.(*pgxpool.Conn).BeginTx(ctx, pgx.TxOptions{})
		if err != nil {
			return err
		}
		defer rollback(ctx, t) // does nothing after Commit
		if err := do(ctx, t); err != nil {
			return err
		}
		return t.Commit(ctx)
	}
}

// rollback undoes a transaction, also if ctx has ended. If the rollback fails, the connection is closed, which
// also undoes the transaction.
func rollback(ctx context.Context, t pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	_ = t.Rollback(ctx)
}
