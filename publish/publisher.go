package publish

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/burnkey/burnkey/internal/logs"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// Publisher keeps every workspace's published set in memory, at the version of
// the store: its own server's changes at once, others' as Follow finds them. A
// set that can't be brought up to date is served as it is. It is safe for
// concurrent use, and its readers never wait for a database.
type Publisher struct {
	store   store.PublishedStore
	failing logs.Failures // by workspace and message

	mu   sync.RWMutex
	sets map[string]*published
	ages ages
	// onChange are the functions registered by OnChange, by workspace.
	onChange map[string][]func()

	failures    prometheus.Counter
	divergences prometheus.Counter
}

// published is what is known of a workspace. Its methods are safe for concurrent
// use.
type published struct {
	// behind is filled while the set is brought up to the store's; a mutex could
	// not be waited for with a context.
	behind  chan struct{}
	waiting atomic.Bool           // an updater's goroutine waits for behind
	index   atomic.Pointer[Index] // nil until the set was read
	damaged damaged               // guarded by behind
	stone   stone
}

// OnChange registers f to be called whenever a workspace's published set changes. f must not block.
func (p *Publisher) OnChange(workspace string, f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.onChange[workspace] = append(p.onChange[workspace], f)
}

// changed calls the functions registered by OnChange.
func (p *Publisher) changed(workspace string) {
	p.mu.RLock()
	registered := p.onChange[workspace]
	p.mu.RUnlock()
	for _, f := range registered {
		f()
	}
}

// reached reports whether the set that is shown has at least this version.
func (pub *published) reached(version uint64) bool {
	index := pub.index.Load()
	return index != nil && index.Set().Version() >= version
}

// enter waits until nobody else brings the set up to date.
func (pub *published) enter(ctx context.Context) (leave func(), err error) {
	select {
	case pub.behind <- struct{}{}:
		return func() { <-pub.behind }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// changesAtOnce bounds one read of the change log.
const changesAtOnce = 500

// NewPublisher makes a Publisher that has nothing until Load. Metrics may be nil.
func NewPublisher(s store.PublishedStore, metrics prometheus.Registerer) *Publisher {
	p := &Publisher{
		store: s, failing: logs.Failures{Level: slog.LevelError},
		sets: make(map[string]*published), onChange: make(map[string][]func()),
	}
	p.failures = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "burnkey_publish_failures_total",
		Help: "Failed attempts to bring the published sets up to date; the last good ones stay in use.",
	})
	p.divergences = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "burnkey_publish_divergences_total",
		Help: "Published sets that were found not to be the store's and were read anew. Each is a fault, here or in the database.",
	})
	if metrics != nil {
		metrics.MustRegister(p.failures, p.divergences, p)
	}
	return p
}

var (
	descWorkspaces = prometheus.NewDesc("burnkey_workspaces", "Workspaces whose sets are published.", nil, nil)
	descKeys       = prometheus.NewDesc("burnkey_published_keys", "Published keys, tombstones included.", nil, nil)
	descUnread     = prometheus.NewDesc("burnkey_workspaces_unread", "Workspaces whose sets could not be read since the start: they answer 503.", nil, nil)
	descAge        = prometheus.NewDesc("burnkey_publish_age_seconds", "Time since the published sets were last seen to be up to date; the greatest of all workspaces but the damaged.", nil, nil)
	descDamaged    = prometheus.NewDesc("burnkey_workspaces_damaged", "Workspaces whose sets can't be brought up to date, since they are damaged in the database: they are served as they last were, or with 503.", nil, nil)
)

// Describe is prometheus.Collector's.
func (p *Publisher) Describe(ch chan<- *prometheus.Desc) {
	ch <- descWorkspaces
	ch <- descKeys
	ch <- descUnread
	ch <- descAge
	ch <- descDamaged
}

// Collect is prometheus.Collector's.
func (p *Publisher) Collect(ch chan<- prometheus.Metric) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	sets, keys := make(map[string]*Set, len(p.sets)), 0 // one snapshot for all metrics
	for workspace := range p.sets {
		if set := p.setOf(workspace); set != nil {
			sets[workspace] = set
			keys += set.Len()
		}
	}
	unread := 0
	for workspace := range p.ages.late {
		if sets[workspace] == nil {
			unread++
		}
	}
	gauge := func(desc *prometheus.Desc, value float64) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value)
	}
	gauge(descWorkspaces, float64(len(sets)))
	gauge(descKeys, float64(keys))
	gauge(descUnread, float64(unread))
	gauge(descDamaged, float64(len(p.ages.damaged)))
	if oldest := p.oldest(func(workspace string) *Set { return sets[workspace] }); !oldest.IsZero() {
		gauge(descAge, time.Since(oldest).Seconds())
	}
}

// Set returns what a workspace publishes now; false if there is no workspace, or
// if it is Unread.
func (p *Publisher) Set(workspace string) (*Set, bool) {
	index, ok := p.Index(workspace)
	if !ok {
		return nil, false
	}
	return index.Set(), true
}

// Index returns what Set is taken from, to be watched.
func (p *Publisher) Index(workspace string) (*Index, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	pub := p.sets[workspace]
	if pub == nil {
		return nil, false
	}
	index := pub.index.Load()
	return index, index != nil
}

// Changes returns the changes behind a version as the store's log has them, at
// most limit. Errors are the store's, store.ErrCompacted among them.
func (p *Publisher) Changes(ctx context.Context, workspace string, after uint64, limit int) ([]jwks.Change, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return p.store.Changes(ctx, workspace, after, limit)
}

// entry returns what is known of a workspace, with nothing in it at first.
func (p *Publisher) entry(workspace string) *published {
	p.mu.RLock()
	pub := p.sets[workspace]
	p.mu.RUnlock()
	if pub != nil {
		return pub
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if pub = p.sets[workspace]; pub == nil {
		pub = &published{behind: make(chan struct{}, 1)}
		p.sets[workspace] = pub
	}
	return pub
}

// forget drops the entry of a workspace that is none.
func (p *Publisher) forget(workspace string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pub := p.sets[workspace]; pub != nil && pub.index.Load() == nil {
		delete(p.sets, workspace)
	}
}

// versions returns those of all sets that are shown.
func (p *Publisher) versions() map[string]uint64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	versions := make(map[string]uint64, len(p.sets))
	for workspace, pub := range p.sets {
		if index := pub.index.Load(); index != nil {
			versions[workspace] = index.Set().Version()
		}
	}
	return versions
}
