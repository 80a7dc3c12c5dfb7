package authz

import (
	"context"
	"sync"

	"github.com/burnkey/burnkey/authz/mint"
	"github.com/burnkey/burnkey/store"
)

// rooms serialises requests that affect one another: those of one owner that count towards a
// limit, those with one idempotency key, and rotations of one key. A key pair is made only if
// the request can still succeed.
type rooms struct {
	mu    sync.Mutex
	rooms map[roomKey]*room
}

// roomKey identifies a room: the workspace, the kind of conflict, and the owner or key in
// question.
type roomKey struct{ workspace, about, of string }

type room struct {
	key  roomKey
	turn chan struct{} // held while counting or storing keys
	// Guarded by rooms.mu.
	users, queued, making int
}

// inRoom bounds how many requests may wait for one another.
const inRoom = 64

// enter adds a user to the room of a key, unless it already has most users (0: unlimited). The
// caller must call leave. Errors: *mint.BusyError.
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

// alone waits until no other request is in the room of a key.
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

// place is the place of a request among its owner's requests that count towards the same limit.
type place struct {
	s      *Service
	room   *room
	status store.Status // status of the keys that the limit counts
	most   int
	making bool
	left   bool
}

// reserve counts a request if the owner's keys and earlier requests are fewer than most (0:
// unlimited). Errors: *LimitError, *mint.BusyError.
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

// begin counts again once the request's turn has come, this time only with requests whose keys
// are being made.
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

// keep stores a key, which replaces the request in the owner's count. Nobody may count
// meanwhile: the key would count twice or not at all.
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

// leave takes the request out of the count. Further calls do nothing.
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
