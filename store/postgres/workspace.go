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
			VALUES ($1, $12, $13, $14, 1, $15, $15, $18, $19, $20, $16, $17, ('x' || encode($21::bytea, 'hex'))::bit(256))
			ON CONFLICT (id) DO NOTHING RETURNING id
		), published AS (
			INSERT INTO jwks (workspace, kid, n) SELECT id, $21, $22 FROM created
		), logged AS (
			INSERT INTO changes (workspace, version, added, removed) SELECT id, 1, $22, '' FROM created
		), drawn AS (
			INSERT INTO logos (workspace, png) SELECT id, $23::bytea FROM created WHERE $23::bytea IS NOT NULL
		), audited AS (
			` + recordEntry + ` FROM created
		)
		SELECT count(*) FROM created`
	updateWorkspace = `WITH audited AS (` + recordEntry + `)
		UPDATE workspaces SET name = $12, audiences = $13, allow_never_expires = $14, updated_at = $15, policy = $16, portal = $17,
		environment = $18, environment_of = $19, inherits = $20 WHERE id = $1`
	upsertLogo = `INSERT INTO logos (workspace, png) VALUES ($1, $2)
		ON CONFLICT (workspace) DO UPDATE SET png = excluded.png`
	deleteLogo       = `DELETE FROM logos WHERE workspace = $1`
	selectLogo       = `SELECT png FROM logos WHERE workspace = $1`
	selectWorkspaces = `SELECT ` + rows.WorkspaceColumns + `, ` + rows.SettingsColumns + `, ` + rows.ReportedColumns + `, ` +
		rows.GatewayColumns + ` FROM workspaces
		LEFT JOIN usage_reports ON usage_reports.workspace = workspaces.id`
	selectWorkspace = selectWorkspaces + ` WHERE id = $1`
	// FOR NO KEY UPDATE is the lock that an UPDATE takes. No foreign key refers to the row, so it suffices.
	lockWorkspace = selectWorkspace + forChange
	forChange     = ` FOR NO KEY UPDATE OF workspaces`
)

// CreateWorkspace implements store.Store.
func (s *Store) CreateWorkspace(ctx context.Context, w store.Workspace, tombstone jwks.Key) (store.Workspace, error) {
	var created store.Workspace
	do := func(ctx context.Context, c conn) (err error) {
		created, err = createWorkspace(ctx, c, w, tombstone)
		return err
	}
	if plain, _ := rows.NewWorkspace(w); w.EnvironmentOf != "" || !plain.Settings.IsDefault() {
		do = inTx(func(ctx context.Context, t pgx.Tx) (err error) {
			created, err = createSettled(ctx, t, w, tombstone)
			return err
		})
	}
	if err := s.write(ctx, w.ID, do); err != nil {
		return store.Workspace{}, wrap(ctx, "create workspace", err)
	}
	s.notifier.notify(w.ID)
	return created, nil
}

func createWorkspace(ctx context.Context, c conn, w store.Workspace, tombstone jwks.Key) (store.Workspace, error) {
	w, logo := rows.NewWorkspace(w)
	args, err := workspaceArgs(store.WorkspaceCreated(ctx, w), w)
	if err != nil {
		return w, err
	}
	kid, created := tombstone.KID(), 0
	err = c.QueryRow(ctx, insertWorkspace, append(args, kid[:], tombstone.Modulus(), logo)...).Scan(&created)
	if err == nil && created == 0 {
		err = store.ErrExists
	}
	return w, err
}

// createSettled creates a workspace that has settings for gateways or is an environment.
func createSettled(ctx context.Context, t pgx.Tx, w store.Workspace, tombstone jwks.Key) (store.Workspace, error) {
	if w.EnvironmentOf != "" {
		return createEnvironment(ctx, t, w, tombstone)
	}
	w, err := createWorkspace(ctx, t, w, tombstone)
	if err != nil {
		return w, err
	}
	return w, asLocked(ctx, t, rows.Unsettled(w), new(bool)).Settle(&w)
}

// workspaceArgs returns the arguments of a statement that stores a workspace. Fields that can change begin at
// $12.
func workspaceArgs(e store.Entry, w store.Workspace) ([]any, error) {
	policy, portal, err := rows.Settings(w)
	args := append(dialect.EntryArgs(e), w.Name, w.Audiences, w.AllowNeverExpires, rows.Micros(w.UpdatedAt), policy, portal)
	return append(args, rows.EnvironmentArgs(w)...), err
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

// UpdateWorkspace implements store.Store. While change runs, the workspace and its family are locked against all other
// changes.
func (s *Store) UpdateWorkspace(ctx context.Context, id string, change func(*store.Workspace) error) (store.Workspace, error) {
	var w store.Workspace
	begun, raised := false, raisings{}
	err := s.writeUnless(ctx, id, &begun, inTx(func(ctx context.Context, t pgx.Tx) error {
		f, err := lockFamily(ctx, t, lockFirst, id, raised)
		if err != nil {
			return err
		}
		begun = true
		w, err = f.Update(id, change)
		return err
	}))
	if err != nil {
		return store.Workspace{}, wrap(ctx, "update workspace", err)
	}
	raised.notify(s.notifier)
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
