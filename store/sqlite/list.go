package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

const (
	// keySize is the approximate size of a key, in bytes.
	keySize = `512 + octet_length(owner) + octet_length(name) + octet_length(scopes) + octet_length(audience)
		+ octet_length(claims) + octet_length(metadata)`
	pickKeys = `SELECT id, kid, owner, name, ` + keySize + ` FROM keys WHERE `
)

// Keys implements store.Store. With an owner it reads the index keys_by_owner, otherwise the primary
// key. Other fields filter the rows found.
func (s *Store) Keys(ctx context.Context, workspace string, f store.Filter) ([]store.Key, uuid.UUID, error) {
	list, next, err := s.keys(ctx, workspace, f)
	return list, next, wrap(ctx, "list keys", err)
}

func (s *Store) keys(ctx context.Context, workspace string, f store.Filter) ([]store.Key, uuid.UUID, error) {
	if f.Limit < 1 {
		return nil, uuid.Nil, errLimit
	}
	way := keysWay(workspace, f)
	where := way.clone()
	if err := where.narrow(f); err != nil {
		return nil, uuid.Nil, err
	}
	end := uuid.Nil
	if f.Rows > 0 && f.Narrows() {
		var err error
		if end, err = s.lookTo(ctx, `keys`, way, f.Rows); err != nil {
			return nil, uuid.Nil, err
		}
	}
	page, err := s.pickKeys(ctx, where.from(end), f)
	if err != nil {
		return nil, uuid.Nil, err
	}
	list, err := s.readKeys(ctx, workspace, where, page.IDs)
	return list, page.Next(end), err
}

func lookQuery(table string, way clause) string {
	return `SELECT id FROM ` + table + ` WHERE ` + way.text() + ` ORDER BY id DESC LIMIT 1 OFFSET ?`
}

// lookTo returns the id of the row at which an examination of this many rows ends, or uuid.Nil
// if there are fewer rows.
func (s *Store) lookTo(ctx context.Context, table string, way clause, rows int) (uuid.UUID, error) {
	var id []byte
	err := s.reader.QueryRowContext(ctx, lookQuery(table, way), append(way.args, rows-1)...).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return uuid.Nil, nil
	}
	if err != nil {
		return uuid.Nil, err
	}
	return uuid.FromBytes(id)
}

// from excludes rows after an id, in the list's order, unless the id is uuid.Nil.
func (c clause) from(id uuid.UUID) clause {
	if id != uuid.Nil {
		c = c.clone()
		c.add(`id >= ?`, id[:])
	}
	return c
}

func pickQuery(where clause, f store.Filter) (string, []any) {
	limit := f.Limit + 1
	if f.Query != "" {
		limit = -1 // the database returns more than the matches
	}
	return pickKeys + where.text() + ` ORDER BY id DESC LIMIT ?`, append(where.args, limit)
}

// pickKeys chooses the keys of a page, reading only short columns.
func (s *Store) pickKeys(ctx context.Context, where clause, f store.Filter) (*store.Picker[uuid.UUID], error) {
	query, args := pickQuery(where, f)
	rows, err := s.reader.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	search, page := store.NewSearch(f.Query), &store.Picker[uuid.UUID]{Limit: f.Limit, Bytes: f.Bytes}
	for more := true; more && rows.Next(); {
		var (
			id, kid     []byte
			owner, name string
			size        int
		)
		if err := rows.Scan(&id, &kid, &owner, &name, &size); err != nil {
			return nil, err
		}
		key, err := uuid.FromBytes(id)
		if err != nil {
			return nil, fmt.Errorf("%w: a key: %w", store.ErrDamaged, err)
		}
		if f.Query == "" || search.IsKey(key, kid) || search.Names(name) || f.Owner == "" && search.Names(owner) {
			more = page.Add(key, size)
		}
	}
	return page, rows.Err()
}

// readKeys reads the keys of a page, except those that have changed and no longer match.
func (s *Store) readKeys(ctx context.Context, workspace string, where clause, ids []uuid.UUID) ([]store.Key, error) {
	list := []store.Key{}
	if len(ids) == 0 {
		return list, ctx.Err()
	}
	where.among(ids)
	rows, err := s.reader.QueryContext(ctx, selectKeys+where.text()+` ORDER BY id DESC`, where.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		k, err := scanUsed(workspace, rows.Scan)
		if err != nil {
			return nil, err
		}
		list = append(list, k)
	}
	return list, rows.Err()
}

