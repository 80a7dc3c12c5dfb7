package sqlite

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/storetest"
)

var newFile = storetest.Files(func(ctx context.Context, path string) (store.Store, error) { return Open(ctx, path) })

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Database {
		path := newFile(t)
		return func(ctx context.Context) (store.Store, error) {
			s, err := Open(ctx, path)
			if err != nil {
				return nil, err
			}
			return s, nil
		}
	})
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
