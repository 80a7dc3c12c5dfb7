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

// Publisher holds every workspace's published set in memory and updates it from the store: with this server's
// changes at once, and with other servers' changes while Follow runs. If a set can't be updated, its last
// version is served. A Publisher is safe for concurrent use, and its readers never wait for a database.
type Publisher struct {
	store store.PublishedStore

	mu   sync.RWMutex
	sets map[string]*published
	ages ages
	// onChange are the functions registered by OnChange, by workspace.
	onChange map[string][]func()
	feeds    map[*feedQueue]struct{} // of the readers of the feed

	failures    prometheus.Counter
	divergences prometheus.Counter
	failing     logs.Failures
}

// published is the state of one workspace. Its methods are safe for concurrent use.
type published struct {
	// updating is full while the set is being updated. It is not a mutex because waiting for it ends with a
	// context.
	updating  chan struct{}
	queued    atomic.Bool           // a goroutine of an updater waits for updating
	index     atomic.Pointer[Index] // nil until the set has been read
	damage    damage                // guarded by updating
	tombstone tombstone
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

// set returns the published set, or nil.
func (pub *published) set() *Set {
	if index := pub.index.Load(); index != nil {
		return index.Set()
	}
	return nil
}

// reached reports whether the published set has at least this version.
func (pub *published) reached(version uint64) bool {
	set := pub.set()
	return set != nil && set.Version() >= version
}

// changesAtOnce is the maximum length of one read of the change log.
const changesAtOnce = 500

// NewPublisher returns a Publisher without sets. Load and Follow read the sets. metrics can be nil.
func NewPublisher(s store.PublishedStore, metrics prometheus.Registerer) *Publisher {
	p := &Publisher{
		store: s, sets: make(map[string]*published), onChange: make(map[string][]func()),
		feeds: make(map[*feedQueue]struct{}), failing: logs.Failures{Level: slog.LevelError},
	}
	p.failures = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "burnkey_publish_failures_total",
		Help: "Failed attempts to update, check or compact the published sets; the last good sets stay in use.",
	})
	p.divergences = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "burnkey_publish_divergences_total",
		Help: "Published sets that differed from the database and were replaced. Each is a fault, here or in the database.",
	})
	if metrics != nil {
		metrics.MustRegister(p.failures, p.divergences, p)
	}
	return p
}

var (
	descWorkspaces = prometheus.NewDesc("burnkey_workspaces", "Workspaces whose sets are published.", nil, nil)
	descKeys       = prometheus.NewDesc("burnkey_published_keys", "Published keys, tombstones included.", nil, nil)
	descUnread     = prometheus.NewDesc("burnkey_workspaces_unread",
		"Workspaces whose sets could not be read since the start. They answer 503.", nil, nil)
	descAge = prometheus.NewDesc("burnkey_publish_age_seconds",
		"Time since all published sets were known to be up to date, except those of damaged workspaces.", nil, nil)
	descDamaged = prometheus.NewDesc("burnkey_workspaces_damaged",
		"Workspaces whose sets are damaged in the database and can't be updated. The last good set is served, or 503.", nil, nil)
)

// Describe implements prometheus.Collector.
func (p *Publisher) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{descWorkspaces, descKeys, descUnread, descAge, descDamaged} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
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
	for workspace := range p.ages.lagging {
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

// Set returns a workspace's published set, or false if the workspace is unknown or Unread.
func (p *Publisher) Set(workspace string) (*Set, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	set := p.setOf(workspace)
	return set, set != nil
}

// Index returns the Index of a workspace's published set; false if the workspace is unknown or Unread.
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

// Changes returns up to limit changes after a version from the store's log. It returns the errors of the
// store, such as store.ErrCompacted.
func (p *Publisher) Changes(ctx context.Context, workspace string, after uint64, limit int) ([]jwks.Change, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return p.store.Changes(ctx, workspace, after, limit)
}

// entry returns the state of a workspace, and creates an empty state if there is none.
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
		pub = &published{updating: make(chan struct{}, 1)}
		p.sets[workspace] = pub
	}
	return pub
}

// forget removes the state of a workspace that does not exist.
func (p *Publisher) forget(workspace string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pub := p.sets[workspace]; pub != nil && pub.index.Load() == nil {
		delete(p.sets, workspace)
	}
}

// versions returns the versions of all published sets.
func (p *Publisher) versions() map[string]uint64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	versions := make(map[string]uint64, len(p.sets))
	for workspace, pub := range p.sets {
		if set := pub.set(); set != nil {
			versions[workspace] = set.Version()
		}
	}
	return versions
}
