package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/burnkey/burnkey/store"
)

// keySize is the approximate size of a key, in bytes. It does not read texts that are stored
// out of line.
var (
	keySize = `512 + octet_length(owner) + octet_length(name) + ` + listSize("scopes") + ` + ` + listSize("audience") +
		` + octet_length(claims) + octet_length(metadata)`
	pickKeys = `SELECT id, kid, owner, name, ` + keySize + ` FROM keys WHERE `
)

// listSize is the approximate size of an array in memory. pg_column_size of the column would be the
// stored size, which may be a tenth or less if it is compressed.
func listSize(column string) string { return `pg_column_size(` + column + ` || '{}'::text[])` }

// Keys implements store.Store. With an owner it reads the index keys_by_owner, otherwise the primary key.
// Other fields filter the rows found.
func (s *Store) Keys(ctx context.Context, workspace string, f store.Filter) ([]store.Key, uuid.UUID, error) {
	list, next, err := s.keys(ctx, workspace, f)
	return list, next, wrap(ctx, "list keys", err)
}

func (s *Store) keys(ctx context.Context, workspace string, f store.Filter) (list []store.Key, next uuid.UUID, err error) {
	if f.Limit < 1 {
		return nil, uuid.Nil, errLimit
	}
	way := keysWay(workspace, f)
	where := way.clone()
	if err := where.narrow(f); err != nil {
		return nil, uuid.Nil, err
	}
	if !storable(f.Owner) || !storable(f.Query) || !storable(f.Scope) {
		return []store.Key{}, uuid.Nil, ctx.Err()
	}
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) (err error) {
		end := uuid.Nil
		if f.Rows > 0 && f.Narrows() {
			if end, err = lookTo(ctx, c, `keys`, way, f.Rows); err != nil {
				return err
			}
		}
		page, err := pickKeysOf(ctx, c, where.from(end), f)
		if err != nil {
			return err
		}
		next = page.Next(end)
		list, err = readKeys(ctx, c, workspace, where.clone(), page.IDs)
		return err
	})
	return list, next, err
}

func lookQuery(table string, way clause, rows int) (string, []any) {
	way = way.clone()
	query := `SELECT id FROM ` + table + ` WHERE ` + way.text() + ` ORDER BY id DESC LIMIT 1 OFFSET ` + way.arg(rows-1)
	return query, way.args
}

// lookTo returns the id of the row at which an examination of this many rows ends, or uuid.Nil
// if there are fewer rows.
func lookTo(ctx context.Context, c *pgxpool.Conn, table string, way clause, rows int) (id uuid.UUID, err error) {
	query, args := lookQuery(table, way, rows)
	err = c.QueryRow(ctx, query, args...).Scan((*[16]byte)(&id))
	if errors.Is(err, pgx.ErrNoRows) {
		return uuid.Nil, nil
	}
	return id, err
}

// from excludes rows after an id, in the list's order, unless the id is uuid.Nil.
func (c clause) from(id uuid.UUID) clause {
	c = c.clone()
	if id != uuid.Nil {
		c.add(`id >= ` + c.arg([16]byte(id)))
	}
	return c
}

func pickQuery(where clause, f store.Filter) (string, []any) {
	query := pickKeys + where.text() + ` ORDER BY id DESC`
	if f.Query == "" { // with a query, the database returns more than the matches
		query += ` LIMIT ` + where.arg(f.Limit+1)
	}
	return query, where.args
}

// pickKeysOf chooses the keys of a page, reading only short columns.
func pickKeysOf(ctx context.Context, c *pgxpool.Conn, where clause, f store.Filter) (*store.Picker[uuid.UUID], error) {
	query, args := pickQuery(where, f)
	rows, err := c.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	search, page := store.NewSearch(f.Query), &store.Picker[uuid.UUID]{Limit: f.Limit, Bytes: f.Bytes}
	for more := true; more && rows.Next(); {
		var (
			id          uuid.UUID
			kid         []byte
			owner, name string
			size        int
		)
		if err := rows.Scan((*[16]byte)(&id), &kid, &owner, &name, &size); err != nil {
			return nil, err
		}
		if f.Query == "" || search.IsKey(id, kid) || search.Names(name) || f.Owner == "" && search.Names(owner) {
			more = page.Add(id, size)
		}
	}
	rows.Close()
	return page, rows.Err()
}

// arrayOf returns ids as an argument.
func arrayOf(ids []uuid.UUID) [][16]byte {
	array := make([][16]byte, len(ids))
	for i, id := range ids {
		array[i] = id
	}
	return array
}

