package postgres

import (
	"context"
	"sync"
)

// perWorkspace is how many writes of one workspace may use a connection at once:
// one holds the row's lock and the next already waits for it. All others would
// only wait there, too, and leave other workspaces without a connection.
const perWorkspace = 2

// gate lets in so many at once for each name, and for all together.
type gate struct {
	all   chan struct{}
	mu    sync.Mutex
	rooms map[string]*room
}

// writers is how many connections of a pool writes may hold: those that wait for a
// standby leave some to the reads of management.
func writers(conns int32) int { return int(max(1, conns*3/4)) }

type room struct {
	places chan struct{}
	users  int // who are in or wait
}

// enter waits for a place; leave gives it back.
func (g *gate) enter(ctx context.Context, name string) (leave func(), err error) {
	g.mu.Lock()
	r := g.rooms[name]
	if r == nil {
		if g.rooms == nil {
			g.rooms = map[string]*room{}
		}
		r = &room{places: make(chan struct{}, perWorkspace)}
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
	select {
	case g.all <- struct{}{}:
		return func() { <-g.all; out() }, nil
	case <-ctx.Done():
		out()
		return nil, ctx.Err()
	}
}

func (g *gate) forget(name string, r *room) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.users--; r.users == 0 {
		delete(g.rooms, name)
	}
}
