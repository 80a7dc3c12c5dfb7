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
	// readTimeout bounds a read of versions or of one page of changes: a database
	// that went silent must not be waited for while another answers.
	readTimeout = 10 * time.Second
	// keptChanges is how many changes a workspace's log keeps at least. It keeps
	// as many as the set has keys: beyond that, the set is the shorter way.
	keptChanges = 10000
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

// ErrPartly: some workspaces' sets could not be brought up to date. All others were.
var ErrPartly = errors.New("not all published sets were brought up to date")

// Load reads what the store has and this Publisher has not, and waits for it.
// Errors: ErrPartly; else, nothing was read.
func (p *Publisher) Load(ctx context.Context) error {
	behind, ahead, err := p.compareVersions(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for workspace, version := range behind {
		if err := p.Reach(ctx, workspace, version); err != nil {
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			return errors.Join(errs...)
		}
	}
	for workspace := range ahead {
		errs = append(errs, p.Check(ctx, workspace))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w: %w", ErrPartly, err)
	}
	return nil
}

// compareVersions returns the store's versions that sets are behind, and those
// that sets are ahead of: these are of a database that was put back to an earlier
// state. All other sets are the store's.
func (p *Publisher) compareVersions(ctx context.Context) (behind, ahead map[string]uint64, err error) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	// Taken before the store is asked, since its changes are published meanwhile.
	ours := p.versions()
	behind, ahead = make(map[string]uint64), make(map[string]uint64)
	err = p.store.Versions(ctx, func(workspace string, version uint64, _ jwks.Fingerprint) error {
		switch have, ok := ours[workspace]; {
		case !ok || have < version:
			behind[workspace] = version
		case have > version:
			ahead[workspace] = version
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	p.note(start, behind, ahead)
	return behind, ahead, nil
}

// Follow keeps the published sets current until the context ends: it looks when
// the store hints at another process's change, and at intervals in any case. What
// fails is logged, counted and tried again.
func (p *Publisher) Follow(ctx context.Context, o FollowOptions) {
	w := &wakes{signal: make(chan struct{}, 1)}
	var loops sync.WaitGroup
	defer loops.Wait()
	f := newUpdater(p, &loops, o.Log)
	loops.Go(func() { p.watch(ctx, w, o.Log) })
	loops.Go(func() { f.followHints(ctx, w) })
	loops.Go(func() { p.learnTombstones(ctx) })
	repeat := func(every time.Duration, what string, f func(context.Context) error) {
		if every > 0 {
			loops.Go(func() { p.repeat(ctx, every, o.Log, what, f) })
		}
	}
	repeat(o.Every, notUpToDate, f.look)
	repeat(o.CheckEvery, "the published sets were not compared with the store's", p.checkAll)
	repeat(o.CompactEvery, "the change logs were not compacted", p.compactAll)
}

func (p *Publisher) repeat(ctx context.Context, every time.Duration, log *slog.Logger, failure string, f func(context.Context) error) {
	loop.Loop{Every: every, WaitFirst: true}.Run(ctx, func(ctx context.Context) error {
		err := f(ctx)
		p.report(ctx, log, failure, "", err)
		return err
	})
}

// report counts a failure, and logs it when it begins, while it lasts and when it is over.
func (p *Publisher) report(ctx context.Context, log *slog.Logger, failure, workspace string, err error) {
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		p.failures.Inc()
	}
	if workspace != "" {
		log = log.With("workspace", workspace)
	}
	p.failing.Note(log, workspace, failure, err)
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
	set, ok := p.Set(workspace)
	if !ok {
		return nil
	}
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
