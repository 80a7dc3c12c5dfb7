package postgres

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/postgres/pgtest"
	"github.com/burnkey/burnkey/store/storetest"
)

func TestConformance(t *testing.T) {
	server := pgtest.Shared(t) // before the suite looks at what is running
	storetest.Run(t, func(t *testing.T) storetest.Database {
		url := server.Schema(t)
		return func(ctx context.Context) (store.Store, error) {
			s, err := Open(ctx, url, nil)
			if err != nil {
				return nil, err
			}
			return s, nil
		}
	})
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }
