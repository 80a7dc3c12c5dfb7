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

	// The rest is the reporter's own. Uses are told of in generations, so that there is a
	// time before which all is told: began is when those that are being told of began to be
	// collected, and turned when those behind them did.
	began, turned time.Time
	// busy and idle are when to report next: where there are uses, and where there are none.
	busy, idle time.Time
	// lost says that uses were dropped, so that the server does not know of all.
	lost bool
}

// shard has uses in microseconds since 1970.
type shard struct {
	mu      sync.Mutex
	telling map[jwks.KID]int64
	behind  map[jwks.KID]int64 // of keys not in telling
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
	if _, is := s.telling[*kid]; is {
		s.telling[*kid] = at.UnixMicro()
		return
	}
	if s.behind == nil {
		s.behind = make(map[jwks.KID]int64)
	}
	before := len(s.behind)
	s.behind[*kid] = at.UnixMicro()
	if len(s.behind) > before {
		u.pending.Add(1)
	}
}

// notedWithin is for how long a request may be on its way from the clock to note.
const notedWithin = time.Second

// take returns some uses, at most so many, and the time before which there is none that
// was not told of, once they are. They stay until they are acknowledged.
func (u *uses) take(most int, now time.Time) (taken []use, until time.Time) {
	if !u.isTelling() {
		u.began, u.turned = u.turned, now.Add(-notedWithin)
		for i := range u.shards {
			s := &u.shards[i]
			s.mu.Lock()
			s.telling, s.behind = s.behind, nil
			s.mu.Unlock()
		}
	}
	for i := range u.shards {
		s := &u.shards[i]
		s.mu.Lock()
		for kid, at := range s.telling {
			if len(taken) == most {
				s.mu.Unlock()
				return taken, u.began
			}
			taken = append(taken, use{kid, at})
		}
		s.mu.Unlock()
	}
	return taken, u.turned
}

// isTelling reports whether some of a generation are still to be told of.
func (u *uses) isTelling() bool {
	for i := range u.shards {
		s := &u.shards[i]
		s.mu.Lock()
		left := len(s.telling)
		s.mu.Unlock()
		if left > 0 {
			return true
		}
	}
	return false
}

// acknowledge drops uses that the server knows, but those of keys that were used again.
func (u *uses) acknowledge(known []use) {
	for i := range known {
		s := u.shard(&known[i].kid)
		s.mu.Lock()
		if at, is := s.telling[known[i].kid]; is && at == known[i].at {
			delete(s.telling, known[i].kid)
			u.pending.Add(-1)
		}
		if len(s.telling) == 0 {
			s.telling = nil // a map never shrinks
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
		u = &uses{began: g.o.Now(), turned: g.o.Now(), lost: g.forgot}
		g.uses[workspace] = u
	}
	return u
}

func (o *Options) checkUsage() error {
	switch {
	case o.UsageEvery == 0:
	case o.UsageEvery < MinUsageEvery || o.UsageEvery > MaxUsageEvery:
		return &OptionError{"UsageEvery", fmt.Sprintf("must be 0, or %s to %s", MinUsageEvery, MaxUsageEvery)}
	case o.UsageKey == nil && o.Key == nil:
		return &OptionError{"UsageKey", "must be given where use is reported"}
	}
	return nil
}
