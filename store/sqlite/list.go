package sqlite

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// Keys implements store.Store. With an owner it walks keys_by_owner, else the
// primary key; status and query drop rows on that way.
func (s *Store) Keys(ctx context.Context, workspace string, f store.Filter) ([]store.Key, error) {
	list, err := s.keys(ctx, workspace, f)
	return list, wrap(ctx, "list keys", err)
}

func (s *Store) keys(ctx context.Context, workspace string, f store.Filter) ([]store.Key, error) {
	if f.Limit < 1 {
		return nil, errLimit
	}
	query, args, err := listQuery(workspace, f)
	if err != nil {
		return nil, err
	}
	rows, err := s.reader.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := []store.Key{}
	for rows.Next() {
		k, err := scanUsed(workspace, rows.Scan)
		if err != nil {
			return nil, err
		}
		list = append(list, k)
	}
	return list, rows.Err()
}

// listQuery returns the query for what f selects, and its arguments.
func listQuery(workspace string, f store.Filter) (string, []any, error) {
	where, err := conditions(workspace, f)
	query := selectKeys + strings.Join(where.terms, ` AND `) + ` ORDER BY id DESC LIMIT ?`
	return query, append(where.args, f.Limit), err
}

// clause collects what a WHERE joins by AND.
type clause struct {
	terms []string
	args  []any
}

func (c *clause) add(term string, args ...any) {
	c.terms = append(c.terms, term)
	c.args = append(c.args, args...)
}

func conditions(workspace string, f store.Filter) (clause, error) {
	var c clause
	c.add(`workspace = ?`, workspace)
	if f.Owner != "" {
		c.add(`owner = ?`, f.Owner)
	}
	if f.After != uuid.Nil {
		c.add(`id < ?`, f.After[:])
	}
	if f.Query != "" {
		c.match(f.Query)
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
	return c, c.status(f)
}

// status selects by Filter.Status and Filter.Live, as store.Key.Status has it.
func (c *clause) status(f store.Filter) error {
	// Not micros: at the zero time no key has expired.
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

// match selects by Filter.Query. SQLite's lower changes ASCII letters alone, and
// instr, unlike LIKE, has no wildcards.
func (c *clause) match(query string) {
	terms := []string{`instr(lower(name), lower(?)) > 0`, `instr(lower(owner), lower(?)) > 0`}
	args := []any{query, query}
	if kid, err := jwks.ParseKID(query); err == nil {
		terms, args = append(terms, `kid = ?`), append(args, kid[:])
	}
	if id, ok := store.ParseID(query); ok {
		terms, args = append(terms, `id = ?`), append(args, id[:])
	}
	c.add(`(`+strings.Join(terms, ` OR `)+`)`, args...)
}
