package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/burnkey/burnkey/store"
)

var concurrencyTests = []test{
	{"leaves no gap in versions, of many writers and workspaces", func(e env) { e.writers(e.Store) }},
	{"leaves no gap in versions, of several stores on one database", func(e env) { e.writers(e.Store, e.open(), e.open()) }},
}

// writers issues and revokes keys in several workspaces at once, and checks that no two writes have the same
// version.
func (e env) writers(stores ...store.Store) {
	const workers, each = 8, 15
	workspaces := []string{"a", "b", "c"}
	for _, id := range workspaces {
		e.create(id)
	}
	taken := make([]map[string][]uint64, workers)
	e.parallel(workers, func(i int) {
		w := writer{e: e, random: rand.New(rand.NewPCG(uint64(i), 1)), taken: map[string][]uint64{}}
		w.e.Store = stores[i%len(stores)]
		for range each {
			w.write(workspaces[w.random.IntN(len(workspaces))])
		}
		taken[i] = w.taken
	})
	for _, id := range workspaces {
		versions := []uint64{1}
		for _, t := range taken {
			versions = append(versions, t[id]...)
		}
		slices.Sort(versions)
		for i, version := range versions {
			e.equal("version of "+id, version, uint64(i+1))
		}
		e.equal("changes of "+id, len(e.changesOf(id)), len(versions))
		e.consistent(id)
	}
}

type writer struct {
	e      env
	random *rand.Rand
	issued []store.Key
	taken  map[string][]uint64
}

// write issues a key, or revokes one of the writer's keys.
func (w *writer) write(workspace string) {
	if n := len(w.issued); n > 0 && w.random.IntN(3) == 0 {
		k := w.issued[n-1]
		w.issued = w.issued[:n-1]
		k, err := w.e.Revoke(w.e.ctx, k.Workspace, k.ID, now)
		if err != nil {
			w.e.Error(err)
			return
		}
		w.taken[k.Workspace] = append(w.taken[k.Workspace], k.RevokedVersion)
		return
	}
	k, err := w.e.Issue(w.e.ctx, NewRecord(workspace, fmt.Sprint(w.random.IntN(3))), NewKey(w.e), nil)
	if err != nil {
		w.e.Error(err)
		return
	}
	w.issued = append(w.issued, k)
	w.taken[workspace] = append(w.taken[workspace], k.Version)
}
