package portal

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// expiringSoon is a value of the filter besides those of store.Status: active keys that expire within authz.ExpiresSoon.
const expiringSoon = "expiring"

var (
	tableSizes   = []int{25, 50, 100}
	tableColumns = []string{"status", "owner", "created", "expires", "used", "plan", "scopes", "parent", "id"}
	usualColumns = []string{"status", "owner", "created", "expires", "used", "plan"}
)

// keyTable is the data of the operators' list of keys.
type keyTable struct {
	keyList
	Sort    string // a store.Order, after "-" for the opposite order; empty: the newest first
	Size    int
	Columns []string // shown besides the name
}

// HasColumn reports whether the table shows a column.
func (t *keyTable) HasColumn(name string) bool { return slices.Contains(t.Columns, name) }

// AllColumns and Sizes are the choices.
func (t *keyTable) AllColumns() []string { return tableColumns }
func (t *keyTable) Sizes() []int         { return tableSizes }

// order returns the order of the table.
func (t *keyTable) order() (o store.Order, reverse bool) {
	text, reverse := strings.CutPrefix(t.Sort, "-")
	switch {
	case slices.Contains(store.Orders(), store.Order(text)):
		return store.Order(text), reverse
	case t.Status == expiringSoon:
		return store.OrderExpiry, false
	}
	return store.OrderCreated, true
}

// Sorted returns the value of aria-sort of a column.
func (t *keyTable) Sorted(column string) string {
	o, reverse := t.order()
	switch {
	case string(o) != column:
		return ""
	case reverse:
		return "descending"
	}
	return "ascending"
}

// SortLink returns the query of the list by a column, or in the opposite order if it is already in this one. Times begin
// with the latest, except expiry.
func (t *keyTable) SortLink(column string) string {
	sort := column
	if o, reverse := t.order(); string(o) == column && !reverse || string(o) != column && (column == "created" || column == "used") {
		sort = "-" + column
	}
	return t.link(sort, "")
}

// FirstLink returns the query of the list's first page.
func (t *keyTable) FirstLink() string { return t.link(t.Sort, "") }

func (t *keyTable) link(sort, after string) string {
	q := url.Values{}
	for name, value := range map[string]string{"q": t.Query, "owner": t.Owner, "status": t.Status, "sort": sort, "after": after} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if t.Size != tableSizes[0] {
		q.Set("size", strconv.Itoa(t.Size))
	}
	if !slices.Equal(t.Columns, usualColumns) {
		q["col"] = t.Columns
		if len(t.Columns) == 0 {
			q.Set("col", "none")
		}
	}
	return "?" + q.Encode()
}

func listAllKeys(v *visit) error {
	v.remember()
	t, err := v.allKeys()
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "all", "all.title", t)
}

// allKeys reads the page of keys that the URL's query selects.
func (v *visit) allKeys() (*keyTable, error) {
	given := v.r.URL.Query()
	texts, err := typed(given, "q", "owner", "status", "sort", "size")
	if err != nil {
		return nil, err
	}
	t := &keyTable{keyList: keyList{Query: sought(texts[0]), Owner: texts[1], Status: texts[2]}, Sort: texts[3], Columns: usualColumns}
	if t.Size, _ = strconv.Atoi(texts[4]); !slices.Contains(tableSizes, t.Size) {
		t.Size = tableSizes[0]
	}
	if given.Has("col") {
		t.Columns = slices.DeleteFunc(slices.Clone(tableColumns), func(name string) bool { return !slices.Contains(given["col"], name) })
	}
	return t, v.readTable(t, given.Get("after"))
}

func (v *visit) readTable(t *keyTable, after string) error {
	t.Statuses = append(v.statuses(), expiringSoon)
	if !slices.Contains(t.Statuses, store.Status(t.Status)) {
		t.Status = "" // the address was tampered with
	}
	f := store.Filter{Query: t.Query, Owner: t.Owner, Status: store.Status(t.Status), Limit: t.Size}
	if t.Status == expiringSoon {
		f.Status, f.ExpiresBefore = store.Active, v.now().Add(authz.ExpiresSoon)
	}
	o, reverse := t.order()
	keys, next, err := v.service.KeysInOrder(v.context(), v.workspace.ID, f, o, reverse, after)
	if errors.Is(err, store.ErrCursor) && after != "" {
		return v.readTable(t, "") // the address was tampered with, or is of another order
	}
	t.First = after == ""
	if next != "" {
		t.Next = t.link(t.Sort, next)
	}
	t.Keys = v.showAll(keys)
	t.Some = slices.ContainsFunc(t.Keys, shownKey.Live)
	return err
}

func (t *keyTable) table() *keyTable { return t }

// headOf is the data of a column's head.
type headOf struct {
	Table *keyTable
	By    string
}

// Head returns the data for the header of a sortable column in the page's table.
func (p *view) Head(by string) part {
	return p.With(headOf{p.Content.(interface{ table() *keyTable }).table(), by})
}