// readKeys reads the keys of a page, except those that have changed and no longer match.
func readKeys(ctx context.Context, c *pgxpool.Conn, workspace string, where clause, ids []uuid.UUID) ([]store.Key, error) {
	if len(ids) == 0 {
		return []store.Key{}, nil
	}
	where.add(`id = ANY (` + where.arg(arrayOf(ids)) + `)`)
	rows, _ := c.Query(ctx, selectKeys+where.text()+` ORDER BY id DESC`, where.args...) // its error is rows.Err
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Key, error) { return scanUsed(workspace, row) })
}

// clause collects the conditions of a WHERE.
type clause struct {
	terms []string
	args  []any
}

func (c *clause) add(term string) { c.terms = append(c.terms, term) }

// arg adds an argument and returns its placeholder.
func (c *clause) arg(value any) string {
	c.args = append(c.args, value)
	return fmt.Sprintf("$%d", len(c.args))
}

func (c *clause) text() string { return strings.Join(c.terms, ` AND `) }

func (c clause) clone() clause { return clause{slices.Clone(c.terms), slices.Clone(c.args)} }

// keysWay returns the conditions that an index answers.
func keysWay(workspace string, f store.Filter) (c clause) {
	c.add(`workspace = ` + c.arg(workspace))
	if f.Owner != "" {
		c.add(`owner = ` + c.arg(f.Owner))
	}
	if f.After != uuid.Nil {
		c.add(`id < ` + c.arg([16]byte(f.After)))
	}
	return c
}

// narrow adds the conditions that no index answers.
func (c *clause) narrow(f store.Filter) error {
	if f.Query != "" {
		c.match(f)
	}
	if f.Scope != "" {
		c.add(c.arg(f.Scope) + ` = ANY (scopes)`)
	}
	if !f.CreatedBefore.IsZero() {
		c.add(`(created_at IS NULL OR created_at < ` + c.arg(roundUp(f.CreatedBefore)) + `)`)
	}
	if !f.UnusedSince.IsZero() {
		c.unused(roundUp(f.UnusedSince))
	}
	return c.status(f)
}

// status selects by Filter.Status and Filter.Live, as defined by store.Key.Status.
func (c *clause) status(f store.Filter) error {
	if f.Status == "" && !f.Live {
		return nil
	}
	// Not micros: the zero time is not NULL here, and no key has expired at it.
	now := c.arg(f.Now.UnixMicro()) + `::bigint`
	inTime := `(expires_at IS NULL OR expires_at > ` + now + `)`
	if f.Live {
		c.add(published + ` AND (grace_ends_at IS NULL OR grace_ends_at > ` + now + `) AND ` + inTime)
	}
	switch f.Status {
	case "":
	case store.Active:
		c.add(published + ` AND rotated_to IS NULL AND ` + inTime)
	case store.Deprecated:
		c.add(published + ` AND grace_ends_at > ` + now + ` AND ` + inTime)
	case store.Expired:
		c.add(`revoked_at IS NULL AND (expired_version IS NOT NULL
			OR (expires_at <= ` + now + ` AND (grace_ends_at IS NULL OR grace_ends_at > ` + now + `)))`)
	case store.Revoked:
		c.add(`(revoked_at IS NOT NULL OR (expired_version IS NULL AND grace_ends_at <= ` + now + `))`)
	default:
		return fmt.Errorf("unknown status %q", f.Status)
	}
	return nil
}

// match selects rows that may match Filter.Query; pickKeysOf decides. In the collation "C" lower only
// changes ASCII letters, so all texts with other characters are selected. Unlike LIKE, strpos has no
// wildcards.
func (c *clause) match(f store.Filter) {
	search := store.NewSearch(f.Query)
	columns := []string{`name`}
	if f.Owner == "" {
		columns = append(columns, `owner`)
	}
	terms := c.maybe(search, columns...)
	if kid, ok := search.KID(); ok {
		terms = append(terms, `kid = `+c.arg(kid[:]))
	}
	if id, ok := search.ID(); ok {
		terms = append(terms, `id = `+c.arg([16]byte(id)))
	}
	c.add(`(` + strings.Join(terms, ` OR `) + `)`)
}

// maybe returns conditions, one of which is true if a column may contain the searched text.
func (c *clause) maybe(search *store.Search, columns ...string) (terms []string) {
	folded := c.arg(search.Folded)
	for _, column := range columns {
		terms = append(terms, `strpos(lower(`+column+` COLLATE "C"), `+folded+`::text COLLATE "C") > 0`,
			`octet_length(`+column+`) <> char_length(`+column+`)`)
	}
	return terms
}
