package authz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// Publisher keeps every workspace's published set in memory, at the version of
// the store: its own server's changes at once, others' as Follow finds them. A
// set that can't be brought up to date is served as it is. It is safe for
// concurrent use, and its readers never wait for a database.
type Publisher struct {
	store store.Store

	mu   sync.RWMutex
	sets map[string]*published
	// checked is when the store's versions were last all reached.
	checked time.Time
	told    map[complaint]time.Time

	failures    prometheus.Counter
	divergences prometheus.Counter
}

type published struct {
	// behind is filled while the set is read up from the store; a mutex could
	// not be waited for with a context.
	behind chan struct{}
	index  *jwks.Index
}

// changesAtOnce bounds one read of the change log.
const changesAtOnce = 500

// NewPublisher makes a Publisher that has nothing until Load. Metrics may be nil.
func NewPublisher(s store.Store, metrics prometheus.Registerer) *Publisher {
	p := &Publisher{store: s, sets: make(map[string]*published), told: make(map[complaint]time.Time)}
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
	descAge        = prometheus.NewDesc("burnkey_publish_age_seconds", "Time since the published sets were last seen to be up to date.", nil, nil)
)

// Describe is prometheus.Collector's.
func (p *Publisher) Describe(ch chan<- *prometheus.Desc) {
	ch <- descWorkspaces
	ch <- descKeys
	ch <- descAge
}

// Collect is prometheus.Collector's.
func (p *Publisher) Collect(ch chan<- prometheus.Metric) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	keys := 0
	for _, pub := range p.sets {
		keys += pub.index.Set().Len()
	}
	ch <- prometheus.MustNewConstMetric(descWorkspaces, prometheus.GaugeValue, float64(len(p.sets)))
	ch <- prometheus.MustNewConstMetric(descKeys, prometheus.GaugeValue, float64(keys))
	if !p.checked.IsZero() {
		ch <- prometheus.MustNewConstMetric(descAge, prometheus.GaugeValue, time.Since(p.checked).Seconds())
	}
}

// Age returns how long ago the published sets were known to be the store's. It
// is very long before the first Load.
func (p *Publisher) Age() time.Duration {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return time.Since(p.checked)
}

// Set returns what a workspace publishes now; false if there is no workspace.
func (p *Publisher) Set(workspace string) (*jwks.Set, bool) {
	pub := p.published(workspace)
	if pub == nil {
		return nil, false
	}
	return pub.index.Set(), true
}

// Index returns what Set is taken from, to be watched.
func (p *Publisher) Index(workspace string) (*jwks.Index, bool) {
	pub := p.published(workspace)
	if pub == nil {
		return nil, false
	}
	return pub.index, true
}

// Changes returns the changes behind a version as the store's log has them, at
// most limit. Errors are the store's, store.ErrCompacted among them.
func (p *Publisher) Changes(ctx context.Context, workspace string, after uint64, limit int) ([]jwks.Change, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return p.store.Changes(ctx, workspace, after, limit)
}

func (p *Publisher) published(workspace string) *published {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.sets[workspace]
}

// apply publishes a change that was just committed. Where an earlier one is
// still to come, it reads up to this one; where that fails, Follow will.
func (p *Publisher) apply(ctx context.Context, workspace string, c jwks.Change) {
	pub := p.published(workspace)
	if pub != nil && pub.index.Apply(c) == nil {
		return
	}
	if err := p.Reach(ctx, workspace, c.Version); err != nil {
		p.failures.Inc()
	}
}

// Reach returns nil once the set that is published has at least this version.
// Its errors are the store's, the context's, and that of a store which does not
// show this version; the set then stays a good one.
func (p *Publisher) Reach(ctx context.Context, workspace string, version uint64) error {
	pub := p.published(workspace)
	if pub == nil {
		return p.read(ctx, workspace, version)
	}
	if pub.index.Set().Version() >= version {
		return nil
	}
	select {
	case pub.behind <- struct{}{}:
		defer func() { <-pub.behind }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for pub.index.Set().Version() < version {
		n, err := p.readChanges(ctx, workspace, pub.index)
		if errors.Is(err, errDiverged) {
			err = p.readAnew(ctx, workspace, pub.index)
		} else if errors.Is(err, errAway) || err == nil && n == 0 {
			return p.read(ctx, workspace, version)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// catchUp brings a set to the store's version, whatever that is.
func (p *Publisher) catchUp(ctx context.Context, workspace string) error {
	pub := p.published(workspace)
	if pub == nil {
		return p.read(ctx, workspace, 0)
	}
	select {
	case pub.behind <- struct{}{}:
		defer func() { <-pub.behind }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		n, err := p.readChanges(ctx, workspace, pub.index)
		switch {
		case errors.Is(err, errDiverged):
			return p.readAnew(ctx, workspace, pub.index)
		case errors.Is(err, errAway):
			return p.read(ctx, workspace, pub.index.Set().Version())
		case err != nil || n < changesAtOnce:
			return err
		}
	}
}

// Why the log does not lead from the set that is published to the store's.
var (
	errAway     = errors.New("the change log does not reach back to the published set")
	errDiverged = errors.New("the change log does not fit the published set")
)

// readChanges reads one page of the log and returns how many new changes it had.
// It begins with the change that led to the published set: after a failover that
// lost a commit, or a restored backup, the same version may be another change's.
func (p *Publisher) readChanges(ctx context.Context, workspace string, index *jwks.Index) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	set := index.Set()
	from := set.Version()
	changes, err := p.store.Changes(ctx, workspace, max(from, 1)-1, changesAtOnce+1)
	switch {
	case errors.Is(err, store.ErrCompacted):
		return 0, errAway // no fault
	case err != nil:
		return 0, err
	}
	if len(changes) > 0 && changes[0].Version == from {
		if !endsWith(set, changes[0]) {
			p.divergences.Inc()
			return 0, errDiverged
		}
		changes = changes[1:]
	}
	for _, c := range changes {
		err := index.Apply(c)
		switch {
		case err == nil || index.Set().Version() >= c.Version:
		case errors.Is(err, jwks.ErrVersionGap):
			return 0, errAway
		default:
			p.divergences.Inc()
			return 0, errDiverged
		}
	}
	return len(changes), nil
}

// endsWith reports whether a change may have led to the set.
func endsWith(set *jwks.Set, c jwks.Change) bool {
	published := func(kid jwks.KID) bool { _, ok := set.Lookup(kid); return ok }
	return !slices.ContainsFunc(c.Remove, published) &&
		!slices.ContainsFunc(c.Add, func(key jwks.Key) bool { return !published(key.KID()) })
}

// read loads a whole set, which must have at least this version.
func (p *Publisher) read(ctx context.Context, workspace string, least uint64) error {
	set, err := p.readSet(ctx, workspace)
	if err != nil {
		return err
	}
	if set.Version() < least {
		return fmt.Errorf("read the set of %s: the store shows version %d, not yet %d", workspace, set.Version(), least)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if pub := p.sets[workspace]; pub != nil {
		pub.index.Replace(set)
	} else {
		p.sets[workspace] = &published{index: jwks.NewIndex(set), behind: make(chan struct{}, 1)}
	}
	return nil
}

func (p *Publisher) readSet(ctx context.Context, workspace string) (*jwks.Set, error) {
	var builder jwks.Builder
	version, err := p.store.Published(ctx, workspace, builder.Add)
	if err != nil {
		return nil, fmt.Errorf("read the set of %s: %w", workspace, err)
	}
	set, err := builder.Set(version)
	if err != nil {
		return nil, fmt.Errorf("read the set of %s: %w", workspace, err)
	}
	return set, nil
}