// clause collects the conditions of a WHERE.
type clause struct {
	terms []string
	args  []any
}

func (c *clause) add(term string, args ...any) {
	c.terms = append(c.terms, term)
	c.args = append(c.args, args...)
}

func (c *clause) text() string { return strings.Join(c.terms, ` AND `) }

func (c clause) clone() clause { return clause{slices.Clone(c.terms), slices.Clone(c.args)} }

// among selects rows by ids.
func (c *clause) among(ids []uuid.UUID) {
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id[:]
	}
	c.add(`id IN (`+strings.TrimSuffix(strings.Repeat(`?, `, len(ids)), `, `)+`)`, args...)
}

// keysWay returns the conditions that an index answers.
func keysWay(workspace string, f store.Filter) (c clause) {
	c.add(`workspace = ?`, workspace)
	if f.Owner != "" {
		c.add(`owner = ?`, f.Owner)
	}
	if f.After != uuid.Nil {
		c.add(`id < ?`, f.After[:])
	}
	return c
}

// narrow adds the conditions that no index answers.
func (c *clause) narrow(f store.Filter) error {
	if f.Query != "" {
		c.match(f)
	}
	if f.Scope != "" {
		c.add(`EXISTS (SELECT 1 FROM json_each(scopes) WHERE value = ?)`, f.Scope)
	}
	if !f.CreatedBefore.IsZero() {
		c.add(`(created_at IS NULL OR created_at < ?)`, roundUp(f.CreatedBefore))
	}
	if !f.UnusedSince.IsZero() {
		c.unused(roundUp(f.UnusedSince))
	}
	return c.status(f)
}

// status selects by Filter.Status and Filter.Live, as defined by store.Key.Status.
func (c *clause) status(f store.Filter) error {
	// Not micros: the zero time is not NULL here, and no key has expired at it.
	now := f.Now.UnixMicro()
	const inTime = `(expires_at IS NULL OR expires_at > ?)`
	if f.Live {
		c.add(published+` AND (grace_ends_at IS NULL OR grace_ends_at > ?) AND `+inTime, now, now)
	}
	switch f.Status {
	case "":
	case store.Active:
		c.add(published+` AND rotated_to IS NULL AND `+inTime, now)
	case store.Deprecated:
		c.add(published+` AND grace_ends_at > ? AND `+inTime, now, now)
	case store.Expired:
		c.add(`revoked_at IS NULL AND (expired_version IS NOT NULL
			OR (expires_at <= ? AND (grace_ends_at IS NULL OR grace_ends_at > ?)))`, now, now)
	case store.Revoked:
		c.add(`(revoked_at IS NOT NULL OR (expired_version IS NULL AND grace_ends_at <= ?))`, now)
	default:
		return fmt.Errorf("unknown status %q", f.Status)
	}
	return nil
}

// match selects rows that may match Filter.Query; pickKeys decides. SQLite's lower only changes ASCII
// letters, so all texts with other characters are selected. Unlike LIKE, instr has no wildcards.
func (c *clause) match(f store.Filter) {
	search := store.NewSearch(f.Query)
	columns := []string{`name`}
	if f.Owner == "" {
		columns = append(columns, `owner`)
	}
	terms, args := maybe(search, columns...)
	if kid, ok := search.KID(); ok {
		terms, args = append(terms, `kid = ?`), append(args, kid[:])
	}
	if id, ok := search.ID(); ok {
		terms, args = append(terms, `id = ?`), append(args, id[:])
	}
	c.add(`(`+strings.Join(terms, ` OR `)+`)`, args...)
}

// maybe returns conditions, one of which is true if a column may contain the searched text.
func maybe(search *store.Search, columns ...string) (terms []string, args []any) {
	for _, column := range columns {
		terms = append(terms, `instr(lower(`+column+`), ?) > 0`, `octet_length(`+column+`) <> length(`+column+`)`)
		args = append(args, search.Folded)
	}
	return terms, args
}
