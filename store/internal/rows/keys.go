package rows

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

// expiry is a column of the index keys_by_expiry. Keys that never expire are last.
const expiry = `coalesce(expires_at, 9223372036854775807)`

// usedKeys has the columns that lists need, by which the index usage_by_time is read first.
const usedKeys = `(SELECT u.workspace, u.id, u.last_used_at, k.kid, k.owner, k.name, k.scopes, k.audience, k.claims, k.metadata,
	k.allowed_ips, k.limits, k.ceiling, k.created_at, k.expires_at, k.revoked_at, k.expired_version, k.rotated_to, k.grace_ends_at,
	k.suspended_at, k.plan, k.parent FROM usage u JOIN keys k ON k.workspace = u.workspace AND k.id = u.id) AS keys`

// order is an order of keys that an index has: by a column and then by id, or by id alone.
type order struct {
	from     string // the table
	column   string // empty: only id
	isNumber bool
	reverse  bool
}

var newest = order{from: `keys`, reverse: true}

// orderBy returns an order. For the keys of one owner, it returns an order that no index has: then databases read and sort
// this owner's keys, of which there are few, and not the workspace's.
func orderBy(by store.Order, reverse, ofOwner bool) (order, error) {
	o := order{from: `keys`, reverse: reverse}
	switch by {
	case store.OrderCreated:
	case store.OrderExpiry:
		o.column, o.isNumber = expiry, true
	case store.OrderUse:
		o.from, o.column, o.isNumber = usedKeys, `last_used_at`, true
	case store.OrderName:
		o.column = `lower(name)`
	case store.OrderOwner:
		o.column = `owner`
	default:
		return order{}, fmt.Errorf("unknown order %q", by)
	}
	switch {
	case !ofOwner:
	case by == store.OrderOwner:
		o.column = ``
	case o.isNumber:
		o.column += ` + 0`
	case o.column != "":
		o.column += ` || ''`
	}
	return o, nil
}

// place is the place of a key in an order. The zero value is the beginning and the end.
type place struct {
	id     uuid.UUID
	text   string // of the column
	number int64
}

// cursor returns a place as text. It contains the value of the column, so a change of the key does not move the place.
func (o order) cursor(p place) string {
	if p.id == uuid.Nil {
		return ""
	}
	text := p.text
	if o.isNumber {
		text = strconv.FormatInt(p.number, 10)
	}
	return base64.RawURLEncoding.EncodeToString(append(p.id[:], text...))
}

