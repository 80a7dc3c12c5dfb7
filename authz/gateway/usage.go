package gateway

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// shards of a workspace's uses: requests wait for one another only where their keys
// are in the same one.
const shards = 16

// uses are when keys of one workspace were used last, of those whose use the server has
// not acknowledged yet. What noting one costs does not grow with their number, and memory
// does with that of the keys alone, however often they are used.
type uses struct {
	shards  [shards]shard
	pending atomic.Int64 // keys

	// The rest is the reporter's own.
	next uint // shard to begin with
	// busy and idle are when to report next: where there are uses, and where there are none.
	busy, idle time.Time
	// lost says that the server refused uses for good, so that it does not know of all.
	lost bool
}

type shard struct {
	mu   sync.Mutex
	last map[jwks.KID]int64 // microseconds since 1970
}

// use is one to be reported.
type use struct {
	kid jwks.KID
	at  int64
}

func (u *uses) shard(kid *jwks.KID) *shard { return &u.shards[kid[0]%shards] } // a hash: any byte does

// note keeps that a key was used. Of a key that was noted before, it allocates nothing.
func (u *uses) note(kid *jwks.KID, at time.Time) {
	s := u.shard(kid)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		s.last = make(map[jwks.KID]int64)
	}
	before := len(s.last)
	s.last[*kid] = at.UnixMicro()
	if len(s.last) > before {
		u.pending.Add(1)
	}
}

// take returns some uses, at most so many. They stay until they are acknowledged.
func (u *uses) take(most int) []use {
	taken := make([]use, 0, min(int64(most), u.pending.Load()))
	for i := range uint(shards) {
		s := &u.shards[(u.next+i)%shards]
		s.mu.Lock()
		for kid, at := range s.last {
			if len(taken) == most {
				break
			}
			taken = append(taken, use{kid, at})
		}
		s.mu.Unlock()
	}
	u.next++ // so that no shard comes last for ever
	return taken
}

// acknowledge drops uses that the server knows, but those of keys that were used again.
func (u *uses) acknowledge(known []use) {
	for i := range known {
		s := u.shard(&known[i].kid)
		s.mu.Lock()
		if at, is := s.last[known[i].kid]; is && at == known[i].at {
			delete(s.last, known[i].kid)
			u.pending.Add(-1)
		}
		if len(s.last) == 0 {
			s.last = nil // a map never shrinks
		}
		s.mu.Unlock()
	}
}

// note keeps that a token which may pass was used, where that is reported.
func (g *Gateway) note(t *tenant, token string) {
	if g.uses == nil {
		return
	}
	if kid, err := jwks.KIDOf(token); err == nil { // it is verified, so there is one
		t.uses.note(&kid, g.o.Now())
	}
}

// usesOf returns a workspace's uses, also where it left the list and came back: what is not
// acknowledged is not forgotten. Nil: they are not reported.
func (g *Gateway) usesOf(workspace string) *uses {
	if g.uses == nil {
		return nil
	}
	u := g.uses[workspace]
	if u == nil {
		u = new(uses)
		g.uses[workspace] = u
	}
	return u
}

func (o *Options) checkUsage() error {
	switch {
	case o.UsageEvery == 0 && o.UsageKey != nil:
		return &OptionError{"UsageKey", "says nothing where use is never reported"}
	case o.UsageEvery == 0:
	case o.UsageEvery < MinUsageEvery || o.UsageEvery > MaxUsageEvery:
		return &OptionError{"UsageEvery", fmt.Sprintf("must be 0, or %s to %s", MinUsageEvery, MaxUsageEvery)}
	case o.UsageKey == nil && o.Key == nil:
		return &OptionError{"UsageKey", "must be given where use is reported"}
	}
	return nil
}
