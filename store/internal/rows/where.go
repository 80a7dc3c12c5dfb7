package rows

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

// Conditions on keys.
const (
	// Published is the condition of the index keys_by_owner_published. It includes suspended keys.
	Published = `revoked_at IS NULL AND expired_version IS NULL`
	resumed   = ` AND suspended_at IS NULL AND `
	inTime    = `(expires_at IS NULL OR expires_at > %[1]s)`
	inGrace   = `(grace_ends_at IS NULL OR grace_ends_at > %[1]s)`
)

// Where collects the conditions and arguments of a query.
type Where struct {
	*Dialect
	terms []string
	args  []any
}

// Add adds a condition, in which each %s stands for an argument.
func (w *Where) Add(condition string, args ...any) {
	w.terms = append(w.terms, w.format(condition, args...))
}

// AddPlain adds a condition that has the database's own placeholders for its arguments.
func (w *Where) AddPlain(condition string, args ...any) {
	w.terms, w.args = append(w.terms, condition), append(w.args, args...)
}

func (w *Where) format(condition string, args ...any) string {
	places := make([]any, len(args))
	for i, arg := range args {
		w.args = append(w.args, arg)
		places[i] = fmt.Sprintf("$%d", len(w.args))
	}
	return fmt.Sprintf(condition, places...)
}

// query returns the query: begin, the conditions, and end, in which each %s stands for an argument.
func (w Where) query(begin, end string, args ...any) (string, []any) {
	w = w.clone()
	query := begin + ` WHERE ` + strings.Join(w.terms, ` AND `)
	return query + w.format(end, args...), w.args
}

func (w Where) clone() Where {
	w.terms, w.args = slices.Clone(w.terms), slices.Clone(w.args)
	return w
}

// downTo excludes the rows after this id in a list (the highest id is first), unless the id is uuid.Nil.
func (w Where) downTo(id uuid.UUID) Where {
	w = w.clone()
	if id != uuid.Nil {
		w.Add(`id >= %s`, w.ID(id))
	}
	return w
}

// keys returns the conditions of a list of keys that an index can answer.
func (d *Dialect) keys(workspace string, f store.Filter) Where {
	w := Where{Dialect: d}
	w.Add(`workspace = %s`, workspace)
	if f.Owner != "" {
		w.Add(`owner = %s`, f.Owner)
	}
	if f.Parent != uuid.Nil {
		w.Add(`parent = %s`, d.ID(f.Parent))
	}
	return w
}

// narrow adds the conditions that no index can answer.
func (w *Where) narrow(f store.Filter) error {
	if f.Query != "" {
		w.match(f)
	}
	if f.Scope != "" {
		w.Add(w.HasScope, f.Scope)
	}
	if f.Plan != "" {
		w.Add(`plan = %s`, f.Plan)
	}
	if !f.CreatedBefore.IsZero() {
		w.Add(`(created_at IS NULL OR created_at < %s)`, roundUp(f.CreatedBefore))
	}
	if !f.ExpiresBefore.IsZero() {
		w.Add(`expires_at > %s AND expires_at < %s`, f.Now.UnixMicro(), roundUp(f.ExpiresBefore))
	}
	if !f.UnusedSince.IsZero() { // count(*), since PostgreSQL would evaluate EXISTS for the keys of all workspaces at once
		w.Add(`(created_at IS NULL OR created_at < %[1]s) AND NOT EXISTS (SELECT 1 FROM usage
			WHERE usage.workspace = keys.workspace AND usage.id = keys.id AND last_used_at >= %[1]s)
			AND (NOT delegates OR 0 = (SELECT count(*) FROM keys child
				LEFT JOIN usage ON usage.workspace = child.workspace AND usage.id = child.id
				WHERE child.workspace = keys.workspace AND child.parent = keys.id AND child.revoked_at IS NULL
					AND (child.created_at >= %[1]s OR last_used_at >= %[1]s)))`, roundUp(f.UnusedSince))
	}
	return w.status(f)
}

// status adds the conditions of Filter.Status and Filter.Live, as defined by store.Key.Status.
func (w *Where) status(f store.Filter) error {
	now := f.Now.UnixMicro() // not NULL for the zero time, at which no key has expired
	if f.Live {
		w.Add(Published+` AND `+inGrace+` AND `+inTime, now)
	}
	switch f.Status {
	case "":
	case store.Active:
		w.Add(Published+resumed+`rotated_to IS NULL AND `+inTime, now)
	case store.Deprecated:
		w.Add(Published+resumed+`grace_ends_at > %[1]s AND `+inTime, now)
	case store.Suspended:
		w.Add(Published+` AND suspended_at IS NOT NULL AND `+inGrace+` AND `+inTime, now)
	case store.Expired:
		w.Add(`revoked_at IS NULL AND (expired_version IS NOT NULL OR (expires_at <= %[1]s AND `+inGrace+`))`, now)
	case store.Revoked:
		w.Add(`(revoked_at IS NOT NULL OR (expired_version IS NULL AND grace_ends_at <= %s))`, now)
	default:
		return fmt.Errorf("unknown status %q", f.Status)
	}
	return nil
}

// match adds a condition that excludes keys that can't match Filter.Query; pickKeys checks the others.
func (w *Where) match(f store.Filter) {
	search := store.NewSearch(f.Query)
	columns := []string{`name`}
	if f.Owner == "" {
		columns = append(columns, `owner`)
	}
	terms := w.maybe(search, columns...)
	if kid, ok := search.KID(); ok {
		terms = append(terms, w.format(`kid = %s`, kid[:]))
	}
	if id, ok := search.ID(); ok {
		terms = append(terms, w.format(`id = %s`, w.ID(id)))
	}
	w.terms = append(w.terms, `(`+strings.Join(terms, ` OR `)+`)`)
}

// maybe returns conditions. At least one of them is true if a column contains the query, or contains characters
// other than ASCII, whose case the database can't fold.
func (w *Where) maybe(search *store.Search, columns ...string) (terms []string) {
	folded := w.format(`%s`, search.Folded)
	for _, column := range columns {
		terms = append(terms, w.Contains(column, folded), `octet_length(`+column+`) <> length(`+column+`)`)
	}
	return terms
}

// audit returns the conditions of a list of entries that an index can answer.
func (d *Dialect) audit(workspace string, f store.AuditFilter) Where {
	w := d.keys(workspace, store.Filter{Owner: f.Owner})
	if f.After != uuid.Nil {
		w.Add(`id < %s`, d.ID(f.After))
	}
	if f.Key != uuid.Nil {
		w.Add(`key = %s`, d.ID(f.Key))
	}
	// The condition on the id selects a range of the index; the condition on the column is exact.
	if !f.Since.IsZero() {
		at := roundUp(f.Since)
		w.Add(`id >= %s AND at >= %s`, d.ID(store.FirstEntryID(time.UnixMicro(at))), at)
	}
	if !f.Until.IsZero() {
		at := roundUp(f.Until)
		w.Add(`id < %s AND at < %s`, d.ID(store.FirstEntryID(time.UnixMicro(at))), at)
	}
	return w
}

// narrowAudit adds the conditions that no index can answer.
func (w *Where) narrowAudit(f store.AuditFilter) {
	if f.Action != "" {
		w.Add(`action = %s`, f.Action)
	}
	if f.Result != "" {
		w.Add(`result = %s`, f.Result)
	}
	if f.ActorID != "" {
		w.Add(`actor_id IN (%s, %s)`, f.ActorID, f.ActorAsID())
	}
}
