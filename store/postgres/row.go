package postgres

import (
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

var dialect = rows.Dialect{
	ID:     func(id uuid.UUID) any { return [16]byte(id) },
	IDInto: func(id *uuid.UUID) any { return (*idColumn)(id) },
	List:   func(list *[]string) any { return list },
	// pg_column_size of the column itself would be its stored size: a tenth or less if it is compressed.
	ListSize: func(column string) string { return `pg_column_size(` + column + ` || '{}'::text[])` },
	// In the collation "C", lower only changes ASCII letters. Unlike LIKE, strpos has no wildcards.
	Contains: func(column, text string) string {
		return `strpos(lower(` + column + ` COLLATE "C"), ` + text + `::text COLLATE "C") > 0`
	},
	HasScope: `%s = ANY (scopes)`,
	Among:    among,
}

func among(w *rows.Where, ids []any) {
	if _, text := ids[0].(string); text {
		w.Add(`id = ANY (%s)`, arrayOf[string](ids))
	} else {
		w.Add(`id = ANY (%s)`, arrayOf[[16]byte](ids))
	}
}

func arrayOf[T any](values []any) []T {
	array := make([]T, len(values))
	for i, value := range values {
		array[i] = value.(T)
	}
	return array
}

// idColumn is an id; NULL becomes uuid.Nil.
type idColumn uuid.UUID

// ScanUUID implements pgtype.UUIDScanner.
func (c *idColumn) ScanUUID(v pgtype.UUID) error {
	*c = v.Bytes
	return nil
}

// scanWorkspace reads a row of selectWorkspace.
func scanWorkspace(row pgx.Row) (store.Workspace, error) {
	var w store.Workspace
	if err := row.Scan(dialect.Workspace(&w)...); err != nil {
		return store.Workspace{}, rows.NotFound(err)
	}
	return w, nil
}

// scanKey reads a row of rows.KeyColumns, which come after the columns `before`.
func scanKey(workspace string, row pgx.Row, before ...any) (store.Key, error) {
	k := store.Key{Workspace: workspace}
	if err := row.Scan(append(before, dialect.Key(&k)...)...); err != nil {
		return store.Key{}, rows.NotFound(err)
	}
	return k, nil
}

// scanUsed reads a row of rows.UsedKeyColumns.
func scanUsed(workspace string, row pgx.Row) (store.Key, error) {
	k := store.Key{Workspace: workspace}
	if err := row.Scan(dialect.UsedKey(&k)...); err != nil {
		return store.Key{}, rows.NotFound(err)
	}
	return k, nil
}
