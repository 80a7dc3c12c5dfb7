package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

const (
	selectDue = `SELECT due_at, workspace, id FROM keys WHERE due_at IS NOT NULL
		AND (due_at, workspace, id) > (?, ?, ?) AND due_at <= ? ORDER BY due_at, workspace, id LIMIT ?`
	selectNextDue = `SELECT due_at FROM keys WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1`
)

// Retire implements store.Store.
func (s *Store) Retire(ctx context.Context, workspace string, ids []uuid.UUID, at time.Time) ([]store.Key, error) {
	retired := []store.Key{}
	err := s.write(ctx, func(t *tx) error {
		due, err := readDue(t, workspace, ids, at)
		if err != nil || len(due) == 0 {
			return err
		}
		retired, err = retire(t, due, at)
		return err
	})
	if err != nil {
		return nil, wrap(ctx, "retire keys", err)
	}
	return retired, nil
}

func readDue(t *tx, workspace string, ids []uuid.UUID, at time.Time) (due []store.Key, err error) {
	seen := make(map[uuid.UUID]bool, len(ids))
	for _, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		k, err := readKey(t, workspace, id)
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return nil, err
		case k.IsDue(at):
			due = append(due, k)
		}
	}
	return due, nil
}

// retire removes keys of one workspace and raises its version once.
func retire(t *tx, due []store.Key, at time.Time) ([]store.Key, error) {
	workspace := due[0].Workspace
	version, err := raiseVersion(t, workspace)
	if err != nil {
		return nil, err
	}
	var kids []jwks.KID
	for i := range due {
		due[i] = store.Retired(due[i], rows.Cut(at), version)
		if err := withdraw(t, due[i]); err != nil {
			return nil, err
		}
		if err := record(t, store.KeyRetired(due[i], at)); err != nil {
			return nil, err
		}
		if due[i].SuspendedAt.IsZero() {
			kids = append(kids, due[i].KID)
		}
	}
	return due, logChange(t, workspace, jwks.Change{Version: version, Remove: kids})
}

// Due implements store.Store.
func (s *Store) Due(ctx context.Context, after store.DuePlace, until time.Time, limit int) ([]store.DuePlace, error) {
	list, err := s.due(ctx, after, until, limit)
	return list, wrap(ctx, "list due keys", err)
}

func (s *Store) due(ctx context.Context, after store.DuePlace, until time.Time, limit int) ([]store.DuePlace, error) {
	if limit < 1 {
		return nil, rows.ErrLimit
	}
	list := []store.DuePlace{}
	var d store.DuePlace
	for err := range s.query(ctx)([]any{rows.Time(&d.At), &d.Workspace, dialect.IDInto(&d.ID)}, selectDue,
		after.At.UnixMicro(), after.Workspace, after.ID[:], until.UnixMicro(), limit) {
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	return list, nil
}

// NextDue implements store.Store.
func (s *Store) NextDue(ctx context.Context) (time.Time, error) {
	var at time.Time
	err := s.reads.row(ctx, s.reader, selectNextDue).Scan(rows.Time(&at))
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return at, wrap(ctx, "read when a key is due", err)
}
