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
	// logsAtOnce and wholesAtOnce are how many workspaces are brought up to date at
	// once by their logs, and how many by reading their sets whole.
	logsAtOnce   = 4
	wholesAtOnce = 2
	// damagedPause is how long a set that was found to be damaged is not read again:
	// it may be large, and nobody mends it in a second.
	damagedPause = 15 * time.Second

	notUpToDate = "the published sets were not brought up to date"
)

// updater brings workspaces up to date for Follow, each in a goroutine of its own:
// one whose set is large, or damaged, holds up no other's changes.
type updater struct {
	*Publisher
	log    *slog.Logger
	loops  *sync.WaitGroup
	logs   chan struct{} // holds one of each that is under way
	wholes chan struct{}
}

func newUpdater(p *Publisher, loops *sync.WaitGroup, log *slog.Logger) *updater {
	return &updater{
		Publisher: p, log: log, loops: loops,
		logs: make(chan struct{}, logsAtOnce), wholes: make(chan struct{}, wholesAtOnce),
	}
}

// damaged is what a set was found to be.
type damaged struct {
	err   error
	until time.Time // when it is worth another look
}

func (f *updater) followHints(ctx context.Context, w *wakes) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.signal:
		}
		workspaces, all := w.take()
		if all {
			f.report(ctx, f.log, notUpToDate, "", f.look(ctx))
			continue
		}
		for workspace := range workspaces {
			f.start(ctx, workspace, func() error { return f.catchUp(ctx, workspace, 0) })
		}
	}
}

// look has all sets brought to the store's versions, and does not wait for it.
func (f *updater) look(ctx context.Context) error {
	behind, ahead, err := f.compareVersions(ctx)
	if err != nil {
		return err
	}
	for workspace, version := range behind {
		f.start(ctx, workspace, func() error { return f.catchUp(ctx, workspace, version) })
	}
	for workspace, version := range ahead {
		f.start(ctx, workspace, func() error { return f.goBack(ctx, workspace, version) })
	}
	return nil
}

// start has a workspace brought up to date once nobody else does so.
func (f *updater) start(ctx context.Context, workspace string, bring func() error) {
	pub := f.entry(workspace)
	if !pub.waiting.CompareAndSwap(false, true) {
		return // the one that waits has read nothing yet, and will see this change
	}
	f.loops.Go(func() {
		leave, err := pub.enter(ctx)
		pub.waiting.Store(false)
		if err != nil {
			return
		}
		defer leave()
		err = bring()
		if errors.Is(err, store.ErrNotFound) { // a hint that is another program's
			f.forget(workspace)
			err = nil
		}
		f.report(ctx, f.log, notUpToDate, workspace, err)
	})
}

// catchUp brings a set to the end of its log, and at least to a version.
func (f *updater) catchUp(ctx context.Context, workspace string, version uint64) error {
	pub := f.entry(workspace)
	if version > 0 && pub.reached(version) {
		return nil
	}
	reason := withPlace(ctx, f.logs, func() error { return f.byLog(ctx, workspace, version) })
	if !needsWhole(reason) {
		return reason
	}
	if time.Now().Before(pub.damaged.until) {
		return pub.damaged.err
	}
	err := withPlace(ctx, f.wholes, func() error { return f.whole(ctx, workspace, version, reason) })
	if errors.Is(err, store.ErrDamaged) {
		pub.damaged = damaged{err, time.Now().Add(damagedPause)}
	}
	return err
}

// goBack brings a set that is ahead of the store's version back to it.
func (f *updater) goBack(ctx context.Context, workspace string, version uint64) error {
	if !f.entry(workspace).reached(version + 1) {
		return nil
	}
	return withPlace(ctx, f.wholes, func() error { return f.Check(ctx, workspace) })
}

// withPlace calls f while it has one of places.
func withPlace(ctx context.Context, places chan struct{}, f func() error) error {
	select {
	case places <- struct{}{}:
		defer func() { <-places }()
		return f()
	case <-ctx.Done():
		return ctx.Err()
	}
}
