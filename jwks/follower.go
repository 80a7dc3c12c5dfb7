package jwks

import (
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

// Why a Follower's set is not to be relied on, for errors.Is.
var (
	ErrNotReady = errors.New("there is no set of published keys yet")
	ErrStale    = errors.New("the published keys are out of date")
)

// ErrNoWorkspace is why following fails where the server answers 404 for the set.
var ErrNoWorkspace = errors.New("the server has no workspace")

// Limits of FollowerOptions.PollEvery.
const (
	DefaultPollEvery = 5 * time.Second
	MinPollEvery     = time.Second
)

// FollowerOptions say whom to follow, and how.
type FollowerOptions struct {
	// URL is where the issuer's public calls are: {server}/v1/auth/oauth/{workspace}.
	// It need not be the tokens' iss.
	URL string
	// Client makes the calls. It must have no Timeout, which would end a stream.
	// Nil: a NewClient of its own.
	Client *http.Client
	// StateFile keeps the set for the next start, which then needs no server. It
	// and a file beside it, .lock, belong to one Follower at a time. Empty: none.
	StateFile string
	// PollEvery is how often to ask where the stream is not to be had, give or
	// take a fifth. 0: DefaultPollEvery.
	PollEvery time.Duration
	// Heartbeat is how often the stream should say that the set is current, which is
	// how far Age goes up on a stream that is well. 0, and what is more than the
	// server's 5 s: as the server does.
	Heartbeat time.Duration
	// Key returns a management key with the scope gateway, for which the server reserves places
	// at the change stream. It is called for each request of the stream; an invalid key does no
	// harm. If it is nil or fails, the stream is requested without a key.
	Key func() (string, error)
	Log *slog.Logger     // nil: slog.Default
	Now func() time.Time // clock for Age; nil: time.Now
}

// A Follower keeps a Table equal to a server's published set: by the change
// stream, or by polling where that is not to be had. A refresh that fails leaves
// the last good set in use. It is safe for concurrent use, and made to be the Keys
// of a Verifier.
type Follower struct {
	url       string
	client    *http.Client
	ownClient bool
	pollEvery time.Duration
	heartbeat time.Duration
	key       func() (string, error) // nil: none
	log       *slog.Logger
	now       func() time.Time
	limits    followLimits
	journal   *journal // nil: none

	table    Table // Run's goroutine alone changes it
	ready    chan struct{}
	announce func() // closes ready, once
	ran      atomic.Bool

	mu        sync.Mutex // lock before the table's mutex
	current   time.Time  // when the set was last known to be the server's
	streaming bool
	err       error
	logged    time.Time // when err was
}

// NewFollower makes a Follower and reads its state file, if there is one: then it
// has a set at once. Errors are bad options, ErrStateInUse, and a state file that
// is some other file; a damaged one is logged and done without.
func NewFollower(o FollowerOptions) (*Follower, error) {
	base, err := followURL(o.URL)
	if err != nil {
		return nil, err
	}
	f := &Follower{
		url: base, client: o.Client, pollEvery: o.PollEvery, heartbeat: o.Heartbeat, key: o.Key, log: o.Log, now: o.Now,
		limits: defaultLimits, ready: make(chan struct{}),
	}
	f.announce = sync.OnceFunc(func() { close(f.ready) })
	if f.pollEvery == 0 {
		f.pollEvery = DefaultPollEvery
	}
	if f.pollEvery < MinPollEvery {
		return nil, fmt.Errorf("PollEvery is less than %v", MinPollEvery)
	}
	if f.client == nil {
		f.client, f.ownClient = NewClient(), true
	}
	if f.log == nil {
		f.log = slog.Default()
	}
	if f.now == nil {
		f.now = time.Now
	}
	if o.StateFile == "" {
		return f, nil
	}
	var checked time.Time
	if f.journal, checked, err = openJournal(o.StateFile, base, &f.table, f.log); err != nil {
		return nil, err
	}
	if f.hasSet() {
		if !checked.After(f.now()) { // else a clock was set back, and it says nothing
			f.current = checked
		}
		f.announce()
		have := f.table.state()
		f.log.Info("keys read from disk", "file", o.StateFile, "version", have.version, "keys", have.keys)
	}
	return f, nil
}

var errNotIssuer = errors.New("FollowerOptions.URL must be http(s)://HOST/v1/auth/oauth/WORKSPACE, without query and fragment")

func followURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", errNotIssuer // which does not show the URL: it may hold a password
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return "", errNotIssuer
	}
	return strings.TrimRight(text, "/"), nil
}

// Close frees the state file of a Follower that is not to be run. Run does so
// itself.
func (f *Follower) Close() {
	if !f.ran.Swap(true) && f.journal != nil {
		f.journal.unlock()
	}
}

// Lookup returns a key that is published; none before the first set.
func (f *Follower) Lookup(kid KID) (Key, bool) { return f.table.Lookup(kid) }

