package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/burnkey/burnkey/internal/loop"
	"github.com/burnkey/burnkey/jwks"
)

const (
	// readTimeout bounds one read of versions or changes, so that a database that no longer responds is
	// given up while another can respond.
	readTimeout = 10 * time.Second
	// keptChanges is the minimum number of changes that compaction leaves in a log. If the set has more
	// keys than that, it leaves as many changes as keys: a follower that lags even more is faster if it
	// fetches the set.
	keptChanges = 10000
)

// FollowOptions are the intervals of Follow.
type FollowOptions struct {
	// Every is the interval at which the store's versions are read, in case hints were lost.
	Every time.Duration
	// CheckEvery is the interval of comparing the published sets with the store's fingerprints; never if 0.
	CheckEvery time.Duration
	// CompactEvery is the interval at which the change logs are compacted; never if 0.
	CompactEvery time.Duration
	Log          *slog.Logger
}

// ErrPartly means that the sets of some workspaces could not be updated. All other sets were updated.
var ErrPartly = errors.New("some published sets could not be updated")

// Load updates all sets from the store. ErrPartly means that some sets failed, any other error that no set was
// read.
func (p *Publisher) Load(ctx context.Context) error {
	older, newer, err := p.compareVersions(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for workspace, version := range older {
		if err := p.Reach(ctx, workspace, version); err != nil {
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			return errors.Join(errs...)
		}
	}
	for workspace := range newer {
		errs = append(errs, p.Check(ctx, workspace))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w: %w", ErrPartly, err)
	}
	return nil
}

// compareVersions returns the store's versions of two groups of workspaces: those whose published sets are
// older, and those whose published sets are newer because the database was restored to an earlier state.
func (p *Publisher) compareVersions(ctx context.Context) (older, newer map[string]uint64, err error) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	older, newer = make(map[string]uint64), make(map[string]uint64)
	err = p.store.Versions(ctx, func(workspace string, version uint64, _ jwks.Fingerprint) error {
		switch set, ok := p.Set(workspace); {
		case !ok || set.Version() < version:
			older[workspace] = version
		case set.Version() > version:
			newer[workspace] = set.Version()
		}
		return nil
	})
	if err == nil && len(newer) > 0 {
		newer, err = p.stillNewer(ctx, newer)
	}
	if err != nil {
		return nil, nil, err
	}
	p.noteVersions(start, older, newer)
	return older, newer, nil
}

// stillNewer returns the store's versions of those workspaces whose published sets, at the given versions, are newer. The
// other sets were published while the store was read before.
func (p *Publisher) stillNewer(ctx context.Context, published map[string]uint64) (newer map[string]uint64, err error) {
	newer = make(map[string]uint64)
	err = p.store.Versions(ctx, func(workspace string, version uint64, _ jwks.Fingerprint) error {
		if published[workspace] > version {
			newer[workspace] = version
		}
		return nil
	})
	return newer, err
}

// Follow keeps the published sets up to date until the context ends: it follows the store's hints, and also
// reads the store's versions at an interval. Failures are logged, counted and retried.
func (p *Publisher) Follow(ctx context.Context, o FollowOptions) {
	hints := newHints()
	var tasks sync.WaitGroup
	defer tasks.Wait()
	u := newUpdater(p, &tasks, o.Log)
	tasks.Go(func() { p.watch(ctx, hints, o.Log) })
	tasks.Go(func() { u.followHints(ctx, hints) })
	tasks.Go(func() { p.learnTombstones(ctx) })
	repeat := func(l loop.Loop, f func(context.Context) error) {
		if l.Every <= 0 {
			return
		}
		l.WaitFirst, l.Level, l.Log = true, slog.LevelError, o.Log
		tasks.Go(func() { l.Run(ctx, p.counted(f)) })
	}
	repeat(loop.Loop{Every: o.Every, Wake: hints.all, Failure: cannotUpdate}, u.updateAll)
	repeat(loop.Loop{Every: o.CheckEvery, Failure: "the check of published sets against the database failed"}, p.checkAll)
	repeat(loop.Loop{Every: o.CompactEvery, Failure: "cannot compact change logs"}, p.compactAll)
}

// counted returns f with its failures counted.
func (p *Publisher) counted(f func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		err := f(ctx)
		if err != nil && ctx.Err() == nil {
			p.failures.Inc()
		}
		return err
	}
}

// compactAll removes changes from the logs that no follower needs. Every server runs it.
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
	set, ok := p.Set(workspace)
	if !ok {
		return nil
	}
	kept := uint64(max(keptChanges, set.entries()))
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
