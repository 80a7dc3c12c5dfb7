package authz

import (
	"context"
	"sync"

	"github.com/burnkey/burnkey/authz/mint"
	"github.com/burnkey/burnkey/store"
)

// rooms are where requests meet that would come in one another's way: those of one owner
// that count towards a limit, of one idempotency key, and of one key to be rotated. A key
// pair is made only where the request can still come to something.
type rooms struct {
	mu    sync.Mutex
	rooms map[roomKey]*room
}

// roomKey names a room: by a workspace, what it is about and whose it is.
type roomKey struct{ workspace, about, of string }

type room struct {
	key  roomKey
	turn chan struct{} // holds one of whoever counts or keeps
	// Guarded by rooms.mu.
	users, queued, making int
}

// inRoom bounds how many may wait for one another.
const inRoom = 64

// enter returns a room that leave must be called on, unless it has most in it; 0: any number.
// Errors: *mint.BusyError.
func (s *rooms) enter(key roomKey, most int) (*room, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rooms == nil {
		s.rooms = make(map[roomKey]*room)
	}
	r := s.rooms[key]
	if r == nil {
		r = &room{key: key, turn: make(chan struct{}, 1)}
		s.rooms[key] = r
	}
	if most > 0 && r.users >= most {
		return nil, &mint.BusyError{Asker: mint.Asker{Workspace: key.workspace}, Reason: key.about, RetryAfter: busyFor}
	}
	r.users++
	return r, nil
}

func (s *rooms) leave(r *room) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.users--; r.users == 0 {
		delete(s.rooms, r.key)
	}
}

// alone waits until nobody else is at what a key names.
func (s *rooms) alone(ctx context.Context, key roomKey) (leave func(), err error) {
	r, err := s.enter(key, inRoom)
	if err != nil {
		return nil, err
	}
	back, err := r.take(ctx)
	if err != nil {
		s.leave(r)
		return nil, err
	}
	return func() { back(); s.leave(r) }, nil
}

func (r *room) take(ctx context.Context) (back func(), err error) {
	select {
	case r.turn <- struct{}{}:
		return func() { <-r.turn }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// place is a request's among those of its owner that count towards the same limit.
type place struct {
	s      *Service
	room   *room
	status store.Status // of the keys that the limit is about
	most   int
	making bool
	left   bool
}

// reserve counts a request, if with the owner's keys and those before it there are fewer than
// most; 0: any number. Errors: *LimitError, *mint.BusyError.
func (s *Service) reserve(ctx context.Context, workspace, owner string, status store.Status, most int) (*place, error) {
	r, err := s.rooms.enter(roomKey{workspace, string(status), owner}, 0)
	if err != nil {
		return nil, err
	}
	p := &place{s: s, room: r, status: status}
	if err := p.count(ctx, most, func() int { return r.queued }, func() { r.queued++ }); err != nil {
		s.rooms.leave(r)
		return nil, err
	}
	return p, nil
}

// begin counts again when its turn has come, now with those alone whose keys are being made.
func (p *place) begin(ctx context.Context, most int) error {
	return p.count(ctx, most, func() int { return p.room.making }, func() { p.room.making++; p.making = true })
}

func (p *place) count(ctx context.Context, most int, others func() int, add func()) error {
	if p.status == uncounted {
		most = 0
	}
	p.most = most
	back, err := p.room.take(ctx)
	if err != nil {
		return err
	}
	defer back()
	keys := 0
	if most > 0 {
		if keys, err = p.s.store.CountKeys(ctx, p.room.key.workspace, p.room.key.of, p.status, p.s.Now(), most); err != nil {
			return err
		}
	}
	p.s.rooms.mu.Lock()
	defer p.s.rooms.mu.Unlock()
	if most > 0 && keys+others() >= most {
		return &LimitError{Most: most, InGrace: p.status == store.Deprecated}
	}
	add()
	return nil
}

// keep has a key kept, whereby the request becomes one of the owner's keys: nobody counts
// meanwhile, who would count it twice or not at all.
func (p *place) keep(ctx context.Context, keep func() error) error {
	if p.most == 0 {
		defer p.leave()
		return keep()
	}
	back, err := p.room.take(ctx)
	if err != nil {
		return err
	}
	defer back()
	defer p.leave()
	return keep()
}

// leave ends the request, once.
func (p *place) leave() {
	if p.left {
		return
	}
	p.left = true
	p.s.rooms.mu.Lock()
	p.room.queued--
	if p.making {
		p.room.making--
	}
	p.s.rooms.mu.Unlock()
	p.s.rooms.leave(p.room)
}
