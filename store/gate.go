package store

import (
	"context"
	"sync"
)

// AtGate is how many of one name a Gate lets in at once: one holds what all of them want, such
// as a row's lock, and the next already waits for it.
const AtGate = 2

// Gate lets AtGate in at once for each name, and a number for all together: who sends many
// writes waits before the database and not in it, where they would keep others waiting. It is
// safe for concurrent use.
type Gate struct {
	all   chan struct{} // nil: any number
	mu    sync.Mutex
	rooms map[string]*room
}

// NewGate makes a Gate for so many together; 0: any number.
func NewGate(all int) *Gate {
	g := &Gate{rooms: make(map[string]*room)}
	if all > 0 {
		g.all = make(chan struct{}, all)
	}
	return g
}

// Names returns how many names have somebody in or before the gate.
func (g *Gate) Names() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.rooms)
}

type room struct {
	places chan struct{}
	users  int // who are in or wait
}

// Enter waits for a place, which leave gives back. Errors: that of ctx.
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
