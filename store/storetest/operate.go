package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

var operateTests = []test{
	{"page through everything once in each order", operateOrders},
	{"stay in place while keys change", operateStable},
	{"refuse another list's cursor", operateCursors},
	{"select what expires before a time", operateExpiring},
	{"find an id or kid in all workspaces", operateAnywhere},
	{"count keys by state, open requests and refusals", operateOverview},
}

// ordered returns everything that f selects in an order, read page by page.
func (e env) ordered(f store.Filter, o store.Order, reverse bool) (all []store.Key) {
	e.Helper()
	for after := ""; ; {
		page, next, err := e.KeysInOrder(e.ctx, "acme", f, o, reverse, after)
		e.ok(err)
		if len(page) > f.Limit {
			e.Fatalf("a page of %d keys, not %d", len(page), f.Limit)
		}
		if all = append(all, page...); next == "" {
			return all
		}
		if len(all) > 1000 {
			e.Fatal("the list does not end")
		}
		after = next
	}
}

// mixed issues keys with few different names, owners and times of expiry and use.
func (e env) mixed() (keys []store.Key) {
	e.Helper()
	e.create("acme")
	for i := range 24 {
		k := NewRecord("acme", []string{"b", "A", "c"}[i%3])
		k.Name = []string{"", "alpha", "Alpha", "beta", "Ärger"}[i%5]
		k.ExpiresAt = []time.Time{{}, now.Add(time.Hour), now.Add(time.Minute), now.Add(48 * time.Hour)}[i%4]
		k, _ = e.issue(k)
		if i%2 == 0 {
			use := []store.Use{{KID: k.KID, At: now.Add(time.Duration(i%6) * time.Second)}}
			_, err := e.RecordUsage(e.ctx, "acme", use, store.Report{At: now, Reporter: "r"})
			e.ok(err)
		}
		keys = append(keys, e.key(k))
	}
	return keys
}

func operateOrders(e env) {
	keys := e.mixed()
	foreign := NewRecord("other", "b")
	e.create("other")
	e.issue(foreign)
	end := func(t time.Time) time.Time {
		if t.IsZero() {
			return now.Add(1e6 * time.Hour)
		}
		return t
	}
	for o, compare := range map[store.Order]func(a, b store.Key) int{
		store.OrderCreated: func(a, b store.Key) int { return 0 },
		store.OrderExpiry:  func(a, b store.Key) int { return end(a.ExpiresAt).Compare(end(b.ExpiresAt)) },
		store.OrderUse:     func(a, b store.Key) int { return a.LastUsedAt.Compare(b.LastUsedAt) },
		store.OrderName:    func(a, b store.Key) int { return cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) },
		store.OrderOwner:   func(a, b store.Key) int { return cmp.Compare(a.Owner, b.Owner) },
	} {
		for what, f := range map[string]store.Filter{
			"all": {}, "an owner's": {Owner: "c"}, "active": {Status: store.Active, Now: now.Add(time.Hour)}, "found": {Query: "ALPH"},
			"few rows": {Query: "alph", Rows: 3},
		} {
			want := slices.DeleteFunc(slices.Clone(keys), func(k store.Key) bool {
				return o == store.OrderUse && k.LastUsedAt.IsZero() || f.Owner != "" && k.Owner != f.Owner ||
					f.Status != "" && k.Status(f.Now) != f.Status || f.Query != "" && !strings.EqualFold(k.Name, "alpha")
			})
			slices.SortFunc(want, func(a, b store.Key) int {
				return cmp.Or(compare(a, b), slices.Compare(a.ID[:], b.ID[:]))
			})
			for _, f.Limit = range []int{1, 5, 100} {
				e.equal(fmt.Sprint(what, " by ", o, ", ", f.Limit), e.ordered(f, o, false), want)
			}
			slices.Reverse(want)
			e.equal(fmt.Sprint(what, " by ", o, ", reversed"), e.ordered(f, o, true), want)
		}
	}
	if _, _, err := e.KeysInOrder(e.ctx, "acme", store.Filter{Limit: 1}, "odd", false, ""); err == nil {
		e.Error("an unknown order is accepted")
	}
}

// A key that is used or renamed between two pages does not repeat or hide others.
func operateStable(e env) {
	e.mixed()
	f := store.Filter{Limit: 4}
	first, next, err := e.KeysInOrder(e.ctx, "acme", f, store.OrderUse, true, "")
	e.ok(err)
	want := e.ordered(f, store.OrderUse, true)[4:]
	last := first[3]
	_, err = e.RecordUsage(e.ctx, "acme", []store.Use{{KID: last.KID, At: now.Add(time.Hour)}}, store.Report{At: now, Reporter: "r"})
	e.ok(err)
	got, _, err := e.KeysInOrder(e.ctx, "acme", store.Filter{Limit: 100}, store.OrderUse, true, next)
	e.ok(err)
	e.equal("the rest", got, want)
}

