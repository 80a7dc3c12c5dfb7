package authz

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/burnkey/burnkey/internal/loop"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// ReapOptions of Reap.
type ReapOptions struct {
	// Every is the longest interval between searches for due keys: other servers can change when a key is due.
	// Default 500 ms.
	Every time.Duration
	// PruneEvery is the interval at which ended sessions are deleted. Default 10 min.
	PruneEvery time.Duration
	Log        *slog.Logger // nil: none
	Metrics    prometheus.Registerer
}

const (
	reapEvery  = 500 * time.Millisecond
	pruneEvery = 10 * time.Minute
	// dueAtOnce bounds the due keys that one query returns and that one version removes from a set. Such a
	// change has 23 KB in the stream, whose readers accept 1 MiB.
	dueAtOnce = 500
)

// Reap removes keys from their sets when their grace or lifetime ends, until the context ends. If several
// servers run on one database, the first server to find a due key removes it.
func (s *Service) Reap(ctx context.Context, o ReapOptions) {
	o.Every = cmp.Or(o.Every, reapEvery)
	o.PruneEvery = cmp.Or(o.PruneEvery, pruneEvery)
	promauto.With(o.Metrics).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "burnkey_reap_lag_seconds", Help: "How long ago the oldest due key should have left its set; 0: no key is due.",
	}, func() float64 { return s.reapLag().Seconds() })
	var pruning sync.WaitGroup
	defer pruning.Wait()
	pruning.Go(func() { s.prune(ctx, o) }) // in parallel, since deleting many takes long
	var next time.Time
	reaping := loop.Loop{
		Every: o.Every, Wake: s.due, Log: o.Log, Level: slog.LevelError,
		Failure: "cannot remove expired keys from their sets; trying again",
		Next: func() time.Duration {
			if next.IsZero() {
				return o.Every
			}
			return max(0, min(o.Every, next.Sub(s.Now())))
		},
	}
	reaping.Run(ctx, func(ctx context.Context) (err error) {
		next, err = s.ReapDue(ctx)
		return err
	})
}

func (s *Service) prune(ctx context.Context, o ReapOptions) {
	pruning := loop.Loop{
		Every: o.PruneEvery, WaitFirst: true, Log: o.Log, Level: slog.LevelWarn, Failure: "cannot delete ended sessions",
	}
	pruning.Run(ctx, func(ctx context.Context) error { return s.store.PruneSessions(ctx, s.Now()) })
}

// reapLag returns how long the oldest due key is overdue, according to the last successful query: while the
// database does not answer, it grows.
func (s *Service) reapLag() time.Duration {
	next := s.nextDue.Load()
	if next == nil || next.IsZero() {
		return 0
	}
	return max(0, s.Now().Sub(*next))
}

// wakeReaper makes Reap query again at once, since a key may now be due earlier than all others.
func (s *Service) wakeReaper() {
	select {
	case s.due <- struct{}{}:
	default:
	}
}

// ReapDue removes every key whose grace or lifetime is over from its set. It returns when the next key is due:
// the zero time if there is none, and a time in the past if a key could not be removed.
func (s *Service) ReapDue(ctx context.Context) (next time.Time, err error) {
	var errs []error
	var after store.DuePlace
	until := s.Now()
	for {
		due, err := s.store.Due(ctx, after, until, dueAtOnce)
		if err != nil {
			errs = append(errs, err)
			break
		}
		if len(due) > 0 && errors.Join(errs...) == nil {
			at := due[0].At
			s.nextDue.Store(&at)
		}
		errs = append(errs, s.retireAll(ctx, due))
		if len(due) < dueAtOnce || ctx.Err() != nil {
			break
		}
		after = due[len(due)-1] // even if it could not be retired
	}
	if next, err = s.store.NextDue(ctx); err == nil {
		s.nextDue.Store(&next)
	}
	return next, errors.Join(append(errs, err)...)
}

// retireAll removes keys from their sets, workspace by workspace, the workspace with the oldest due key first.
func (s *Service) retireAll(ctx context.Context, due []store.DuePlace) error {
	var (
		workspaces []string
		ids        = make(map[string][]uuid.UUID)
		errs       []error
	)
	for _, d := range due {
		if ids[d.Workspace] == nil {
			workspaces = append(workspaces, d.Workspace)
		}
		ids[d.Workspace] = append(ids[d.Workspace], d.ID)
	}
	for _, workspace := range workspaces {
		if ctx.Err() != nil {
			break
		}
		errs = append(errs, s.retireOf(ctx, workspace, ids[workspace]))
	}
	return errors.Join(errs...)
}

// retireOf removes keys of one workspace. If a key is corrupt, it tries key by key, to remove the others.
func (s *Service) retireOf(ctx context.Context, workspace string, ids []uuid.UUID) error {
	err := s.retire(ctx, workspace, ids)
	if !errors.Is(err, store.ErrDamaged) || len(ids) == 1 {
		return err
	}
	var errs []error
	for _, id := range ids {
		if ctx.Err() != nil {
			break
		}
		if err := s.retire(ctx, workspace, []uuid.UUID{id}); err != nil {
			errs = append(errs, fmt.Errorf("key %s: %w", id, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Service) retire(ctx context.Context, workspace string, ids []uuid.UUID) error {
	ctx, cancel := settle(ctx)
	defer cancel()
	keys, err := s.store.Retire(ctx, workspace, ids, s.Now())
	if err != nil {
		return fmt.Errorf("in workspace %s: %w", workspace, err)
	}
	if len(keys) == 0 {
		return nil // another server was first, and Follow reads its change
	}
	change := jwks.Change{Version: keys[0].Removed()}
	for _, k := range keys {
		if k.SuspendedAt.IsZero() {
			change.Remove = append(change.Remove, k.KID)
		}
	}
	s.publisher.Apply(ctx, workspace, change)
	return nil
}
