package jwks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Reasons why a Follower's set must not be used, for errors.Is.
var (
	ErrNotReady = errors.New("the published keys have not been fetched yet")
	ErrStale    = errors.New("the published keys are out of date")
)

// ErrNoWorkspace is wrapped by FollowerStatus.Err if the server answers 404 for the set.
var ErrNoWorkspace = errors.New("the server has no workspace")

// Limits of FollowerOptions.PollEvery.
const (
	DefaultPollEvery = 5 * time.Second
	MinPollEvery     = time.Second
)

// FollowerOptions are the options of a Follower. Only URL is required.
type FollowerOptions struct {
	// URL is the base of the workspace's public endpoints: {server}/v1/auth/oauth/{workspace}. It can
	// differ from the tokens' iss.
	URL string
	// Client must have no Timeout, since a Timeout would end streams. If nil, the Follower uses NewClient.
	Client *http.Client
	// StateFile, unless empty, stores the set, so that the next start does not need the server. Only one
	// Follower at a time can use the file and the lock file beside it (.lock).
	StateFile string
	// PollEvery is the polling interval without a stream, varied by up to a fifth; DefaultPollEvery if 0.
	PollEvery time.Duration
	// Heartbeat is the requested interval of heartbeats. They confirm that the set is current: Age
	// increases up to this interval while the stream works. The server's own interval, 5 s, applies if it
	// is shorter or Heartbeat is 0.
	Heartbeat time.Duration
	// Key, unless nil, returns a management key with the scope gateway, for which the server reserves
	// places at the change stream. It is called for each request of the stream. If it fails, the stream is
	// requested without a key; an invalid key has the same effect.
	Key func() (string, error)
	Log *slog.Logger     // nil: slog.Default
	Now func() time.Time // clock for Age; nil: time.Now
}

// A Follower keeps a copy of a workspace's published keys up to date, by the change stream or, without a
// stream, by polling. If both fail, it continues to use the last keys. It implements Keys and is safe for
// concurrent use.
type Follower struct {
	url       string
	client    *http.Client
	ownClient bool
	pollEvery time.Duration
	heartbeat time.Duration
	key       func() (string, error) // or nil
	log       *slog.Logger
	now       func() time.Time
	limits    followLimits
	journal   *journal // or nil
	section   *section // of the journal
	feed      *Feed    // nil: the Follower runs on its own

	table    Table // only changed by the goroutine of Run, or by the Feed
	ready    chan struct{}
	announce func() // closes ready, once
	ran      atomic.Bool

	mu        sync.Mutex // lock before the table's mutex
	current   time.Time  // the last time at which the set was known to be current
	inStep    bool       // the set has all changes that the Feed has received, so it is as current as the Feed
	streaming bool
	failure   failure
}

// failure is the present failure.
type failure struct {
	err    error
	logged map[int]time.Time // when it was last logged, by the server's status: 0 without an answer
}

// note records success or failure. It reports whether to log a failure, at most once a minute for each status of the
// server, or its end.
func (f *failure) note(err error) (log, ended bool) {
	ended = err == nil && f.err != nil
	if f.err = err; err == nil {
		f.logged = nil
		return false, ended
	}
	answer, now := new(statusError), time.Now()
	errors.As(err, &answer)
	if last, ok := f.logged[answer.code]; ok && now.Sub(last) < time.Minute {
		return false, false
	}
	if f.logged == nil {
		f.logged = make(map[int]time.Time)
	}
	f.logged[answer.code] = now
	return true, false
}

