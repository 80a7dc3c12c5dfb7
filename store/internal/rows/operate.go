package rows

import (
	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// Counts of an Overview, of which each reads a limited part of an index.
const (
	// CountLive counts live keys by their state at a time: keys, active, deprecated, suspended, active and expiring.
	CountLive = `SELECT count(*),
		count(*) FILTER (WHERE valid AND suspended_at IS NULL AND rotated_to IS NULL),
		count(*) FILTER (WHERE valid AND suspended_at IS NULL AND grace_ends_at > $2),
		count(*) FILTER (WHERE valid AND suspended_at IS NOT NULL AND (grace_ends_at IS NULL OR grace_ends_at > $2)),
		count(*) FILTER (WHERE valid AND suspended_at IS NULL AND rotated_to IS NULL AND expires_at < $3)
		FROM (SELECT expires_at, suspended_at, rotated_to, grace_ends_at, expires_at IS NULL OR expires_at > $2 AS valid
			FROM keys WHERE workspace = $1 AND ` + Published + ` LIMIT $4) AS found`
	CountRefused = `SELECT count(*) FROM (SELECT 1 FROM audit WHERE workspace = $1 AND result = 'refused' AND id >= $2 LIMIT $3) AS found`

	selectAnywhere = `SELECT workspace, ` + UsedKeyColumns + ` FROM keys WHERE `
	SelectIDs      = selectAnywhere + `id = $1 LIMIT $2`
	SelectKIDs     = selectAnywhere + `kid = $1 LIMIT $2`
)

// Overview implements store.Store.Overview.
func (d *Dialect) Overview(q Query, workspace string, o store.OverviewQuery) (v store.Overview, err error) {
	if o.Most < 1 || o.MostEvents < 1 {
		return v, ErrLimit
	}
	var keys int
	counted := []any{&keys, &v.Active, &v.Deprecated, &v.Suspended, &v.Expiring}
	for _, c := range []struct {
		into  []any
		query string
		args  []any
	}{
		{counted, CountLive, []any{workspace, o.Now.UnixMicro(), roundUp(o.ExpiringBefore), o.Most + 1}},
		{[]any{&v.Requests}, CountOpen, []any{workspace, o.MostEvents}},
		{[]any{&v.Refused}, CountRefused, []any{workspace, d.ID(store.FirstEntryID(o.RefusedSince)), o.MostEvents}},
	} {
		for err := range q(c.into, c.query, c.args...) {
			if err != nil {
				return store.Overview{}, err
			}
		}
	}
	v.More = keys > o.Most
	return v, nil
}

// KeysAnywhere implements store.Store.KeysAnywhere.
func (d *Dialect) KeysAnywhere(q Query, id uuid.UUID, kid jwks.KID, most int) ([]store.Key, error) {
	if most < 1 {
		return nil, ErrLimit
	}
	columns := func(k *store.Key) []any { return append([]any{&k.Workspace}, d.UsedKey(k)...) }
	if id != uuid.Nil {
		return collect(q, columns, SelectIDs, d.ID(id), most)
	}
	return collect(q, columns, SelectKIDs, kid[:], most)
}
