package store

import (
	"context"
	"sync"
)

// AtGate is how many writers with the same name a Gate admits at once: one holds the resource that they compete
// for, such as a row's lock, and the next already waits for it.
const AtGate = 2

// Gate admits AtGate writers at once for each name, and a number in total. Most writes of a busy caller thus
// wait outside of the database, where they do not delay others. A Gate is safe for concurrent use.
type Gate struct {
	all   chan struct{} // nil: unlimited
	mu    sync.Mutex
	rooms map[string]*room
}

// NewGate returns a Gate that admits at most `all` writers in total; 0: unlimited.
func NewGate(all int) *Gate {
	g := &Gate{rooms: make(map[string]*room)}
	if all > 0 {
		g.all = make(chan struct{}, all)
	}
	return g
}

// Names returns the number of names with writers admitted or waiting.
func (g *Gate) Names() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.rooms)
}

type room struct {
	places chan struct{}
	users  int // admitted or waiting
}

// Enter waits until the Gate admits the caller, who must then call leave. It only fails if ctx ends.
func (g *Gate) Enter(ctx context.Context, name string) (leave func(), err error) {
	g.mu.Lock()
	r := g.rooms[name]
	if r == nil {
		r = &room{places: make(chan struct{}, AtGate)}
		g.rooms[name] = r
	}
	r.users++
	g.mu.Unlock()
	select {
	case r.places <- struct{}{}:
	case <-ctx.Done():
		g.forget(name, r)
		return nil, ctx.Err()
	}
	out := func() { <-r.places; g.forget(name, r) }
	if g.all == nil {
		return out, nil
	}
	select {
	case g.all <- struct{}{}:
		return func() { <-g.all; out() }, nil
	case <-ctx.Done():
		out()
		return nil, ctx.Err()
	}
}

func (g *Gate) forget(name string, r *room) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.users--; r.users == 0 {
		delete(g.rooms, name)
	}
}