// NewFollower returns a Follower. With a valid state file, it has a set at once. NewFollower returns an
// error for invalid options, for a file that is not a state file, and ErrStateInUse. It logs and ignores a
// damaged state file.
func NewFollower(o FollowerOptions) (*Follower, error) {
	base, err := followURL(o.URL)
	if err != nil {
		return nil, err
	}
	f := &Follower{
		url: base, client: o.Client, pollEvery: cmp.Or(o.PollEvery, DefaultPollEvery), heartbeat: o.Heartbeat, key: o.Key,
		log: cmp.Or(o.Log, slog.Default()), now: o.Now, limits: defaultLimits, ready: make(chan struct{}),
	}
	f.announce = sync.OnceFunc(func() { close(f.ready) })
	if f.pollEvery < MinPollEvery {
		return nil, fmt.Errorf("invalid FollowerOptions.PollEvery: must be at least %v", MinPollEvery)
	}
	if f.client == nil {
		f.client, f.ownClient = NewClient(), true
	}
	if f.now == nil {
		f.now = time.Now
	}
	if o.StateFile == "" {
		return f, nil
	}
	var checked time.Time
	own := func(name string) *Table {
		if name != "" {
			return nil
		}
		return &f.table
	}
	if f.journal, checked, err = openJournal(o.StateFile, base, own, f.log); err != nil {
		return nil, err
	}
	f.section = f.journal.enter("", &f.table)
	if f.hasSet() {
		if !checked.After(f.now()) { // otherwise the clock was set back, and the time means nothing
			f.current = checked
		}
		f.announce()
		have := f.table.state()
		f.log.Info("keys read from disk", "file", o.StateFile, "version", have.version, "keys", have.keys)
	}
	return f, nil
}

var errNotIssuer = errors.New("invalid FollowerOptions.URL: must be http(s)://HOST/v1/auth/oauth/WORKSPACE, without query and fragment")

func followURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", errNotIssuer // without err, which contains the URL and perhaps a password
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return "", errNotIssuer
	}
	return strings.TrimRight(text, "/"), nil
}

// Close releases the state file of a Follower on which Run is never called. Run releases the file itself.
func (f *Follower) Close() {
	if !f.ran.Swap(true) && f.journal != nil {
		f.journal.unlock()
	}
}

// Lookup returns the published key with this kid.
func (f *Follower) Lookup(kid KID) (Key, bool) { return f.table.Lookup(kid) }

func (f *Follower) keyTable() *Table { return &f.table }

// LimitSet returns the rules of a set of limits, nil if there is no set. It takes no lock. The rules must not be
// changed. Only the Followers of a Feed have limits.
func (f *Follower) LimitSet(on, name string) []Limit { return f.table.LimitSet(on, name) }

// Settings returns the workspace's settings. Only the Followers of a Feed know them.
func (f *Follower) Settings() (settings Settings, known bool) { return f.table.Settings() }

// Attributes returns the attributes of a published key: the zero value if it has none.
func (f *Follower) Attributes(kid KID) (a Attributes, published bool) { return f.table.Attributes(kid) }

// Version returns the version of the set, or 0 before the first set and if a proxy removes the version.
// Status returns several values of the same moment.
func (f *Follower) Version() uint64 { return f.table.Version() }

// Len returns the number of keys in the set. It is 0 before the first set.
func (f *Follower) Len() int { return f.table.Len() }

func (f *Follower) hasSet() bool { return f.table.state().has }

// Ready returns a channel that is closed once the Follower has a set, perhaps from disk, and its Age is known.
func (f *Follower) Ready() <-chan struct{} { return f.ready }

// Age returns the time since the set was known to contain every change that any server had acknowledged.
// Age includes the age that the server reports, and is counted from the sending of a request or a
// heartbeat, so it is also right on a slow connection. While the stream works, Age increases up to the
// interval of heartbeats (5 s). It continues to increase while the server is unreachable, and across a
// restart from disk. If nothing is known, Age returns the maximal Duration.
func (f *Follower) Age() time.Duration {
	f.mu.Lock()
	current := f.lastCurrent()
	f.mu.Unlock()
	return f.ageOf(current)
}

// lastCurrent returns the last time at which the set was known to be current. The caller holds the lock.
func (f *Follower) lastCurrent() time.Time {
	if f.inStep {
		if at := f.feed.lastCurrent(); at.After(f.current) {
			return at
		}
	}
	return f.current
}

