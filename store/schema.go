package store

import "fmt"

// FirstExpandOnly is the first schema version that records which programs can use the database. Each later migration only
// expands the schema, so that servers of the previous version continue to work, or raises what the database needs.
const FirstExpandOnly = 19

// CheckSchema returns an error unless a program that knows the schema version `known` can use a database with a later
// schema. needs returns the lowest version that a program must know. For backends.
func CheckSchema(schema, known int64, needs func() (int64, error)) error {
	least, err := needs()
	if err != nil {
		return fmt.Errorf("read what the schema, version %d, needs: %w", schema, err)
	}
	if least > known {
		return fmt.Errorf("the schema has version %d and needs a program that knows %d, this program knows %d: a newer Burnkey made it",
			schema, least, known)
	}
	return nil
}
