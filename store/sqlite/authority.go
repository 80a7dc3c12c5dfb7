package sqlite

import (
	"context"

	"github.com/burnkey/burnkey/store"
)

// Standing implements store.Store.
func (s *Store) Standing(ctx context.Context) error {
	return wrap(ctx, "check the caller", dialect.Stands(store.AuthorityOf(ctx), func(into any, query string, args ...any) error {
		return s.reads.row(ctx, s.reader, query, args...).Scan(into)
	}, ""))
}