func (f *Follower) ageOf(current time.Time) time.Duration {
	if current.IsZero() {
		return math.MaxInt64
	}
	return ageSince(current, f.now())
}

// ageSince returns the time from `at` to now. The monotonic clock stops while the machine sleeps, and the wall
// clock can be set back.
func ageSince(at, now time.Time) time.Duration {
	return max(0, now.Sub(at), now.Round(0).Sub(at.Round(0)))
}

// Usable returns ErrNotReady before the first set, ErrStale if Age exceeds maxAge (0: no limit), and nil
// otherwise.
func (f *Follower) Usable(maxAge time.Duration) error {
	f.mu.Lock()
	s, current := FollowerStatus{Ready: f.hasSet()}, f.lastCurrent()
	f.mu.Unlock()
	if maxAge > 0 {
		s.Age = f.ageOf(current)
	}
	return s.Usable(maxAge)
}

// FollowerStatus is the state of a Follower at one moment.
type FollowerStatus struct {
	Ready        bool   // the Follower has a set
	Version      uint64 // like Follower.Version
	Keys         int
	Fingerprint  Fingerprint
	Age          time.Duration // like Follower.Age
	Streaming    bool          // the stream works
	Err          error         // the present failure, or nil
	StateErrors  uint64        // failures to write the state file so far
	StateWritten uint64        // the version that is in the state file
}

// Usable does the same as Follower.Usable for the moment of the status.
func (s FollowerStatus) Usable(maxAge time.Duration) error {
	if !s.Ready {
		return ErrNotReady
	}
	if maxAge > 0 && s.Age > maxAge {
		return ErrStale
	}
	return nil
}

// Status returns the state of the Follower.
func (f *Follower) Status() FollowerStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	have := f.table.state()
	s := FollowerStatus{
		Ready: have.has, Version: have.version, Keys: have.keys, Fingerprint: have.print,
		Age: f.ageOf(f.lastCurrent()), Streaming: f.streaming, Err: f.failure.err,
	}
	if f.feed != nil {
		s.Streaming = f.inStep && f.feed.Streaming()
	}
	if f.journal != nil {
		s.StateErrors, s.StateWritten = f.journal.errors.Load(), f.section.written.Load()
	}
	return s
}

// confirm records that the set was current at the given time.
func (f *Follower) confirm(at time.Time) {
	f.mu.Lock()
	// A response from a cache can be older than the last confirmation.
	later := at.After(f.current)
	f.mu.Unlock()
	if later {
		f.setCurrent(at)
	}
}

// setCurrent is like confirm for a new set, which can be current at an earlier time.
func (f *Follower) setCurrent(at time.Time) {
	f.mu.Lock()
	f.current = at
	f.mu.Unlock()
	if f.journal != nil && f.feed == nil {
		f.journal.confirm(at)
	}
}

// showCurrent makes the table show a new set and records, in the same step, when it was current.
func (f *Follower) showCurrent(at time.Time, show func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	show()
	f.current = at
	switch {
	case f.journal == nil:
	case f.feed != nil: // which knows when all sets were current
		f.journal.setWhole(f.section, time.Time{})
	default:
		f.journal.setWhole(f.section, at)
	}
}

func (f *Follower) setStreaming(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.streaming = on
}

// report records success or failure. It logs when failures begin and end, and meanwhile at most once a minute for each
// status of the server.
func (f *Follower) report(ctx context.Context, err error) {
	f.mu.Lock()
	due, ended := f.failure.note(err)
	f.mu.Unlock()
	if due {
		f.log.WarnContext(ctx, "cannot update the published keys; the last known keys stay in use",
			"url", f.shownURL(), "version", f.Version(), "error", err)
	}
	if ended {
		f.log.InfoContext(ctx, "the published keys are up to date again", "url", f.shownURL(), "version", f.Version())
	}
}

// shownURL returns the URL without a password, for logs.
func (f *Follower) shownURL() string {
	u, err := url.Parse(f.url)
	if err != nil {
		return ""
	}
	return u.Redacted()
}
