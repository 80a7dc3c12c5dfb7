package gateway

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// usage is the part of a Gateway that reports which keys were used.
type usage struct {
	uses       map[string]*uses // by workspace; nil: not reported. Used by New and followList alone
	usesLost   bool             // an earlier Gateway ended with unreported uses
	reporterID string           // identifies this Gateway to the server
	pace       time.Duration    // between two reports
	results    [len(resultNames)]atomic.Uint64
}

func (u *usage) reportCounts() map[string]uint64 {
	counts := make(map[string]uint64, len(resultNames))
	for i, name := range resultNames {
		counts[name] = u.results[i].Load()
	}
	return counts
}

// shardCount is the number of shards of a workspace's uses. Concurrent requests wait for each other only if
// their keys are in the same shard.
const shardCount = 16

// uses records when each key of a workspace was last used, until the server acknowledges the report. Recording
// a use takes constant time, and the memory depends only on the number of keys.
//
// Uses are reported in generations: while a generation is reported, new uses are collected in the next one.
// This gives a time up to which the reports are complete.
type uses struct {
	shards  [shardCount]shard
	pending atomic.Int64 // keys

	// The other fields are the reporter's own.

	since, nextSince time.Time // the start of the current generation and of the next
	busyAt, idleAt   time.Time // when the next report is due, with uses and without
	lost             bool      // uses were dropped, so the next report is incomplete
}

// A shard stores the times of uses, in microseconds since 1970.
type shard struct {
	mu      sync.Mutex
	current map[jwks.KID]lastUse // the generation that is being reported
	next    map[jwks.KID]lastUse // keys that are not in current
}

type lastUse struct {
	at int64
	by *holder // of a key with limits, else nil
}

// A holder is what the limits of a key depend on.
type holder struct{ keyID, owner string }

type use struct {
	kid jwks.KID
	lastUse
}

func (u *uses) shard(kid *jwks.KID) *shard { return &u.shards[kid[0]%shardCount] } // a kid is a hash

// record records that a key was used. For a key that is not recorded yet, it calls by, unless that is nil. It allocates
// nothing for a key that is recorded already.
func (u *uses) record(kid *jwks.KID, at time.Time, by func() *holder) {
	s := u.shard(kid)
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, is := s.current[*kid]; is {
		s.current[*kid] = lastUse{at.UnixMicro(), last.by}
		return
	}
	if s.next == nil {
		s.next = make(map[jwks.KID]lastUse)
	}
	last, is := s.next[*kid]
	if !is {
		u.pending.Add(1)
		if by != nil {
			last.by = by()
		}
	}
	s.next[*kid] = lastUse{at.UnixMicro(), last.by}
}

// recordWithin is the maximum time between reading the clock and the call of record.
const recordWithin = time.Second

// take returns up to most unreported uses. Once these are acknowledged, reporting is complete up to the time
// until. Uses remain unreported until they are acknowledged.
func (u *uses) take(most int, now time.Time) (taken []use, until time.Time) {
	if !u.isReporting() {
		u.since, u.nextSince = u.nextSince, now.Add(-recordWithin)
		u.each(func(s *shard) { s.current, s.next = s.next, nil })
	}
	until = u.nextSince
	u.each(func(s *shard) {
		for kid, last := range s.current {
			if len(taken) == most { // there are more
				until = u.since
				return
			}
			taken = append(taken, use{kid, last})
		}
	})
	return taken, until
}

// each locks each shard and calls f with it.
func (u *uses) each(f func(*shard)) {
	for i := range u.shards {
		s := &u.shards[i]
		s.mu.Lock()
		f(s)
		s.mu.Unlock()
	}
}

// isReporting reports whether the current generation has unreported uses.
func (u *uses) isReporting() bool {
	left := 0
	u.each(func(s *shard) { left += len(s.current) })
	return left > 0
}

// acknowledge drops reported uses, except those of keys that have been used again since.
func (u *uses) acknowledge(known []use) {
	for i := range known {
		s := u.shard(&known[i].kid)
		s.mu.Lock()
		if last, is := s.current[known[i].kid]; is && last.at == known[i].at {
			delete(s.current, known[i].kid)
			u.pending.Add(-1)
		}
		if len(s.current) == 0 {
			s.current = nil // a map never shrinks
		}
		s.mu.Unlock()
	}
}

// recordUse records the use of the key, or the parent, of an accepted token, if uses are reported.
func (g *Gateway) recordUse(t *tenant, token string, claims *jwks.Claims) {
	if g.uses == nil {
		return
	}
	kid := claims.KeyKID
	if !claims.HasParent() {
		var err error
		if kid, err = jwks.KIDOf(token); err != nil { // a verified token has one
			kid = jwks.ImportedKID(claims.ID)
		}
	}
	t.uses.record(&kid, g.o.Now(), func() *holder { return t.holderOf(claims) })
}

// usesOf returns a workspace's uses, or nil if usage is not reported. If a workspace leaves the list and comes
// back, it still has its unreported uses.
func (g *Gateway) usesOf(workspace string) *uses {
	if g.uses == nil {
		return nil
	}
	u := g.uses[workspace]
	if u == nil {
		u = &uses{since: g.o.Now(), nextSince: g.o.Now(), lost: g.usesLost}
		g.uses[workspace] = u
	}
	return u
}
