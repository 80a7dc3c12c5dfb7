package postgres

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

const (
	insertWorkspace = `WITH created AS (
			INSERT INTO workspaces (` + workspaceColumns + `, fingerprint)
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
	deleteLogo     = `DELETE FROM logos WHERE workspace = $1`
	selectLogo     = `SELECT png FROM logos WHERE workspace = $1`
	fromWorkspaces = `SELECT ` + workspaceColumns + `, ` + reportedColumns + ` FROM workspaces
		LEFT JOIN usage_reports ON usage_reports.workspace = workspaces.id`
	selectWorkspace = fromWorkspaces + ` WHERE id = $1`
	// NO KEY: nothing refers to the row, and this is the lock that an UPDATE takes.
	lockWorkspace = selectWorkspace + ` FOR NO KEY UPDATE OF workspaces`
	// listWorkspaces leaves out the settings, which are much larger than the rest.
	listWorkspaces = `SELECT id, name, audiences, allow_never_expires, version, created_at, updated_at, '{}', '{}', ` +
		reportedColumns + ` FROM workspaces
		LEFT JOIN usage_reports ON usage_reports.workspace = workspaces.id WHERE id = ANY ($1) ORDER BY id`
)

// CreateWorkspace implements store.Store.
func (s *Store) CreateWorkspace(ctx context.Context, w store.Workspace, tombstone jwks.Key) (store.Workspace, error) {
	w.Version, w.Usage = 1, store.Reported{}
	w.Audiences = notNil(w.Audiences)
	portal, logo, _ := w.Portal.Kept(store.Portal{})
	w.Policy, w.Portal = w.Policy.Clone(), portal
	w.CreatedAt = cut(w.CreatedAt)
	w.UpdatedAt = w.CreatedAt
	args, err := workspaceArgs(store.WorkspaceCreated(ctx, w), w)
	if err != nil {
		return store.Workspace{}, wrap(ctx, "create workspace", err)
	}
	kid := tombstone.KID()
	args = append(args, kid[:], tombstone.Modulus(), logo)
	err = s.write(ctx, w.ID, func(ctx context.Context, c conn) error {
		var created int
		err := c.QueryRow(ctx, insertWorkspace, args...).Scan(&created)
		if err == nil && created == 0 {
			return store.ErrExists
		}
		return err
	})
	if err != nil {
		return store.Workspace{}, wrap(ctx, "create workspace", err)
	}
	s.notifier.notify(w.ID)
	return w, nil
}

// workspaceArgs returns the arguments of a statement that stores a workspace. The fields that may change
// begin at $12.
func workspaceArgs(e store.Entry, w store.Workspace) ([]any, error) {
	policy, portal, err := settings(w)
	return append(entryArgs(e), w.Name, w.Audiences, w.AllowNeverExpires, micros(w.UpdatedAt), policy, portal), err
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

// Workspaces implements store.Store.
func (s *Store) Workspaces(ctx context.Context, f store.WorkspaceFilter) ([]store.Workspace, string, error) {
	list, next, err := s.workspaces(ctx, f)
	return list, next, wrap(ctx, "list workspaces", err)
}

func (s *Store) workspaces(ctx context.Context, f store.WorkspaceFilter) (list []store.Workspace, next string, err error) {
	if f.Limit < 1 {
		return nil, "", errLimit
	}
	if !storable(f.Query) || !storable(f.After) {
		return []store.Workspace{}, "", ctx.Err()
	}
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) (err error) {
		end := ""
		if f.Rows > 0 && f.Query != "" {
			err = c.QueryRow(ctx, `SELECT id FROM workspaces WHERE id > $1 ORDER BY id LIMIT 1 OFFSET $2`, f.After, f.Rows-1).Scan(&end)
			if err != nil && !errors.Is(err, pgx.ErrNoRows) {
				return err
			}
		}
		page, err := pickWorkspaces(ctx, c, f, end)
		if err != nil {
			return err
		}
		next = page.Next(end)
		rows, _ := c.Query(ctx, listWorkspaces, page.IDs) // its error is rows.Err
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Workspace, error) { return scanWorkspace(row) })
		return err
	})
	return list, next, err
}

func pickWorkspaces(ctx context.Context, c *pgxpool.Conn, f store.WorkspaceFilter, end string) (*store.Picker[string], error) {
	var where clause
	where.add(`id > ` + where.arg(f.After))
	search := store.NewSearch(f.Query)
	if f.Query != "" {
		where.add(`(` + strings.Join(where.maybe(search, `id`, `name`), ` OR `) + `)`)
	}
	if end != "" {
		where.add(`id <= ` + where.arg(end))
	}
	query := `SELECT id, name, 512 + octet_length(name) + ` + listSize("audiences") + ` FROM workspaces WHERE ` + where.text() + ` ORDER BY id`
	if f.Query == "" { // with a query, the database returns more than the matches
		query += ` LIMIT ` + where.arg(f.Limit+1)
	}
	rows, err := c.Query(ctx, query, where.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	page := &store.Picker[string]{Limit: f.Limit, Bytes: f.Bytes, IDs: []string{}}
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
	rows.Close()
	return page, rows.Err()
}

// UpdateWorkspace implements store.Store. While change runs, the workspace is locked against all other
// changes.
func (s *Store) UpdateWorkspace(ctx context.Context, id string, change func(*store.Workspace) error) (store.Workspace, error) {
	var w store.Workspace
	begun := false
	err := s.writeUnless(ctx, id, &begun, inTx(func(ctx context.Context, t pgx.Tx) error {
		old, err := scanWorkspace(t.QueryRow(ctx, lockWorkspace, id))
		if err != nil {
			return err
		}
		w, begun = old, true
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
		args, err := workspaceArgs(store.WorkspaceUpdated(ctx, old, w), w)
		if err != nil {
			return err
		}
		if _, err = t.Exec(ctx, updateWorkspace, args...); err == nil && newLogo {
			err = storeLogo(ctx, t, id, logo)
		}
		return err
	}))
	if err != nil {
		return store.Workspace{}, wrap(ctx, "update workspace", err)
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
		return notFound(c.QueryRow(ctx, selectLogo, workspace).Scan(&logo))
	})
	return logo, wrap(ctx, "read logo", err)
}

// rollbackTimeout bounds the wait for a rollback. After that the connection is closed.
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

// rollback undoes a transaction, also if ctx has ended. An error closes the connection, which undoes it
// as well.
func rollback(ctx context.Context, t pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	_ = t.Rollback(ctx)
}