func operateCursors(e env) {
	e.mixed()
	_, next, err := e.KeysInOrder(e.ctx, "acme", store.Filter{Limit: 1}, store.OrderName, false, "")
	e.ok(err)
	for _, cursor := range []string{"x", "%", next[:10], strings.Repeat("A", 22)} {
		if _, _, err := e.KeysInOrder(e.ctx, "acme", store.Filter{Limit: 1}, store.OrderName, false, cursor); !errors.Is(err, store.ErrCursor) {
			e.Errorf("%q: %v", cursor, err)
		}
	}
	if _, _, err := e.KeysInOrder(e.ctx, "acme", store.Filter{Limit: 1}, store.OrderExpiry, false, next); !errors.Is(err, store.ErrCursor) {
		e.Errorf("the cursor of another order: %v", err)
	}
}

func operateExpiring(e env) {
	keys := e.mixed()
	f := store.Filter{Now: now.Add(time.Minute), ExpiresBefore: now.Add(48 * time.Hour), Limit: 100}
	want := slices.DeleteFunc(newestFirst(keys), func(k store.Key) bool { return !k.ExpiresAt.Equal(now.Add(time.Hour)) })
	e.equal("the newest first", e.list("acme", f), want)
	e.equal("by expiry", e.ordered(f, store.OrderExpiry, true), want)
}

func operateAnywhere(e env) {
	e.create("acme")
	e.create("other")
	k, _ := e.issue(NewRecord("acme", "o"))
	same := NewRecord("other", "o")
	same.ID = k.ID
	same, _ = e.issue(same)
	find := func(id uuid.UUID, kid jwks.KID, most int) []store.Key {
		list, err := e.KeysAnywhere(e.ctx, id, kid, most)
		e.ok(err)
		slices.SortFunc(list, func(a, b store.Key) int { return cmp.Compare(a.Workspace, b.Workspace) })
		return list
	}
	e.equal("by id", find(k.ID, jwks.KID{}, 5), []store.Key{k, same})
	e.equal("by kid", find(uuid.Nil, same.KID, 5), []store.Key{same})
	e.equal("by another kid", find(uuid.Nil, newKID(e), 5), []store.Key{})
	if got := find(k.ID, jwks.KID{}, 1); len(got) != 1 {
		e.Errorf("%d keys, not 1", len(got))
	}
	k = e.revoke(k)
	e.equal("a revoked key", find(uuid.Nil, k.KID, 5), []store.Key{k})
}

func operateOverview(e env) {
	_, err := e.Overview(e.ctx, "acme", store.OverviewQuery{Most: 1, MostEvents: 1})
	if !errors.Is(err, store.ErrNotFound) {
		e.Errorf("of no workspace: %v", err)
	}
	keys := e.mixed() // of which a quarter never expires, and others expire after a minute, an hour and two days
	e.revoke(keys[4]) // never expires
	for _, i := range []int{8, 9} {
		_, err := e.UpdateKey(e.ctx, "acme", keys[i].ID, func(_ *store.Workspace, k *store.Key) error {
			k.SuspendedAt = now
			return nil
		})
		e.ok(err)
	}
	for i := range 3 {
		e.ok(e.Record(e.ctx, store.Entry{
			Workspace: "acme", At: now.Add(time.Duration(i) * time.Hour), Action: store.ActionCallRefuse, Result: store.ResultRefused,
			Detail: []byte(`{}`),
		}))
	}
	_, err = e.CreateRequest(e.ctx, wish(keys[0], moreScopes), anything)
	e.ok(err)
	q := store.OverviewQuery{
		Now: now.Add(time.Minute), ExpiringBefore: now.Add(24 * time.Hour), RefusedSince: now.Add(time.Hour), Most: 100, MostEvents: 100,
	}
	look := func(q store.OverviewQuery) store.Overview {
		v, err := e.Overview(e.ctx, "acme", q)
		e.ok(err)
		return v
	}
	// Of 24 keys, 6 have expired, 1 is revoked, and 2 are suspended.
	e.equal("the overview", look(q), store.Overview{Active: 15, Suspended: 2, Expiring: 5, Requests: 1, Refused: 2})
	q.Most, q.MostEvents = 10, 1
	if v := look(q); !v.More || v.Active+v.Suspended > 11 || v.Refused != 1 {
		e.Errorf("a limited overview: %+v", v)
	}
	other, _ := e.create("other")
	if v, err := e.Overview(e.ctx, other.ID, q); err != nil || v != (store.Overview{}) {
		e.Errorf("of an empty workspace: %+v, %v", v, err)
	}
}
