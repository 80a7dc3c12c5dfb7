package storetest

import (
	"encoding/base64"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

// OperatorQueries returns the queries of lists and counts for operators, by the index that they must use.
func OperatorQueries(t testing.TB, dialect *rows.Dialect, workspace string) map[string][]Query {
	t.Helper()
	found := map[string][]Query{
		"keys_by_id":    {{rows.SelectIDs, []any{dialect.ID(uuid.Max), 9}}},
		"keys_by_kid":   {{rows.SelectKIDs, []any{make([]byte, 32), 9}}},
		"keys_live":     {{rows.CountLive, []any{workspace, 1, 2, 100}}},
		"audit_refused": {{rows.CountRefused, []any{workspace, dialect.ID(uuid.Nil), 100}}},
	}
	for index, o := range map[string]store.Order{
		"keys_pkey": store.OrderCreated, "keys_by_expiry": store.OrderExpiry, "usage_by_time": store.OrderUse,
		"keys_by_name": store.OrderName, "keys_by_owner": store.OrderOwner,
	} {
		value := map[bool]string{true: "5"}[o == store.OrderExpiry || o == store.OrderUse]
		for _, after := range []string{"", base64.RawURLEncoding.EncodeToString(append(uuid.Max[:], value...))} {
			for _, f := range []store.Filter{{}, {Status: store.Active, Rows: 100}, {Status: store.Active, ExpiresBefore: time.Now()}} {
				f.Limit = 50
				listed := Queries(t, "", func(q rows.Query) error {
					_, _, err := dialect.KeysInOrder(q, workspace, f, o, after != "", after)
					return err
				})
				found[index] = append(found[index], listed[:len(listed)-1]...)
			}
		}
	}
	return found
}
