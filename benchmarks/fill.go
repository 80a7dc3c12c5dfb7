package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/sqlite"
)

// fillers is how many keys are issued at the same time, since a store may put several in one commit.
const fillers = 8

// fill issues the keys from to to-1 of the ring in a database that no server has open, through the store as a server does.
func (r *keyring) fill(ctx context.Context, path, workspace string, from, to int, report func(done, of int)) (err error) {
	st, err := sqlite.Open(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	var mu sync.Mutex
	done := 0
	return parallelBy(fillers, to-from, func(i int) error {
		_, err := st.Issue(ctx, r.record(workspace, from+i), r.public(from+i), nil)
		mu.Lock()
		defer mu.Unlock()
		done++
		report(done, to-from)
		return err
	})
}

// record is what a server would have stored of key i.
func (r *keyring) record(workspace string, i int) store.Key {
	return store.Key{
		Workspace: workspace, ID: r.id(i), Owner: owner(i), Name: fmt.Sprint("load ", i),
		Scopes: []string{scope}, Audience: []string{audience},
		CreatedAt: r.now, UpdatedAt: r.now, ExpiresAt: r.now.Add(tokenLife),
	}
}
