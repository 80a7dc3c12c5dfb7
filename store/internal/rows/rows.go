// Package rows has the parts of a backend that do not depend on its driver: the columns of the records, the
// conditions of the lists, and how a record changes before it is stored.
package rows

import (
	"database/sql"
	"errors"
	"iter"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

// Errors about arguments.
var (
	ErrLimit = errors.New("the limit must be positive")
	ErrTime  = errors.New("the time is missing")
)

// Dialect defines what differs between the databases. Placeholders are $1, $2 and so on in both.
type Dialect struct {
	ID     func(id uuid.UUID) any   // the argument for an id
	IDInto func(id *uuid.UUID) any  // the destination of an id; NULL becomes uuid.Nil
	List   func(list *[]string) any // the destination of a list of strings; NULL becomes nil

	ListSize func(column string) string // the approximate size of a list in bytes
	// Contains returns the condition that a column contains a lower-case ASCII string, in any (ASCII) case.
	Contains func(column, text string) string
	HasScope string // a condition on the list scopes; %s is the scope
	// Among adds the condition that a row has one of these ids, which are strings or results of ID.
	Among func(w *Where, ids []any)
}

// Query runs a query. It scans each row into the destinations and yields nil. An error is the last value.
type Query func(into []any, query string, args ...any) iter.Seq[error]

// first scans the first row of a query, if there is one.
func (q Query) first(into any, query string, args ...any) (err error) {
	q([]any{into}, query, args...)(func(e error) bool {
		err = e
		return false
	})
	return err
}

// collect returns the records of a query. The function `columns` returns the destinations in a record.
func collect[T any](q Query, columns func(*T) []any, query string, args ...any) ([]T, error) {
	list := []T{}
	var record T
	for err := range q(columns(&record), query, args...) {
		if err != nil {
			return nil, err
		}
		list = append(list, record)
		record = *new(T)
	}
	return list, nil
}

// NotFound returns store.ErrNotFound if err means that a query found no row, and other errors unchanged.
func NotFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrNotFound
	}
	return err
}
