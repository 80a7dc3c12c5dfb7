package sqlite

import (
	"context"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// KeysInOrder implements store.Store.
func (s *Store) KeysInOrder(ctx context.Context, workspace string, f store.Filter, o store.Order, reverse bool, after string) (
	[]store.Key, string, error,
) {
	list, next, err := dialect.KeysInOrder(s.query(ctx), workspace, f, o, reverse, after)
	return list, next, wrap(ctx, "list keys", err)
}

// KeysAnywhere implements store.Store.
func (s *Store) KeysAnywhere(ctx context.Context, id uuid.UUID, kid jwks.KID, most int) ([]store.Key, error) {
	list, err := dialect.KeysAnywhere(s.query(ctx), id, kid, most)
	return list, wrap(ctx, "find key", err)
}

// Overview implements store.Store.
func (s *Store) Overview(ctx context.Context, workspace string, q store.OverviewQuery) (store.Overview, error) {
	if _, err := s.Workspace(ctx, workspace); err != nil {
		return store.Overview{}, err
	}
	v, err := dialect.Overview(s.query(ctx), workspace, q)
	return v, wrap(ctx, "count keys", err)
}