func (o order) place(cursor string) (p place, err error) {
	if cursor == "" {
		return p, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(b) < len(p.id) {
		return p, store.ErrCursor
	}
	p.id, p.text = uuid.UUID(b[:len(p.id)]), string(b[len(p.id):])
	if o.isNumber {
		p.number, err = strconv.ParseInt(p.text, 10, 64)
	}
	if err != nil || p.id == uuid.Nil || o.column == "" && p.text != "" || !storable(p.text) {
		return place{}, store.ErrCursor
	}
	return p, nil
}

// columns returns the columns of a place, and their destinations.
func (o order) columns(d *Dialect, p *place) (columns string, into []any) {
	switch {
	case o.column == "":
		return `id`, []any{d.IDInto(&p.id)}
	case o.isNumber:
		return `id, ` + o.column, []any{d.IDInto(&p.id), &p.number}
	}
	return `id, ` + o.column, []any{d.IDInto(&p.id), &p.text}
}

func (o order) clause() string {
	direction := map[bool]string{true: ` DESC`}[o.reverse]
	if o.column == "" {
		return ` ORDER BY id` + direction
	}
	return ` ORDER BY ` + o.column + direction + `, id` + direction
}

// bound adds the condition that rows come after a place or, with upTo, before it or at it. The zero place is no bound.
func (o order) bound(w Where, p place, upTo bool) Where {
	w = w.clone()
	if p.id == uuid.Nil {
		return w
	}
	sign := map[[2]bool]string{{false, false}: `>`, {true, false}: `<`, {false, true}: `<=`, {true, true}: `>=`}[[2]bool{o.reverse, upTo}]
	switch {
	case o.column == "":
		w.Add(`id `+sign+` %s`, w.ID(p.id))
	case o.isNumber:
		w.Add(`(`+o.column+`, id) `+sign+` (%s, %s)`, p.number, w.ID(p.id))
	default:
		w.Add(`(`+o.column+`, id) `+sign+` (%s, %s)`, p.text, w.ID(p.id))
	}
	return w
}

// Keys implements store.Store.Keys.
func (d *Dialect) Keys(q Query, workspace string, f store.Filter) ([]store.Key, uuid.UUID, error) {
	list, next, err := d.keysIn(q, workspace, f, newest, place{id: f.After})
	return list, next.id, err
}

// KeysInOrder implements store.Store.KeysInOrder.
func (d *Dialect) KeysInOrder(q Query, workspace string, f store.Filter, by store.Order, reverse bool, after string) (
	[]store.Key, string, error,
) {
	o, err := orderBy(by, reverse, f.Owner != "")
	if err != nil {
		return nil, "", err
	}
	from, err := o.place(after)
	if err != nil {
		return nil, "", err
	}
	list, next, err := d.keysIn(q, workspace, f, o, from)
	return list, o.cursor(next), err
}

// keysIn reads a page in an order. With an owner it reads the index keys_by_owner, otherwise the index of the order; other
// fields filter the rows found. It first chooses the keys of the page from short columns, and then reads those keys
// completely.
func (d *Dialect) keysIn(q Query, workspace string, f store.Filter, o order, after place) ([]store.Key, place, error) {
	found := d.keys(workspace, f)
	if o.column == expiry && !f.ExpiresBefore.IsZero() { // then this is a range of the index
		found.Add(expiry+` > %s AND `+expiry+` < %s`, f.Now.UnixMicro(), roundUp(f.ExpiresBefore))
	}
	found = o.bound(found, after, false)
	where := found.clone()
	if err := where.narrow(f); err != nil {
		return nil, place{}, err
	}
	if f.Limit < 1 {
		return nil, place{}, ErrLimit
	}
	if !storable(f.Owner, f.Query, f.Scope, f.Plan) {
		return []store.Key{}, place{}, nil
	}
	end, err := o.lookTo(q, found, f)
	if err != nil {
		return nil, place{}, err
	}
	page, err := o.pick(q, o.bound(where, end, true), f)
	if err != nil || len(page.IDs) == 0 {
		return []store.Key{}, page.Next(end), err
	}
	list, err := d.readKeys(q, workspace, f, page.IDs)
	return list, page.Next(end), err
}

// lookTo returns the place of the last row that a list can examine within Filter.Rows rows, or the zero place for no bound.
func (o order) lookTo(q Query, found Where, f store.Filter) (end place, err error) {
	if f.Rows <= 0 || !f.Narrows() {
		return place{}, nil
	}
	columns, into := o.columns(found.Dialect, &end)
	query, args := found.query(`SELECT `+columns+` FROM `+o.from, o.clause()+` LIMIT 1 OFFSET %s`, f.Rows-1)
	q(into, query, args...)(func(e error) bool {
		err = e
		return false
	})
	return end, err
}

// pick chooses the keys of a page.
func (o order) pick(q Query, where Where, f store.Filter) (*store.Picker[place], error) {
	var (
		at  place
		key struct {
			kid         []byte
			owner, name string
			size        int
		}
		page   = &store.Picker[place]{Limit: f.Limit, Bytes: f.Bytes}
		search = store.NewSearch(f.Query)
	)
	columns, into := o.columns(where.Dialect, &at)
	query, args := where.page(`SELECT `+columns+`, kid, owner, name, 512 + octet_length(owner) + octet_length(name) + `+
		where.ListSize(`scopes`)+` + `+where.ListSize(`audience`)+` + octet_length(claims) + octet_length(metadata)
		+ coalesce(octet_length(allowed_ips), 0) + coalesce(octet_length(limits), 0)
		+ coalesce(octet_length(ceiling), 0) FROM `+o.from, o.clause(), f.Query, f.Limit)
	for err := range q(append(into, &key.kid, &key.owner, &key.name, &key.size), query, args...) {
		if err != nil {
			return page, err
		}
		matches := f.Query == "" || search.IsKey(at.id, key.kid) || search.Names(key.name) || f.Owner == "" && search.Names(key.owner)
		if matches && !page.Add(at, key.size) {
			break
		}
	}
	return page, nil
}

// readKeys reads the keys of a page. Keys that have changed and no longer match are left out.
func (d *Dialect) readKeys(q Query, workspace string, f store.Filter, page []place) ([]store.Key, error) {
	where, ids, at := d.keys(workspace, f), make([]uuid.UUID, len(page)), make(map[uuid.UUID]int, len(page))
	for i, p := range page {
		ids[i], at[p.id] = p.id, i
	}
	if err := where.narrow(f); err != nil {
		return nil, err
	}
	where.among(ids)
	query, args := where.query(`SELECT `+UsedKeyColumns+` FROM keys`, ``)
	list, err := collect(q, d.UsedKey, query, args...)
	for i := range list {
		list[i].Workspace = workspace
	}
	slices.SortFunc(list, func(a, b store.Key) int { return cmp.Compare(at[a.ID], at[b.ID]) })
	return list, err
}
