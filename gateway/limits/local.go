package limits

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/bits"
	"sync/atomic"
	"time"
)

// DefaultEntries is the default of LocalOptions.Entries.
const DefaultEntries = 1 << 20

const (
	minEntries = shardCount * 16
	maxEntries = 1 << 28
)

// LocalOptions are the options of a Local.
type LocalOptions struct {
	// Entries is the approximate number of pairs of a rule and a subject in use that are counted at a time. When
	// there are more, the count that is worth least is dropped: see Local. 0: DefaultEntries. An entry takes at
	// most 60 bytes.
	Entries int
	// Share is the share of each rule that this Counter allows, above 0 and at most 1. 0: 1. A rule allows at
	// least one request.
	Share float64
	// File stores the counts of quotas, so that they survive a restart. Empty: they do not.
	File string
	Log  *slog.Logger     // nil: slog.Default
	Now  func() time.Time // when the Counter begins; nil: time.Now
}

// An OptionError says which option is invalid, and the rule it breaks.
type OptionError struct{ Option, Detail string }

func (e *OptionError) Error() string { return e.Option + " " + e.Detail }

func (o *LocalOptions) setDefaults() {
	o.Entries, o.Share, o.Log = cmp.Or(o.Entries, DefaultEntries), cmp.Or(o.Share, 1), cmp.Or(o.Log, slog.Default())
	if o.Now == nil {
		o.Now = time.Now
	}
}

// Check returns nil or an *OptionError.
func (o *LocalOptions) Check() error {
	if o.Entries != 0 && (o.Entries < minEntries || o.Entries > maxEntries) {
		return &OptionError{"Entries", fmt.Sprintf("must be %d to %d", minEntries, maxEntries)}
	}
	if o.Share != 0 && !(o.Share > 0 && o.Share <= 1) { // also if it is not a number
		return &OptionError{"Share", "must be above 0 and at most 1"}
	}
	return nil
}

// A Local is a Counter in memory. A count is one 64-bit word, found by a keyed hash of its rule and subject.
// A full Local drops an entry that allows all of its rule's requests again, or else the rate that will do so
// first, and a quota only after all rates nearby. Addresses push out no other counts as long as those take at most half.
//
// Rates go by the monotonic clock, if the times passed to Take have it, and otherwise treat a clock that was set
// back as if every request of the rule had been used. Quotas go by the calendar of the wall clock. If it is set
// back, a quota keeps what was used, and a period that began less than a day too early continues.
type Local struct {
	o       LocalOptions
	key     hashKey
	began   time.Time
	today   atomic.Pointer[calendar]
	shards  [shardCount]shard
	dropped atomic.Uint64
	file    quotaFile
}

// NewLocal returns a Local with the counts of quotas that its file has. Errors are *OptionError, ErrNotQuotas
// and those of reading and writing the file.
func NewLocal(o LocalOptions) (*Local, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	o.setDefaults()
	l := &Local{o: o, key: newHashKey(), began: o.Now()}
	for i := range l.shards {
		l.shards[i].setBound(o.Entries / shardCount)
	}
	if o.File == "" {
		return l, nil
	}
	return l, l.load()
}

// LocalStats are the state of a Local, for metrics.
type LocalStats struct {
	Entries      int    // in use, also those that are worth nothing
	Evictions    uint64 // entries dropped although they were worth something
	SaveFailures uint64 // failed writes of the file
}

// Stats returns the current state.
func (l *Local) Stats() LocalStats {
	s := LocalStats{Evictions: l.dropped.Load(), SaveFailures: l.file.failures.Load()}
	for i := range l.shards {
		s.Entries += l.shards[i].size()
	}
	return s
}

// A claim is a rule on its way through Take.
type claim struct {
	id         uint64
	at         int // where its entry was
	have, next word
}

// Take implements Counter. It never fails. It allocates nothing for up to eight rules whose subjects are in use.
func (l *Local) Take(_ context.Context, now time.Time, n uint32, rules []Rule, states []State) (bool, error) {
	var few [8]claim
	claims := few[:min(len(rules), len(few))]
	if len(rules) > len(few) {
		claims = make([]claim, len(rules))
	}
	var used uint64 // a bit for each shard
	for i := range rules {
		claims[i].id = l.key.id(&rules[i])
		used |= 1 << shardOf(claims[i].id)
	}
	at := l.instant(now)
	// All calls lock shards in ascending order, so they never wait for each other in a circle.
	for rest := used; rest != 0; rest &= rest - 1 {
		l.shards[bits.TrailingZeros64(rest)].mu.Lock()
	}
	ok := l.decide(&at, uint64(n), claims, rules, states)
	for rest := used; rest != 0; rest &= rest - 1 {
		l.shards[bits.TrailingZeros64(rest)].mu.Unlock()
	}
	return ok, nil
}

// decide does Take's work on its shards, which are locked.
func (l *Local) decide(at *instant, n uint64, claims []claim, rules []Rule, states []State) bool {
	ok := true
	for i := range claims {
		c := &claims[i]
		c.have, c.at = l.shards[shardOf(c.id)].find(c.id)
		c.next, states[i] = l.next(c.have, &rules[i].Limit, n, at)
		ok = ok && states[i].Retry == 0
	}
	if !ok {
		l.refuse(at, claims, rules, states)
	} else if n > 0 {
		for i := range claims {
			l.put(&claims[i], at)
		}
	}
	return ok
}

// refuse sets the states of rules that would have allowed the request.
func (l *Local) refuse(at *instant, claims []claim, rules []Rule, states []State) {
	for i := range claims {
		c := &claims[i]
		unchanged, state := l.next(c.have, &rules[i].Limit, 0, at)
		if states[i].Retry == 0 {
			states[i] = state
		}
		// Only if the clock was set back is it lower. It must be stored, or the subject would wait for the old time.
		if c.have != 0 && unchanged.worth() < c.have.worth() {
			c.next = unchanged
			l.put(c, at)
		}
	}
}

func (l *Local) put(c *claim, at *instant) {
	if l.shards[shardOf(c.id)].put(c.id, c.at, c.next, at) {
		l.dropped.Add(1)
	}
}
