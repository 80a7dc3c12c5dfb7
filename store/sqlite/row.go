package sqlite

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

var dialect = rows.Dialect{
	ID:       func(id uuid.UUID) any { return id[:] },
	IDInto:   idInto,
	List:     listInto,
	ListSize: func(column string) string { return `octet_length(` + column + `)` },
	// Unlike LIKE, instr has no wildcards.
	Contains: func(column, text string) string { return `instr(lower(` + column + `), ` + text + `) > 0` },
	HasScope: `EXISTS (SELECT 1 FROM json_each(scopes) WHERE value = %s)`,
	Among: func(w *rows.Where, ids []any) {
		// Plain placeholders are faster: for each numbered one, the driver searches all arguments.
		w.AddPlain(`id IN (`+strings.TrimSuffix(strings.Repeat(`?, `, len(ids)), `, `)+`)`, ids...)
	},
}

func idInto(id *uuid.UUID) any {
	return rows.Column(func(value any) (err error) {
		if *id = uuid.Nil; value != nil {
			b, _ := value.([]byte)
			*id, err = uuid.FromBytes(b)
		}
		return err
	})
}

func listInto(list *[]string) any {
	return rows.Column(func(value any) error {
		if *list = nil; value == nil {
			return nil
		}
		text, _ := value.(string)
		if err := json.Unmarshal([]byte(text), list); err != nil {
			return fmt.Errorf("a list of strings: %w", err)
		}
		*list = rows.NotNil(*list)
		return nil
	})
}

// encodeList returns strings as a JSON array. It refuses invalid UTF-8, which JSON would replace.
func encodeList(list []string) (string, error) {
	for _, s := range list {
		if !utf8.ValidString(s) {
			return "", fmt.Errorf("%q is not UTF-8", s)
		}
	}
	text, err := json.Marshal(rows.NotNil(list))
	return string(text), err
}

// scanner is a row or rows.
type scanner interface{ Scan(into ...any) error }

// scanWorkspace reads a row of selectWorkspace.
func scanWorkspace(row scanner) (w store.Workspace, err error) {
	err = row.Scan(dialect.Workspace(&w)...)
	return orZero(w, rows.NotFound(err))
}

// scanKey reads a row of selectKeys.
func scanKey(workspace string, row scanner) (store.Key, error) {
	k := store.Key{Workspace: workspace}
	err := row.Scan(dialect.UsedKey(&k)...)
	return orZero(k, rows.NotFound(err))
}

// orZero returns value, or the zero value if there is an error.
func orZero[T any](value T, err error) (zero T, _ error) {
	if err != nil {
		return zero, err
	}
	return value, nil
}

// encodeChange returns the two columns of a change.
func encodeChange(add []jwks.Key, remove []jwks.KID) (added, removed []byte) {
	added = make([]byte, 0, len(add)*jwks.ModulusLen)
	for _, key := range add {
		added = append(added, key.Modulus()...)
	}
	removed = make([]byte, 0, len(remove)*len(jwks.KID{}))
	for _, kid := range remove {
		removed = append(removed, kid[:]...)
	}
	return added, removed
}
