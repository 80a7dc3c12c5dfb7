package jwks

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// FeedOptions are the options of a Feed. Server and Key are required.
type FeedOptions struct {
	// Server is the server's base URL, without the path of an issuer.
	Server string
	// Workspaces are those to follow. Empty: all that Key may see, also those that are made later.
	Workspaces []string
	// Key returns a management key with the scope gateway. It is called for each request.
	Key func() (string, error)
	// Client, Heartbeat, Log and Now are as in FollowerOptions. The interval of heartbeats is that of all
	// workspaces together.
	Client    *http.Client
	Heartbeat time.Duration
	Log       *slog.Logger
	Now       func() time.Time
	// StateFile, unless empty, stores the sets of all workspaces, as in FollowerOptions.
	StateFile string
	// Added is called for each workspace that the Feed begins to follow, before it has a set, and Removed for
	// each that is gone. Calls do not overlap. Both may be nil.
	Added, Removed func(workspace string, f *Follower)
}

// A Feed follows the keys of several workspaces with their attributes and limits, over one connection. Each
// workspace has a Follower, whose Run must not be called. A Feed never polls: without a stream, it uses the last
// keys and connects again. It is safe for concurrent use.
type Feed struct {
	server     string
	workspaces []string // empty: all
	key        func() (string, error)
	client     *http.Client
	ownClient  bool
	heartbeat  time.Duration
	log        *slog.Logger
	now        func() time.Time
	limits     followLimits
	journal    *journal // or nil
	added      func(string, *Follower)
	removed    func(string, *Follower)

	ready     chan struct{}
	announce  func() // closes ready, once
	ran       atomic.Bool
	streaming atomic.Bool
	current   atomic.Pointer[time.Time] // when the sets in step were last known to be current; nil: unknown
	outOfStep atomic.Int64              // members that are not in step
	fetches   chan struct{}             // one element for each set that is being fetched

	imports importIndex

	mu      sync.RWMutex
	members map[string]*member
	failure failure
}

// maxFetches is the number of large sets that are fetched at the same time.
const maxFetches = 2

// NewFeed returns a Feed. With a valid state file, its workspaces have their sets at once. Errors are those of
// NewFollower.
func NewFeed(o FeedOptions) (*Feed, error) {
	base := strings.TrimRight(o.Server, "/")
	if _, err := followURL(base); err != nil || o.Key == nil {
		return nil, errNotFeed
	}
	f := &Feed{
		server: base, workspaces: o.Workspaces, key: o.Key, client: o.Client, heartbeat: o.Heartbeat,
		log: cmp.Or(o.Log, slog.Default()), now: o.Now, limits: defaultLimits, added: o.Added, removed: o.Removed,
		ready: make(chan struct{}), fetches: make(chan struct{}, maxFetches), members: make(map[string]*member),
	}
	f.announce = sync.OnceFunc(func() { close(f.ready) })
	if f.client == nil {
		f.client, f.ownClient = NewClient(), true
	}
	if f.now == nil {
		f.now = time.Now
	}
	if err := f.load(o.StateFile); err != nil {
		return nil, err
	}
	for _, workspace := range o.Workspaces {
		f.enter(workspace)
	}
	return f, nil
}

var errNotFeed = errors.New("invalid FeedOptions: Server must be http(s)://HOST[/PATH], without query and fragment, and Key must be set")

// load reads the state file.
func (f *Feed) load(file string) error {
	if file == "" {
		return nil
	}
	tables := make(map[string]*member)
	var err error
	var checked time.Time
	f.journal, checked, err = openJournal(file, f.server, func(workspace string) *Table {
		if !f.follows(workspace) {
			return nil
		}
		tables[workspace] = f.newMember(workspace)
		return &tables[workspace].table
	}, f.log)
	if err != nil {
		return err
	}
	if !checked.IsZero() && !checked.After(f.now()) { // otherwise the clock was set back, and the time means nothing
		f.current.Store(&checked)
	}
	for workspace, m := range tables {
		if m.hasSet() {
			m.inStep = true
			m.announce()
			f.add(workspace, m)
		}
	}
	if len(f.members) > 0 {
		f.announce()
		f.log.Info("keys read from disk", "file", file, "workspaces", len(f.members))
	}
	return nil
}

