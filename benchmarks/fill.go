package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/sqlite"
)

// fillers is how many issue at once; a store may put what they commit together.
const fillers = 8

// fill issues the keys from to to-1 of the ring in the database at path, which no
// server has open, through the store as the server does.
func (r *keyring) fill(ctx context.Context, path, workspace string, from, to int, report func(done, of int)) (err error) {
	st, err := sqlite.Open(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	done := make(chan struct{}, fillers)
	counted := make(chan struct{})
	go func() {
		defer close(counted)
		n := 0
		for range done {
			n++
			report(n, to-from)
		}
	}()
	err = parallelBy(fillers, to-from, func(i int) error {
		record, public := r.record(workspace, from+i)
		_, err := st.Issue(ctx, record, public, nil)
		done <- struct{}{}
		return err
	})
	close(done)
	<-counted
	return err
}

// record is what a server would have kept of key i.
func (r *keyring) record(workspace string, i int) (store.Key, jwks.Key) {
	return store.Key{
		Workspace: workspace, ID: r.id(i), Owner: owner(i), Name: fmt.Sprint("load ", i),
		Scopes: []string{scope}, Audience: []string{audience},
		CreatedAt: r.now, UpdatedAt: r.now, ExpiresAt: r.now.Add(tokenLife),
	}, r.public(i)
}
