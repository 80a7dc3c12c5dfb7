package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

const (
	selectDue = `SELECT workspace, ` + keyColumns + ` FROM keys WHERE due_at IS NOT NULL
		AND (due_at, workspace, id) > (?, ?, ?) AND due_at <= ? ORDER BY due_at, workspace, id LIMIT ?`
	selectNextDue = `SELECT due_at FROM keys WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1`
)

// Retire implements store.Store.
func (s *Store) Retire(ctx context.Context, workspace string, id uuid.UUID, at time.Time) (store.Key, error) {
	k, err := s.Key(ctx, workspace, id)
	if err != nil || !k.IsDue(at) { // then nobody has to wait for the writer
		return k, err
	}
	err = s.write(ctx, func(t *tx) (err error) {
		k, err = readKey(t, workspace, id)
		if err != nil || !k.IsDue(at) {
			return err
		}
		version, err := raiseVersion(t, workspace)
		if err != nil {
			return err
		}
		k = store.Retired(k, cut(at), version)
		if err := remove(t, k); err != nil {
			return err
		}
		return record(t, store.KeyRetired(k, at))
	})
	if err != nil {
		return store.Key{}, wrap(ctx, "retire key", err)
	}
	return k, nil
}

// Due implements store.Store.
func (s *Store) Due(ctx context.Context, after store.DuePlace, until time.Time, limit int) ([]store.Key, error) {
	list, err := s.due(ctx, after, until, limit)
	return list, wrap(ctx, "list due keys", err)
}

func (s *Store) due(ctx context.Context, after store.DuePlace, until time.Time, limit int) ([]store.Key, error) {
	if limit < 1 {
		return nil, errLimit
	}
	rows, err := s.reads.rows(ctx, s.reader, selectDue, after.At.UnixMicro(), after.Workspace, after.ID[:], until.UnixMicro(), limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := []store.Key{}
	for rows.Next() {
		var workspace string
		k, err := scanKey("", func(columns ...any) error { return rows.Scan(append([]any{&workspace}, columns...)...) })
		if err != nil {
			return nil, err
		}
		k.Workspace = workspace
		list = append(list, k)
	}
	return list, rows.Err()
}

// NextDue implements store.Store.
func (s *Store) NextDue(ctx context.Context) (time.Time, error) {
	var at sql.NullInt64
	err := s.reads.row(ctx, s.reader, selectNextDue).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return fromMicros(at), wrap(ctx, "read when a key is due", err)
}
