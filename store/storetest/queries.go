package storetest

import (
	"iter"
	"testing"

	"github.com/burnkey/burnkey/store/internal/rows"
)

// Query is a query with its arguments.
type Query struct {
	Text string
	Args []any
}

// Queries returns the queries that `list` runs. Each query finds one row, whose strings all equal `found`.
func Queries(t testing.TB, found string, list func(rows.Query) error) (queries []Query) {
	t.Helper()
	err := list(func(into []any, query string, args ...any) iter.Seq[error] {
		queries = append(queries, Query{query, args})
		for _, column := range into {
			if text, ok := column.(*string); ok {
				*text = found
			}
		}
		return func(yield func(error) bool) { yield(nil) }
	})
	if err != nil {
		t.Fatal(err)
	}
	return queries
}
