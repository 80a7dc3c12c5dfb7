package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// Keys implements store.Store. With an owner it walks keys_by_owner, else the
// primary key; status and query drop rows on that way.
func (s *Store) Keys(ctx context.Context, workspace string, f store.Filter) ([]store.Key, error) {
	list, err := s.keys(ctx, workspace, f)
	return list, wrap(ctx, "list keys", err)
}

func (s *Store) keys(ctx context.Context, workspace string, f store.Filter) (list []store.Key, err error) {
	if f.Limit < 1 {
		return nil, errLimit
	}
	query, args, err := listQuery(workspace, f)
	if err != nil {
		return nil, err
	}
	if !storable(f.Owner) || !storable(f.Query) || !storable(f.Scope) {
		return []store.Key{}, ctx.Err()
	}
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		rows, _ := c.Query(ctx, query, args...) // its error is rows.Err
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Key, error) { return scanUsed(workspace, row) })
		return err
	})
	return list, err
}

// listQuery returns the query for what f selects, and its arguments.
func listQuery(workspace string, f store.Filter) (string, []any, error) {
	where, err := conditions(workspace, f)
	query := selectKeys + strings.Join(where.terms, ` AND `) +
		` ORDER BY id DESC LIMIT ` + where.arg(f.Limit)
	return query, where.args, err
}

// clause collects what a WHERE joins by AND.
type clause struct {
	terms []string
	args  []any
}

func (c *clause) add(term string) { c.terms = append(c.terms, term) }

// arg adds an argument and returns how the query names it.
func (c *clause) arg(value any) string {
	c.args = append(c.args, value)
	return fmt.Sprintf("$%d", len(c.args))
}

func conditions(workspace string, f store.Filter) (clause, error) {
	var c clause
	c.add(`workspace = ` + c.arg(workspace))
	if f.Owner != "" {
		c.add(`owner = ` + c.arg(f.Owner))
	}
	if f.After != uuid.Nil {
		c.add(`id < ` + c.arg([16]byte(f.After)))
	}
	if f.Query != "" {
		c.match(f.Query)
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
	return c, c.status(f)
}

// status selects by Filter.Status and Filter.Live, as store.Key.Status has it.
func (c *clause) status(f store.Filter) error {
	if f.Status == "" && !f.Live {
		return nil
	}
	// Not micros: at the zero time no key has expired.
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

// match selects by Filter.Query. In the collation "C" lower changes ASCII letters
// alone, and strpos, unlike LIKE, has no wildcards.
func (c *clause) match(query string) {
	lowered := `lower(` + c.arg(query) + `::text COLLATE "C")`
	terms := []string{`strpos(lower(name), ` + lowered + `) > 0`, `strpos(lower(owner), ` + lowered + `) > 0`}
	if kid, err := jwks.ParseKID(query); err == nil {
		terms = append(terms, `kid = `+c.arg(kid[:]))
	}
	if id, ok := store.ParseID(query); ok {
		terms = append(terms, `id = `+c.arg([16]byte(id)))
	}
	c.add(`(` + strings.Join(terms, ` OR `) + `)`)
}
