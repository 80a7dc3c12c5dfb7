package authz

import (
	"context"
	"sync"

	"github.com/burnkey/burnkey/authz/mint"
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
