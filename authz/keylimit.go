package authz

import (
	"context"

	"github.com/burnkey/burnkey/store"
)

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
