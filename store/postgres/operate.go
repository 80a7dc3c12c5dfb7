package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// KeysInOrder implements store.Store.
func (s *Store) KeysInOrder(ctx context.Context, workspace string, f store.Filter, o store.Order, reverse bool, after string) (
	list []store.Key, next string, err error,
) {
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		list, next, err = dialect.KeysInOrder(query(ctx, c), workspace, f, o, reverse, after)
		return err
	})
	return list, next, wrap(ctx, "list keys", err)
}

// KeysAnywhere implements store.Store.
func (s *Store) KeysAnywhere(ctx context.Context, id uuid.UUID, kid jwks.KID, most int) (list []store.Key, err error) {
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		list, err = dialect.KeysAnywhere(query(ctx, c), id, kid, most)
		return err
	})
	return list, wrap(ctx, "find key", err)
}

// Overview implements store.Store.
func (s *Store) Overview(ctx context.Context, workspace string, q store.OverviewQuery) (v store.Overview, err error) {
	if _, err := s.Workspace(ctx, workspace); err != nil {
		return store.Overview{}, err
	}
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		v, err = dialect.Overview(query(ctx, c), workspace, q)
		return err
	})
	return v, wrap(ctx, "count keys", err)
}