// follows reports whether a workspace is one to follow.
func (f *Feed) follows(workspace string) bool {
	return workspace != "" && (len(f.workspaces) == 0 || slices.Contains(f.workspaces, workspace))
}

// Close releases the state file of a Feed on which Run is never called. Run releases the file itself.
func (f *Feed) Close() {
	if !f.ran.Swap(true) && f.journal != nil {
		f.journal.unlock()
	}
}

// Follower returns the Follower of a workspace, or nil if the workspace is unknown.
func (f *Feed) Follower(workspace string) *Follower {
	if m := f.member(workspace); m != nil {
		return m.Follower
	}
	return nil
}

// Ready returns a channel that is closed once every workspace known at the start has a set or is being fetched.
// With sets from disk, it is closed at once.
func (f *Feed) Ready() <-chan struct{} { return f.ready }

// Streaming reports whether the stream works.
func (f *Feed) Streaming() bool { return f.streaming.Load() }

// Age is like Follower.Age for all workspaces that neither lag at the server nor are being fetched.
func (f *Feed) Age() time.Duration {
	at := f.lastCurrent()
	if at.IsZero() {
		return math.MaxInt64
	}
	return ageSince(at, f.now())
}

func (f *Feed) lastCurrent() time.Time {
	if at := f.current.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// Err returns the present failure of the stream, or nil.
func (f *Feed) Err() error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.failure.err
}

// StateErrors returns the number of failures to write the state file so far.
func (f *Feed) StateErrors() uint64 {
	if f.journal == nil {
		return 0
	}
	return f.journal.errors.Load()
}

// A member is a workspace of a Feed.
type member struct {
	*Follower

	// While fetching, the goroutine that fetches changes the table; otherwise the goroutine of the stream.
	changing sync.Mutex // guards the rest
	fetching bool
	least    uint64     // the version that a fetched set must have
	waiting  []Change   // received while fetching, after least
	newSet   *feedEvent // received while fetching: the set to install instead
	cancel   func()     // ends fetching; nil before it begins
}

func (f *Feed) newMember(workspace string) *member {
	m := &Follower{
		url: f.server + IssuerPath + workspace, client: f.client, pollEvery: DefaultPollEvery, log: f.log, now: f.now,
		limits: f.limits, feed: f, journal: f.journal, ready: make(chan struct{}),
	}
	m.table.imports.workspace, m.table.imports.index = workspace, &f.imports
	m.ran.Store(true)
	m.announce = sync.OnceFunc(func() { close(m.ready) })
	return &member{Follower: m}
}

func (f *Feed) member(workspace string) *member {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.members[workspace]
}

// enter returns the member of a workspace, which it adds if it is new.
func (f *Feed) enter(workspace string) *member {
	m := f.member(workspace)
	if m == nil {
		m = f.newMember(workspace)
		f.add(workspace, m)
	}
	return m
}

func (f *Feed) add(workspace string, m *member) {
	if f.journal != nil {
		m.section = f.journal.enter(workspace, &m.table)
	}
	if !m.inStep {
		f.outOfStep.Add(1)
	}
	if f.added != nil {
		f.added(workspace, m.Follower)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.members[workspace] = m
}

// remove stops following a workspace that is gone.
func (f *Feed) remove(workspace string, m *member) {
	f.mu.Lock()
	delete(f.members, workspace)
	f.mu.Unlock()
	f.setInStep(m, true) // it no longer counts
	m.table.forgetImported()
	if f.removed != nil {
		f.removed(workspace, m.Follower)
	}
	if f.journal != nil {
		f.journal.drop(m.section)
	}
}

// setInStep records whether a member has all changes that the stream sent.
func (f *Feed) setInStep(m *member, is bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.inStep == is {
		return
	}
	if is {
		f.outOfStep.Add(-1)
	} else {
		m.current = m.lastCurrent()
		f.outOfStep.Add(1)
	}
	m.inStep = is
}

// setURL is the address of a workspace's whole set.
func (f *Feed) setURL(workspace string) string {
	return f.server + "/v1/workspaces/" + workspace + "/feed"
}

// authorize adds the management key.
func (f *Feed) authorize(req *http.Request) error {
	key, err := f.key()
	if err != nil {
		return fmt.Errorf("the management key: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	return nil
}
