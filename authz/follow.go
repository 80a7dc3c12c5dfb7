package authz

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// readTimeout bounds a read of versions or of one page of changes: a database
	// that went silent must not be waited for while another answers.
	readTimeout = 10 * time.Second
	// keptChanges is how many changes a workspace's log keeps at least. It keeps
	// as many as the set has keys: beyond that, the set is the shorter way.
	keptChanges = 10000
	// rewatchMax is the longest pause before a lost Watch is begun again; Follow
	// looks by itself meanwhile.
	rewatchMax = 5 * time.Second
)

// FollowOptions say how often a Publisher does what.
type FollowOptions struct {
	// Every is how soon a change of another process's is seen when the store's
	// hint was lost.
	Every time.Duration
	// CheckEvery is the time between two comparisons of every published set with
	// all that the store has. 0: never.
	CheckEvery time.Duration
	// CompactEvery is the time between two compactions of the change logs. 0: never.
	CompactEvery time.Duration
	Log          *slog.Logger
}

// Load reads what the store has and this Publisher has not.
func (p *Publisher) Load(ctx context.Context) error {
	start := time.Now()
	behind, rewound, err := p.compareVersions(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for workspace, version := range behind {
		// One tenant's damaged set must not hold up the others' revocations.
		if err := p.Reach(ctx, workspace, version); err != nil {
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	for _, workspace := range rewound {
		errs = append(errs, p.Check(ctx, workspace))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	p.mu.Lock()
	p.checked = start
	p.mu.Unlock()
	return nil
}

// compareVersions returns which sets are behind the store's versions, and which
// are ahead of them: those of a database that was put back to an earlier state.
func (p *Publisher) compareVersions(ctx context.Context) (behind map[string]uint64, rewound []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	// Taken before the store is asked, since its changes are published meanwhile.
	ours := p.versions()
	behind = make(map[string]uint64)
	err = p.store.Versions(ctx, func(workspace string, version uint64) error {
		switch have, ok := ours[workspace]; {
		case !ok || have < version:
			behind[workspace] = version
		case have > version:
			rewound = append(rewound, workspace)
		}
		return nil
	})
	return behind, rewound, err
}

func (p *Publisher) versions() map[string]uint64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	versions := make(map[string]uint64, len(p.sets))
	for workspace, pub := range p.sets {
		versions[workspace] = pub.index.Set().Version()
	}
	return versions
}

// Follow keeps the published sets current until the context ends: it looks when
// the store hints at another process's change, and at intervals in any case. What
// fails is logged, counted and tried again.
func (p *Publisher) Follow(ctx context.Context, o FollowOptions) {
	w := &wakes{signal: make(chan struct{}, 1)}
	var loops sync.WaitGroup
	defer loops.Wait()
	loops.Go(func() { p.watch(ctx, w, o.Log) })
	// Apart, so that a large set which is read whole holds up no other's changes.
	loops.Go(func() { p.followHints(ctx, w, o.Log) })
	repeat := func(every time.Duration, what string, f func(context.Context) error) {
		if every > 0 {
			loops.Go(func() { p.repeat(ctx, every, o.Log, what, f) })
		}
	}
	repeat(o.Every, "the published sets were not brought up to date", p.Load)
	repeat(o.CheckEvery, "the published sets were not compared with the store's", p.checkAll)
	repeat(o.CompactEvery, "the change logs were not compacted", p.compactAll)
}

func (p *Publisher) repeat(ctx context.Context, every time.Duration, log *slog.Logger, failure string, f func(context.Context) error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.report(ctx, log, failure, "", f(ctx))
		}
	}
}

// tellAgain is how long a failure that goes on is not told of again.
const tellAgain = time.Minute

// complaint is a failure that was told of.
type complaint struct{ failure, workspace string }

// report counts a failure, and logs it when it begins, while it lasts, and once it
// is over.
func (p *Publisher) report(ctx context.Context, log *slog.Logger, failure, workspace string, err error) {
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		p.failures.Inc()
	}
	if !p.tell(complaint{failure, workspace}, err != nil) {
		return
	}
	if workspace != "" {
		log = log.With("workspace", workspace)
	}
	if err != nil {
		log.Error(failure, "error", err)
	} else {
		log.Info("it is over: " + failure)
	}
}

// tell reports whether a failure, or its end, is to be told of.
func (p *Publisher) tell(c complaint, fails bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	last, told := p.told[c]
	switch {
	case !fails:
		delete(p.told, c)
		return told
	case told && time.Since(last) < tellAgain:
		return false
	}
	p.told[c] = time.Now()
	return true
}

// wakes collects the hints that are not followed yet.
type wakes struct {
	mu         sync.Mutex
	workspaces map[string]struct{}
	all        bool
	signal     chan struct{}
}

func (w *wakes) add(workspace string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if workspace == "" {
		w.all = true
	} else {
		if w.workspaces == nil {
			w.workspaces = make(map[string]struct{})
		}
		w.workspaces[workspace] = struct{}{}
	}
	select {
	case w.signal <- struct{}{}:
	default: // it was given and not yet taken
	}
}

func (w *wakes) take() (workspaces map[string]struct{}, all bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	workspaces, all = w.workspaces, w.all
	w.workspaces, w.all = nil, false
	return workspaces, all
}

// watch has the store call for a look, again whenever it stops doing so.
func (p *Publisher) watch(ctx context.Context, w *wakes, log *slog.Logger) {
	pause := backoff.NewExponentialBackOff()
	pause.MaxInterval = rewatchMax
	for ctx.Err() == nil {
		began := time.Now()
		err := p.store.Watch(ctx, w.add)
		if ctx.Err() != nil {
			return
		}
		const failure = "the store's hints are lost for a moment; its versions are polled"
		if time.Since(began) > rewatchMax {
			pause.Reset()
			p.tell(complaint{failure: failure}, false)
		}
		if p.tell(complaint{failure: failure}, true) {
			log.Warn(failure, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause.NextBackOff()):
		}
	}
}

func (p *Publisher) followHints(ctx context.Context, w *wakes, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.signal:
		}
		workspaces, all := w.take()
		const failure = "the published sets were not brought up to date"
		if all {
			p.report(ctx, log, failure, "", p.Load(ctx))
			continue
		}
		for workspace := range workspaces {
			p.report(ctx, log, failure, workspace, p.catchUp(ctx, workspace))
		}
	}
}

// compactAll drops from the logs what nobody needs who is not better served by
// the set itself. Every server does so; it does not matter who comes first.
func (p *Publisher) compactAll(ctx context.Context) error {
	var errs []error
	for workspace := range p.versions() {
		if ctx.Err() != nil {
			break
		}
		errs = append(errs, p.compact(ctx, workspace))
	}
	return errors.Join(errs...)
}

func (p *Publisher) compact(ctx context.Context, workspace string) error {
	set := p.published(workspace).index.Set()
	kept := uint64(max(keptChanges, set.Len()))
	if set.Version() <= kept {
		return nil
	}
	for more := true; more; {
		var err error
		if more, err = p.store.Compact(ctx, workspace, set.Version()-kept); err != nil {
			return fmt.Errorf("compact the log of %s: %w", workspace, err)
		}
	}
	return nil
}
