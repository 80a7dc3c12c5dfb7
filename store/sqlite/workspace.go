package sqlite

import (
	"context"
	"errors"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

const (
	insertWorkspace = `INSERT INTO workspaces (` + workspaceColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO NOTHING`
	updateWorkspace = `UPDATE workspaces SET name = ?, audiences = ?, allow_never_expires = ?, updated_at = ?
		WHERE id = ?`
	selectWorkspace  = `SELECT ` + workspaceColumns + ` FROM workspaces WHERE id = ?`
	selectWorkspaces = `SELECT ` + workspaceColumns + ` FROM workspaces WHERE id > ? ORDER BY id LIMIT ?`
)

// errLimit guards against SQLite's reading of a negative LIMIT as none.
var errLimit = errors.New("the limit must be positive")

// CreateWorkspace implements store.Store.
func (s *Store) CreateWorkspace(ctx context.Context, w store.Workspace, tombstone jwks.Key) (store.Workspace, error) {
	w.Version = 1
	w.Audiences = notNil(w.Audiences)
	w.CreatedAt = cut(w.CreatedAt)
	w.UpdatedAt = w.CreatedAt
	err := s.write(ctx, func(t *tx) error { return createWorkspace(t, w, tombstone) })
	if err != nil {
		return store.Workspace{}, wrap(ctx, "create workspace", err)
	}
	return w, nil
}

func createWorkspace(t *tx, w store.Workspace, tombstone jwks.Key) error {
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
	if err := publish(t, w.ID, tombstone); err != nil {
		return err
	}
	return logChange(t, w.ID, w.Version, []jwks.Key{tombstone}, nil)
}

// Workspace implements store.Store.
func (s *Store) Workspace(ctx context.Context, id string) (store.Workspace, error) {
	w, err := scanWorkspace(s.reads.row(ctx, s.reader, selectWorkspace, id).Scan)
	return w, wrap(ctx, "read workspace", err)
}

// Workspaces implements store.Store.
func (s *Store) Workspaces(ctx context.Context, after string, limit int) ([]store.Workspace, error) {
	list, err := s.workspaces(ctx, after, limit)
	return list, wrap(ctx, "list workspaces", err)
}

func (s *Store) workspaces(ctx context.Context, after string, limit int) ([]store.Workspace, error) {
	if limit < 1 {
		return nil, errLimit
	}
	rows, err := s.reads.rows(ctx, s.reader, selectWorkspaces, after, limit)
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
		w.Audiences = notNil(old.Audiences)
		if err := change(&w); err != nil {
			return err
		}
		w.ID, w.Version, w.CreatedAt = old.ID, old.Version, old.CreatedAt
		w.Audiences = notNil(w.Audiences)
		w.UpdatedAt = cut(w.UpdatedAt)
		return keepWorkspace(t, w)
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
	_, err = t.exec(updateWorkspace, w.Name, audiences, w.AllowNeverExpires, micros(w.UpdatedAt), w.ID)
	return err
}
