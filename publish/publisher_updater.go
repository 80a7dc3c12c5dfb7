package publish

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/burnkey/burnkey/internal/loop"
	"github.com/burnkey/burnkey/store"
)

const (
	// logsAtOnce bounds the workspaces that are updated from their logs at the same time, and setsAtOnce
	// the workspaces whose whole sets are read.
	logsAtOnce = 4
	setsAtOnce = 2
	// damagedPause is the time before a damaged set is read again: it can be large, and a repair takes longer.
	damagedPause = 15 * time.Second

	cannotUpdate = "cannot update published sets"
)

// updater updates workspaces for Follow. Each update runs in a separate goroutine, so that a large or
// damaged set does not delay others.
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

// damage describes a set that could not be read, and why.
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

// start runs update in a goroutine once no other goroutine updates the workspace.
func (u *updater) start(ctx context.Context, workspace string, update func() error) {
	pub := u.entry(workspace)
	if !pub.queued.CompareAndSwap(false, true) {
		return // the queued update has read nothing yet, and will find this change
	}
	u.tasks.Go(func() {
		err := withPlace(ctx, pub.updating, func() error {
			pub.queued.Store(false)
			err := update()
			if errors.Is(err, store.ErrNotFound) { // another program's hint
				u.forget(workspace)
				return nil
			}
			return err
		})
		if ctx.Err() != nil {
			pub.queued.Store(false)
			return
		}
		u.report(workspace, err)
	})
}

// report counts and logs whether a workspace could be updated.
func (u *updater) report(workspace string, err error) {
	if err != nil {
		u.failures.Inc()
	}
	u.failing.Note(u.log.With("workspace", workspace), workspace, cannotUpdate, err)
}

// catchUp brings a set to the end of its log, and at least to the given version.
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

// goBack replaces a set that is newer than the store's version by the set in the store.
func (u *updater) goBack(ctx context.Context, workspace string, version uint64) error {
	if !u.entry(workspace).reached(version + 1) {
		return nil
	}
	return withPlace(ctx, u.sets, func() error { return u.Check(ctx, workspace) })
}

// withPlace calls f while it occupies a place in places.
func withPlace(ctx context.Context, places chan struct{}, f func() error) error {
	select {
	case places <- struct{}{}:
		defer func() { <-places }()
		return f()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rewatch and rewatchMax are the shortest and the longest wait before a failed Watch is started again.
// Meanwhile Follow still polls the versions.
const (
	rewatch    = time.Second
	rewatchMax = 5 * time.Second
)

// hints collects the store's hints until Follow handles them.
type hints struct {
	mu         sync.Mutex
	workspaces map[string]struct{}
	some       chan struct{} // workspaces is not empty
	all        chan struct{} // any workspace may have changed
}

func newHints() *hints {
	return &hints{workspaces: make(map[string]struct{}), some: make(chan struct{}, 1), all: make(chan struct{}, 1)}
}

func (h *hints) add(workspace string) {
	if workspace == "" {
		signal(h.all)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.workspaces[workspace] = struct{}{}
	signal(h.some)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // not yet received
	}
}

func (h *hints) take() map[string]struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	taken := h.workspaces
	h.workspaces = make(map[string]struct{})
	return taken
}

// watch receives the store's hints until the context ends.
func (p *Publisher) watch(ctx context.Context, h *hints, log *slog.Logger) {
	loop.Loop{
		Every: rewatch, Backoff: loop.Backoff{First: rewatch, Max: rewatchMax},
		Failure: "lost the store's hints; polling its versions", Level: slog.LevelWarn, Log: log,
	}.Run(ctx, func(ctx context.Context) error { return p.store.Watch(ctx, h.add) })
}
