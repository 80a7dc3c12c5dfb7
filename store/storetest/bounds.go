package storetest

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

// walk reads a whole list page by page. It returns all items and the lengths of the longest and the shortest
// page; the last page is not considered the shortest.
func walk[T, ID comparable](e env, page func(after ID) ([]T, ID, error)) (all []T, most, fewest int) {
	e.Helper()
	var after, none ID
	fewest = 1 << 30
	for range 1000 {
		list, next, err := page(after)
		e.ok(err)
		all, most = append(all, list...), max(most, len(list))
		if next == none {
			return all, most, fewest
		}
		if next == after {
			e.Fatalf("a page ends where it began: %v", next)
		}
		fewest, after = min(fewest, len(list)), next
	}
	e.Fatal("the list does not end")
	return nil, 0, 0
}

// listBounds: whatever bound ends the pages, all pages together are the whole list.
func listBounds(e env) {
	e.create("acme")
	var want []uuid.UUID
	for i := range 40 {
		k := NewRecord("acme", []string{"a", "b"}[i%2])
		k.Name = fmt.Sprint("n", i%10)
		k.Metadata = json.RawMessage(`{"x":"` + strings.Repeat("é", 2000) + `"}`)
		k, _ = e.issue(k)
		want = append([]uuid.UUID{k.ID}, want...)
	}
	pages := func(f store.Filter) (got []uuid.UUID, most, fewest int) {
		return walk(e, func(after uuid.UUID) ([]uuid.UUID, uuid.UUID, error) {
			f := f
			f.After = after
			list, next, err := e.Keys(e.ctx, "acme", f)
			return ids(list), next, err
		})
	}
	all, most, fewest := pages(store.Filter{Limit: 100, Bytes: 20_000})
	e.equal("by bytes", all, want)
	if most != 4 || fewest != 4 { // keys of 4.5 KB each
		e.Errorf("%d to %d keys fill 20 kB", fewest, most)
	}
	all, most, _ = pages(store.Filter{Limit: 100, Bytes: 1})
	e.equal("one by one", all, want)
	e.equal("most of a byte", most, 1)
	all, most, _ = pages(store.Filter{Limit: 20})
	e.equal("by number", all, want)
	e.equal("most of 20", most, 20)
	all, _, _ = pages(store.Filter{Limit: 40})
	e.equal("all at once", all, want)
	for _, rows := range []int{1, 3, 7, 40, 41} {
		f := store.Filter{Limit: 100, Rows: rows, Query: "N3"}
		all, most, fewest := pages(f)
		e.equal("by what was looked at", len(all), 4)
		if rows == 3 && (most != 1 || fewest != 0) {
			e.Errorf("%d to %d keys of three", fewest, most)
		}
		f.Owner = "b"
		all, _, _ = pages(f)
		e.equal("of an owner's", len(all), 4)
		all, _, _ = pages(store.Filter{Limit: 3, Rows: rows, Status: store.Revoked, Now: now})
		e.equal("none", len(all), 0)
		all, _, _ = pages(store.Filter{Limit: 3, Rows: rows, Bytes: 9000, Status: store.Active, Now: now})
		e.equal("all", all, want)
	}
}

func auditBounds(e env) {
	var want []uuid.UUID
	for i := range 40 {
		entry := store.Entry{
			Workspace: "acme", At: now, Action: []string{store.ActionCallRefuse, store.ActionLoginRefuse}[i%2], Result: store.ResultRefused,
			Detail: json.RawMessage(`{"x":"` + strings.Repeat("é", 2000) + `"}`),
		}
		e.ok(e.Record(e.ctx, entry))
	}
	for _, entry := range e.audit("acme", store.AuditFilter{}) {
		want = append(want, entry.ID)
	}
	pages := func(f store.AuditFilter) (got []uuid.UUID, most, fewest int) {
		return walk(e, func(after uuid.UUID) (got []uuid.UUID, next uuid.UUID, err error) {
			f := f
			f.After = after
			list, next, err := e.Audit(e.ctx, "acme", f)
			for _, entry := range list {
				got = append(got, entry.ID)
			}
			return got, next, err
		})
	}
	all, most, fewest := pages(store.AuditFilter{Limit: 100, Bytes: 20_000})
	e.equal("by bytes", all, want)
	if most != 4 || fewest != 4 {
		e.Errorf("%d to %d entries fill 20 kB", fewest, most)
	}
	for _, rows := range []int{1, 3, 40, 41} {
		all, most, _ := pages(store.AuditFilter{Limit: 100, Rows: rows, Action: store.ActionCallRefuse})
		e.equal("by what was looked at", len(all), 20)
		if rows == 3 && most != 2 {
			e.Errorf("%d entries of three", most)
		}
		all, _, _ = pages(store.AuditFilter{Limit: 3, Rows: rows, Bytes: 9000, Result: store.ResultRefused})
		e.equal("all", all, want)
	}
}

func workspaceBounds(e env) {
	var want []string
	for i := range 30 {
		w, _ := e.create(fmt.Sprintf("w%02d", i))
		want = append(want, w.ID)
	}
	pages := func(f store.WorkspaceFilter) (all []string, most, fewest int) {
		return walk(e, func(after string) (got []string, next string, err error) {
			f := f
			f.After = after
			list, next, err := e.Workspaces(e.ctx, f)
			for _, w := range list {
				got = append(got, w.ID)
			}
			return got, next, err
		})
	}
	all, most, fewest := pages(store.WorkspaceFilter{Limit: 100, Bytes: 3000})
	e.equal("by bytes", all, want)
	if most > 5 || fewest < 3 {
		e.Errorf("%d to %d workspaces fill 3 kB", fewest, most)
	}
	for _, rows := range []int{1, 4, 30, 31} {
		all, _, _ = pages(store.WorkspaceFilter{Limit: 100, Rows: rows, Query: "W1"})
		e.equal("by what was looked at", all, want[10:20])
	}
}

// compressedBounds: the bound in bytes counts items as they are read, not as the database compresses them.
func compressedBounds(e env) {
	w := store.Workspace{Name: "Alike", CreatedAt: now}
	for i := range 16 {
		w.Audiences = append(w.Audiences, strings.Repeat("é", 254)+string(rune('a'+i)))
	}
	for i := range 20 {
		w.ID = fmt.Sprintf("w%02d", i)
		_, err := e.CreateWorkspace(e.ctx, w, NewKey(e))
		e.ok(err)
		k := NewRecord("w00", "a")
		k.Scopes = nil
		for j := range 64 {
			k.Scopes = append(k.Scopes, strings.Repeat("s", 126)+fmt.Sprintf("%02d", j))
		}
		e.issue(k)
	}
	all, most, _ := walk(e, func(after string) (got []string, next string, err error) {
		list, next, err := e.Workspaces(e.ctx, store.WorkspaceFilter{After: after, Limit: 100, Bytes: 30_000})
		for _, w := range list {
			got = append(got, w.ID)
		}
		return got, next, err
	})
	if len(all) != 20 || most > 3 {
		e.Errorf("%d of %d workspaces of 8 KB fill 30 kB", most, len(all))
	}
	keys, most, _ := walk(e, func(after uuid.UUID) ([]uuid.UUID, uuid.UUID, error) {
		list, next, err := e.Keys(e.ctx, "w00", store.Filter{After: after, Limit: 100, Bytes: 30_000})
		return ids(list), next, err
	})
	if len(keys) != 20 || most > 3 {
		e.Errorf("%d of %d keys of 8 KB fill 30 kB", most, len(keys))
	}
}