func (f *Follower) keyTable() *Table { return &f.table }

// Version returns the version of the set; 0 before the first set, and if a proxy hides it. Use
// Status to get several values of the same moment.
func (f *Follower) Version() uint64 { return f.table.Version() }

// Len returns the number of keys in the set, 0 before the first set.
func (f *Follower) Len() int { return f.table.Len() }

func (f *Follower) hasSet() bool { return f.table.state().has }

// Ready is closed once there is a set, be it from disk, whose Age is known.
func (f *Follower) Ready() <-chan struct{} { return f.ready }

// Age returns how long ago the set was known to be the server's current one, plus
// what the server said of its own age: all that any server acknowledged before
// then is in the set. It goes by when a poll was asked, or a heartbeat was sent, so
// that it holds on a slow line, too. On a stream that is well it goes up to a
// heartbeat, 5 s, and back. It counts on while the server is out of reach, and over a restart from
// disk. It is the longest Duration there is where nothing is known.
func (f *Follower) Age() time.Duration {
	f.mu.Lock()
	current := f.current
	f.mu.Unlock()
	return f.ageOf(current)
}

func (f *Follower) ageOf(current time.Time) time.Duration {
	if current.IsZero() {
		return math.MaxInt64
	}
	now := f.now()
	// The monotonic clock stops while a machine sleeps, the other may be set back.
	return max(0, now.Sub(current), now.Round(0).Sub(current.Round(0)))
}

// Usable returns nil if there is a set whose Age is at most maxAge (0: any), or
// ErrNotReady or ErrStale.
func (f *Follower) Usable(maxAge time.Duration) error {
	f.mu.Lock()
	has, current := f.hasSet(), f.current
	f.mu.Unlock()
	if !has {
		return ErrNotReady
	}
	if maxAge > 0 && f.ageOf(current) > maxAge {
		return ErrStale
	}
	return nil
}

// FollowerStatus is the state of a Follower at one moment.
type FollowerStatus struct {
	Ready        bool   // the Follower has a set
	Version      uint64 // as of Follower.Version
	Keys         int
	Fingerprint  Fingerprint
	Age          time.Duration // as of Follower.Age
	Streaming    bool          // changes come as they are made
	Err          error         // why following fails at present
	StateErrors  uint64        // failures to write the state file so far
	StateWritten uint64        // the version that is in the state file
}

// Usable is like Follower.Usable at the moment of the status.
func (s FollowerStatus) Usable(maxAge time.Duration) error {
	if !s.Ready {
		return ErrNotReady
	}
	if maxAge > 0 && s.Age > maxAge {
		return ErrStale
	}
	return nil
}

// Status returns how the Follower is doing.
func (f *Follower) Status() FollowerStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	have := f.table.state()
	s := FollowerStatus{
		Ready: have.has, Version: have.version, Keys: have.keys, Fingerprint: have.print,
		Age: f.ageOf(f.current), Streaming: f.streaming, Err: f.err,
	}
	if f.journal != nil {
		s.StateErrors, s.StateWritten = f.journal.errors.Load(), f.journal.written.Load()
	}
	return s
}

// confirm notes that the set was the server's at a time.
func (f *Follower) confirm(at time.Time) {
	f.mu.Lock()
	// An answer may be older than what is known, out of a cache.
	later := at.After(f.current)
	f.mu.Unlock()
	if later {
		f.setCurrent(at)
	}
}

// setCurrent is confirm for another set than the last time was of.
func (f *Follower) setCurrent(at time.Time) { f.showCurrent(at, func() {}) }

// showCurrent makes the table show a set and records its age in one step.
func (f *Follower) showCurrent(at time.Time, show func()) {
	f.mu.Lock()
	show()
	f.current = at
	f.mu.Unlock()
	if f.journal != nil {
		f.journal.confirm(f.Version(), at)
	}
}

func (f *Follower) setStreaming(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.streaming = on
}

// report notes how following goes. It logs when that changes, and while it fails
// once a minute at most.
func (f *Follower) report(ctx context.Context, err error) {
	f.mu.Lock()
	before, now := f.err, time.Now()
	f.err = err
	tell := err != nil && (before == nil || now.Sub(f.logged) >= time.Minute)
	if tell {
		f.logged = now
	}
	f.mu.Unlock()
	if tell {
		f.log.WarnContext(ctx, "cannot follow the published keys; what was last known stays in use",
			"url", f.shownURL(), "version", f.Version(), "err", err)
	}
	if err == nil && before != nil {
		f.log.InfoContext(ctx, "following again", "url", f.shownURL(), "version", f.Version())
	}
}

// shownURL hides a password.
func (f *Follower) shownURL() string {
	u, err := url.Parse(f.url)
	if err != nil {
		return ""
	}
	return u.Redacted()
}
