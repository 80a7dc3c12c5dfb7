package publish

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/burnkey/burnkey/store"
)

const (
	// logsAtOnce and setsAtOnce are how many workspaces are updated at the same time from their logs, and
	// how many by reading their sets.
	logsAtOnce = 4
	setsAtOnce = 2
	// damagedPause is how long a damaged set is not read again: it may be large, and is not repaired in a
	// second.
	damagedPause = 15 * time.Second

	cannotUpdate = "cannot update published sets"
)

// updater updates workspaces for Follow, each in a goroutine of its own, so that a set that is large or
// damaged does not delay others.
type updater struct {
	*Publisher
	log   *slog.Logger
	tasks *sync.WaitGroup
	logs  chan struct{} // an element for each log being read
	sets  chan struct{} // an element for each set being read
}

func newUpdater(p *Publisher, tasks *sync.WaitGroup, log *slog.Logger) *updater {
	return &updater{
		Publisher: p, log: log, tasks: tasks,
		logs: make(chan struct{}, logsAtOnce), sets: make(chan struct{}, setsAtOnce),
	}
}

// damage is why a set could not be read.
type damage struct {
	err   error
	until time.Time // when to read it again
}

func (u *updater) followHints(ctx context.Context, h *hints) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.some:
		}
		for workspace := range h.take() {
			u.start(ctx, workspace, func() error { return u.catchUp(ctx, workspace, 0) })
		}
	}
}

// updateAll starts to bring all sets to the store's versions.
func (u *updater) updateAll(ctx context.Context) error {
	older, newer, err := u.compareVersions(ctx)
	if err != nil {
		return err
	}
	for workspace, version := range older {
		u.start(ctx, workspace, func() error { return u.catchUp(ctx, workspace, version) })
	}
	for workspace, version := range newer {
		u.start(ctx, workspace, func() error { return u.goBack(ctx, workspace, version) })
	}
	return nil
}

// start runs update for a workspace once no other goroutine updates it.
func (u *updater) start(ctx context.Context, workspace string, update func() error) {
	pub := u.entry(workspace)
	if !pub.queued.CompareAndSwap(false, true) {
		return // the queued update has read nothing yet, and will find this change
	}
	u.tasks.Go(func() {
		leave, err := pub.enter(ctx)
		pub.queued.Store(false)
		if err != nil {
			return
		}
		defer leave()
		err = update()
		if errors.Is(err, store.ErrNotFound) { // another program's hint
			u.forget(workspace)
			err = nil
		}
		u.report(ctx, workspace, err)
	})
}

// report counts and logs whether a workspace could be updated.
func (u *updater) report(ctx context.Context, workspace string, err error) {
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		u.failures.Inc()
	}
	u.failing.Note(u.log.With("workspace", workspace), workspace, cannotUpdate, err)
}

// catchUp brings a set to the end of its log, and at least to a version.
func (u *updater) catchUp(ctx context.Context, workspace string, version uint64) error {
	pub := u.entry(workspace)
	if version > 0 && pub.reached(version) {
		return nil
	}
	reason := withPlace(ctx, u.logs, func() error { return u.applyLog(ctx, workspace, version) })
	if !needsSet(reason) {
		return reason
	}
	if time.Now().Before(pub.damage.until) {
		return pub.damage.err
	}
	err := withPlace(ctx, u.sets, func() error { return u.reload(ctx, workspace, version, reason) })
	if errors.Is(err, store.ErrDamaged) {
		pub.damage = damage{err, time.Now().Add(damagedPause)}
	}
	return err
}

// goBack brings a set that is newer than the store's version back to it.
func (u *updater) goBack(ctx context.Context, workspace string, version uint64) error {
	if !u.entry(workspace).reached(version + 1) {
		return nil
	}
	return withPlace(ctx, u.sets, func() error { return u.Check(ctx, workspace) })
}

// withPlace calls f while it occupies one of places.
func withPlace(ctx context.Context, places chan struct{}, f func() error) error {
	select {
	case places <- struct{}{}:
		defer func() { <-places }()
		return f()
	case <-ctx.Done():
		return ctx.Err()
	}
}
