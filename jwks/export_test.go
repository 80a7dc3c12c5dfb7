package jwks

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/burnkey/burnkey/jwks/internal/sse"
)

// The tests of the Follower are in the package jwks_test, since tests in the package jwks cannot import
// publish.

const (
	MaxMessage = sse.MaxMessage
	AcceptSet  = acceptSet
)

var (
	NewRand  = newRand
	TestKeys = testKeys
	Poll     = poll
)

// SetTestLimits shortens all durations of a Follower.
func (f *Follower) SetTestLimits() {
	f.limits = followLimits{
		head: 200 * time.Millisecond, first: 200 * time.Millisecond, silence: 300 * time.Millisecond, stall: 200 * time.Millisecond,
		healthy: 100 * time.Millisecond, again: 300 * time.Millisecond, lag: 80 * time.Second,
		retryFirst: 4 * time.Millisecond, retryMax: 20 * time.Millisecond, retryAfter: 50 * time.Millisecond,
	}
	f.pollEvery = 20 * time.Millisecond
	if f.journal != nil {
		f.journal.times = journalTimes{sync: time.Millisecond, stamp: time.Millisecond, retry: time.Millisecond}
		f.journal.retryAt = time.Time{}
	}
}

// SetPatience sets how long a Follower waits for answers and streams before it asks again.
func (f *Follower) SetPatience(d time.Duration) {
	f.limits.head, f.limits.first, f.limits.silence, f.limits.stall = d, d, d, d
}

func (f *Follower) SetNow(now func() time.Time) { f.now = now }
func (f *Follower) SetLog(log *slog.Logger)     { f.log = log }
func (f *Follower) Client() *http.Client        { return f.client }
func (f *Follower) URL() string                 { return f.url }
func (f *Follower) State() any                  { return f.table.state() }

// Keys returns the version, the keys and their number as the Follower shows them, read by a snapshot like the
// journal's. Before the first set it returns version 0 and no keys: the table can still be cleared.
func (f *Follower) Keys() (version uint64, keys []Key, count int) {
	snap := f.table.snapshot()
	defer snap.close()
	if snap.version == 0 {
		return 0, nil, 0
	}
	_ = snap.each(func(key *Key, _ *Attributes) error { keys = append(keys, *key); return nil })
	return snap.version, keys, snap.count
}

// SetTestLimits shortens all durations of a Feed.
func (f *Feed) SetTestLimits() {
	var short Follower
	short.SetTestLimits()
	f.limits = short.limits
	for _, m := range f.members {
		m.limits = f.limits
	}
	if f.journal != nil {
		f.journal.times = journalTimes{sync: time.Millisecond, stamp: time.Millisecond, retry: time.Millisecond}
	}
}

// SetPatience sets how long a Feed waits for a stream before it opens another.
func (f *Feed) SetPatience(d time.Duration) {
	f.limits.head, f.limits.first, f.limits.silence = d, d, d
}

func (f *Feed) KeyFunc() func() (string, error) { return f.key }
func (f *Follower) FeedPrint() Fingerprint      { return f.table.state().feed }
