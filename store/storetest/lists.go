package storetest

import (
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

var listTests = []test{
	{"start with the newest", listOrder},
	{"page through everything once", listPages},
	{"stay stable while keys are added and revoked", listStable},
	{"continue after an unknown id", listAfterUnknown},
	{"need a positive limit", listLimit},
	{"select an owner exactly", listOwner},
	{"select a status at a time", listStatus},
	{"select a scope exactly", listScope},
	{"select what was created before a time", listCreated},
	{"select by a part of name or owner", listQuery},
	{"select by kid or id, the kid by case", listKID},
	{"combine filters", listCombined},
	{"end by bytes and by what was looked at, and go on", listBounds},
	{"end by what they take once they are read", compressedBounds},
}

func (e env) issueMany(workspace string, owners ...string) []store.Key {
	e.Helper()
	keys := make([]store.Key, 0, len(owners))
	for _, owner := range owners {
		k, _ := e.issue(NewRecord(workspace, owner))
		keys = append(keys, k)
	}
	return keys
}

func listOrder(e env) {
	e.create("acme")
	keys := e.issueMany("acme", "a", "b", "a", "c", "b")
	// The list is ordered by id, not by when the keys were issued.
	for _, id := range []string{"00000000-0000-7000-8000-000000000001", "ffffffff-ffff-7fff-bfff-ffffffffffff"} {
		k := NewRecord("acme", "a")
		k.ID = uuid.MustParse(id)
		k, _ = e.issue(k)
		keys = append(keys, k)
	}
	e.equal("list", e.list("acme", store.Filter{}), newestFirst(keys))
	e.equal("limited", e.list("acme", store.Filter{Limit: 2}), newestFirst(keys)[:2])
}

// pages returns everything that f selects, read page by page.
func (e env) pages(workspace string, f store.Filter) []store.Key {
	e.Helper()
	all := []store.Key{}
	for {
		page := e.list(workspace, f)
		if len(page) > f.Limit {
			e.Fatalf("a page of %d keys, not %d", len(page), f.Limit)
		}
		if n := len(all); n > 0 && len(page) > 0 && page[0].ID == all[n-1].ID {
			e.Fatalf("a page starts with the last key of the one before")
		}
		all = append(all, page...)
		if len(page) < f.Limit {
			return all
		}
		f.After = page[len(page)-1].ID
	}
}

func listPages(e env) {
	e.create("acme")
	keys := e.issueMany("acme", "a", "b", "a", "a", "b", "a", "c", "a", "a")
	for i, k := range keys {
		if i%3 == 0 {
			keys[i] = e.revoke(k)
		}
	}
	want := newestFirst(keys)
	odd := func(k store.Key) bool { return k.RevokedVersion == 0 }
	ownerA := func(k store.Key) bool { return k.Owner != "a" }
	for limit := 1; limit <= len(keys)+1; limit++ {
		e.equal("all", e.pages("acme", store.Filter{Limit: limit}), want)
		e.equal("revoked", e.pages("acme", store.Filter{Limit: limit, Status: store.Revoked}),
			slices.DeleteFunc(slices.Clone(want), odd))
		e.equal("owner a", e.pages("acme", store.Filter{Limit: limit, Owner: "a"}),
			slices.DeleteFunc(slices.Clone(want), ownerA))
		e.equal("query a", e.pages("acme", store.Filter{Limit: limit, Query: "OF A"}),
			slices.DeleteFunc(slices.Clone(want), ownerA))
	}
}

func listStable(e env) {
	e.create("acme")
	want := ids(newestFirst(e.issueMany("acme", "a", "b", "c", "d", "e", "f", "g")))
	got := []uuid.UUID{}
	f := store.Filter{Limit: 2}
	for {
		page := e.list("acme", f)
		if len(page) == 0 || len(got) > len(want) {
			break
		}
		got, f.After = append(got, ids(page)...), page[len(page)-1].ID
		e.issueMany("acme", "new")
		e.revoke(page[0])
		e.revoke(page[len(page)-1]) // the key after which the next page starts
	}
	e.equal("pages", got, want)
}

func listAfterUnknown(e env) {
	e.create("acme")
	e.create("other")
	first := e.issueMany("acme", "a", "b")
	between := NewRecord("acme", "never issued").ID
	elsewhere := e.issueMany("other", "x")[0].ID
	e.issueMany("acme", "c")
	for _, after := range []uuid.UUID{between, elsewhere} {
		e.equal("after it", e.list("acme", store.Filter{After: after}), newestFirst(first))
	}
	e.equal("after all", e.list("acme", store.Filter{After: uuid.MustParse("00000000-0000-7000-8000-000000000001")}), []store.Key{})
	e.equal("before all", len(e.list("acme", store.Filter{After: uuid.Max})), 3)
}

func listLimit(e env) {
	e.create("acme")
	e.issueMany("acme", "a")
	for _, limit := range []int{0, -1} {
		if _, _, err := e.Keys(e.ctx, "acme", store.Filter{Limit: limit}); err == nil {
			e.Errorf("a limit of %d passes", limit)
		}
	}
	if _, _, err := e.Keys(e.ctx, "acme", store.Filter{Limit: 1, Status: "lost"}); err == nil {
		e.Error("an unknown status passes")
	}
}

func listOwner(e env) {
	e.create("acme")
	keys := e.issueMany("acme", "cust", "Cust", "cust ", "cust_1", "custx1", "cust%")
	for _, k := range keys {
		e.equal("owner "+k.Owner, e.list("acme", store.Filter{Owner: k.Owner}), []store.Key{k})
	}
	for _, owner := range []string{"cus", "CUST", "%", "cust__", " cust"} {
		e.equal("owner "+owner, e.list("acme", store.Filter{Owner: owner}), []store.Key{})
	}
}

func listStatus(e env) {
	e.create("acme")
	var keys []store.Key
	for _, expires := range []time.Time{{}, now.Add(-time.Microsecond), now, now.Add(time.Microsecond), now.Add(time.Hour)} {
		for _, revoke := range []bool{false, true} {
			k := NewRecord("acme", "o")
			k.ExpiresAt = expires
			k, _ = e.issue(k)
			if revoke {
				k = e.revoke(k)
			}
			keys = append(keys, k)
		}
	}
	for _, c := range []struct{ expires, graceEnds time.Time }{
		{now.Add(time.Hour), now.Add(time.Microsecond)}, {now.Add(time.Hour), now.Add(2 * time.Hour)}, {time.Time{}, now.Add(time.Hour)},
	} {
		for _, revoke := range []bool{false, true} {
			k := NewRecord("acme", "o")
			k.ExpiresAt = c.expires
			k, _ = e.issue(k)
			next := NewRecord("acme", "o")
			old, next, err := e.Rotate(e.ctx, "acme", k.ID, next, NewKey(e), c.graceEnds, nil)
			e.ok(err)
			if revoke {
				old = e.revoke(old)
			}
			keys = append(keys, old, next)
		}
	}
	gone := NewRecord("acme", "o")
	gone.ExpiresAt = now
	gone, _ = e.issue(gone)
	gone, err := e.retire("acme", gone.ID, now)
	e.ok(err)
	keys = append(keys, gone)
	// The filter must agree with Key.Status, even a nanosecond before or after a change of status.
	for _, at := range []time.Time{
		now.Add(-time.Hour), now.Add(-1), now, now.Add(1), now.Add(999), now.Add(time.Microsecond),
		now.Add(time.Hour - 1), now.Add(time.Hour), now.In(time.FixedZone("", 3600)),
		{},
	} {
		live := slices.DeleteFunc(newestFirst(keys), func(k store.Key) bool {
			return !slices.Contains([]store.Status{store.Active, store.Deprecated, store.Suspended}, k.Status(at))
		})
		e.equal("live at "+at.String(), ids(e.list("acme", store.Filter{Live: true, Now: at})), ids(live))
		for _, status := range []store.Status{store.Active, store.Deprecated, store.Revoked, store.Expired} {
			want := slices.DeleteFunc(newestFirst(keys), func(k store.Key) bool { return k.Status(at) != status })
			got := e.list("acme", store.Filter{Status: status, Now: at})
			e.equal(string(status)+" at "+at.String(), ids(got), ids(want))
		}
	}
}

func listScope(e env) {
	e.create("acme")
	scoped := func(scopes ...string) store.Key {
		k := NewRecord("acme", "o")
		k.Scopes = scopes
		k, _ = e.issue(k)
		return k
	}
	both, read, quote := scoped("maps:read", "maps:write"), scoped("maps:read"), scoped(`"`, "a,b")
	scoped()
	for scope, want := range map[string][]store.Key{
		"maps:read": {both, read}, "maps:write": {both}, "maps": {}, "MAPS:READ": {}, `"`: {quote}, "a,b": {quote}, "a": {}, "%": {}, "\x00": {},
	} {
		e.equal("scope "+scope, e.list("acme", store.Filter{Scope: scope}), newestFirst(want))
	}
}

func listCreated(e env) {
	e.create("acme")
	var keys []store.Key
	for _, created := range []time.Time{now, now.Add(time.Microsecond), {}, now.Add(-time.Hour)} {
		k := NewRecord("acme", "o")
		k.CreatedAt = created
		k, _ = e.issue(k)
		keys = append(keys, k)
	}
	for _, before := range []time.Time{now.Add(-time.Hour), now, now.Add(1), now.Add(999), now.Add(time.Microsecond), now.Add(time.Hour)} {
		want := slices.DeleteFunc(newestFirst(keys), func(k store.Key) bool { return !k.CreatedAt.Before(before) })
		e.equal("before "+before.String(), e.list("acme", store.Filter{CreatedBefore: before}), want)
	}
}

func listQuery(e env) {
	e.create("acme")
	named := func(name, owner string) store.Key {
		k := NewRecord("acme", owner)
		k.Name = name
		k, _ = e.issue(k)
		return k
	}
	percent := named("100% of it", "u1")
	under := named("snake_case", "u2")
	back := named(`C:\temp\x`, "u3")
	umlaut := named("MÜNCHEN", "u4")
	street := named("Cafe\u0301 Straße \u2126\u1f80", "x8")
	owner := named("", "Customer-7")
	quote := named("it's", "u6")
	bracket := named("a[b-c]*?d", "u7")
	for query, want := range map[string][]store.Key{
		"%": {percent}, "0% O": {percent}, "%of": {}, "_": {under}, "SNAKE_C": {under}, "snakeXcase": {}, "e__c": {},
		`\`: {back}, `\TEMP\`: {back}, `:\t`: {back}, `\\`: {}, `\%`: {}, `\_`: {},
		"mÜnch": {umlaut}, "münch": {umlaut}, "mu\u0308n": {umlaut}, "munch": {}, "nchen": {umlaut},
		"straße": {street}, "STRASSE": {street}, "cafe\u0301": {street}, "CAFÉ": {street}, "Ω\u1f80": {street}, "\u2126ἀΙ": {street},
		"customer-7": {owner}, "USTOMER": {owner}, "'": {quote}, "''": {}, "[b-c]": {bracket}, "*": {bracket}, "?": {bracket},
		"u": {quote, owner, back, under, percent, umlaut, bracket}, " ": {street, percent}, "zzz": {},
		strings.Repeat("%", 60000): {}, "\x00": {},
	} {
		e.equal("query "+query[:min(len(query), 20)], e.list("acme", store.Filter{Query: query}), newestFirst(want))
	}
}

func listKID(e env) {
	_, tombstone := e.create("acme")
	for _, k := range e.issueMany("acme", make([]string, 20)...) {
		kid, id := k.KID.String(), k.ID.String()
		e.equal("by kid", e.list("acme", store.Filter{Query: kid}), []store.Key{k})
		e.equal("by id", e.list("acme", store.Filter{Query: id}), []store.Key{k})
		for _, other := range []string{
			swapCase(kid), strings.ToLower(kid), strings.ToUpper(kid), kid[:42], kid[1:], kid + "=", id[:35], "{" + id + "}",
			strings.ReplaceAll(id, "-", ""),
		} {
			e.equal("by "+other, e.list("acme", store.Filter{Query: other}), []store.Key{})
		}
	}
	e.equal("by the tombstone's kid", e.list("acme", store.Filter{Query: tombstone.KID().String()}), []store.Key{})
	k := NewRecord("acme", "o")
	k.Name = "was " + tombstone.KID().String()
	k, _ = e.issue(k)
	e.equal("a name that holds a kid", e.list("acme", store.Filter{Query: tombstone.KID().String()}), []store.Key{k})
}

// swapCase changes the case of every ASCII letter.
func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsUpper(r) {
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, s)
}

func listCombined(e env) {
	e.create("acme")
	var want []store.Key
	for i := range 24 {
		k := NewRecord("acme", []string{"a", "b"}[i%2])
		k.Name = []string{"one", "two", "Only"}[i%3]
		k, _ = e.issue(k)
		if i%4 == 0 {
			k = e.revoke(k)
		}
		if k.Owner == "a" && k.Name != "two" && k.RevokedVersion == 0 {
			want = append(want, k)
		}
	}
	f := store.Filter{Owner: "a", Status: store.Active, Now: now, Query: "ON", Limit: 2}
	e.equal("combined", e.pages("acme", f), newestFirst(slices.DeleteFunc(slices.Clone(want), func(k store.Key) bool {
		return !strings.Contains(strings.ToLower(k.Name), "on")
	})))
	f.Limit, f.After = 100, newestFirst(want)[1].ID
	e.equal("after the second", e.list("acme", f), newestFirst(want)[2:])
}
