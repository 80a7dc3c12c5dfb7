package authz

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/burnkey/burnkey/authz/turns"
	"github.com/burnkey/burnkey/internal/logs"
	"github.com/burnkey/burnkey/store"
)

const (
	// PageBytes is the approximate maximum of a page, in bytes as stored. A page has at least one item.
	PageBytes = 1 << 20
	// rowsATurn is how many records one turn examines, which takes about ten milliseconds.
	rowsATurn     = 5000
	searchTimeout = 5 * time.Second
	// readsWaiting bounds the reads that wait for a turn. callerReads bounds the reads of one caller that wait
	// or are being answered.
	readsWaiting = 512
	callerReads  = 16
	// answersAtOnce bounds the lists being answered. Workspaces whose lists are being answered share it
	// equally, but each can always have leastAnswers.
	answersAtOnce = 128
	leastAnswers  = 8
)

// CrowdedError means that a caller, a workspace or all callers together have too many lists and searches in progress.
type CrowdedError struct{ Reason string } // caller, workspace or queue

func (e *CrowdedError) Error() string { return "too many lists and searches are in progress" }

// reads divides the database's time and the memory for answers among lists and searches. Workspaces take turns,
// and so do the callers of each workspace. Each turn examines a limited number of records.
type reads struct {
	queue   *turns.Queue
	stands  func(context.Context) error // Standing of the store
	log     *slog.Logger
	refused *prometheus.CounterVec
	warned  logs.Throttle // by workspace

	mu         sync.Mutex
	requests   map[*call]struct{} // requests in the counts
	callers    map[string]int
	workspaces map[string]int
}

func newReads(atOnce int, what string, stands func(context.Context) error, log *slog.Logger, metrics prometheus.Registerer) *reads {
	create := promauto.With(metrics)
	r := &reads{
		stands: stands,
		queue:  turns.New(turns.Limits{AtOnce: atOnce, Waiting: readsWaiting, PerOwner: callerReads, PerCaller: 2 * callerReads}), log: log,
		requests: make(map[*call]struct{}), callers: make(map[string]int), workspaces: make(map[string]int),
		refused: create.NewCounterVec(prometheus.CounterOpts{
			Name: "burnkey_" + what + "_refused_total", Help: "Lists and searches refused because too many were in progress, by the " +
				"limit that was reached: caller, workspace or queue.",
		}, []string{"reason"}),
	}
	create.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "burnkey_" + what + "_waiting", Help: "Lists and searches that wait for their turn.",
	}, func() float64 { return float64(r.queue.Waiting()) })
	return r
}

func callerOf(ctx context.Context) string {
	who, _ := ctx.Value(accountKey{}).(account)
	return who.name
}

// turn waits for its turn and calls look, which must examine a limited number of records. It checks the
// caller's authority in the store, since a session that ends on another server does not end the context here.
// Errors: *CrowdedError, store.ErrNoAuthority, and the context's cause.
func (r *reads) turn(ctx context.Context, workspace string, look func() error) error {
	who := callerOf(ctx)
	var full *turns.FullError
	if err := r.queue.Acquire(ctx, turns.Asker{Workspace: workspace, Owner: who, Caller: who}); errors.As(err, &full) {
		reason := full.Reason
		if reason == turns.OwnerFull {
			reason = turns.CallerFull // callers are the owners of this queue
		}
		return r.refuse(workspace, reason)
	} else if err != nil {
		return err
	}
	defer r.queue.Release()
	if err := r.stands(ctx); err != nil {
		return err
	}
	return look()
}

// admit counts a request until its call is done, after the answer is sent. Errors: *CrowdedError.
func (r *reads) admit(ctx context.Context, workspace string) error {
	who := callerOf(ctx)
	own, _ := ctx.Value(callKey{}).(*call)
	if who == "" || own == nil {
		return nil
	}
	r.mu.Lock()
	_, counted := r.requests[own]
	reason := ""
	switch {
	case counted:
		r.mu.Unlock()
		return nil
	case r.callers[who] >= callerReads:
		reason = "caller"
	case r.workspaces[workspace] >= max(leastAnswers, answersAtOnce/max(1, len(r.workspaces))):
		reason = "workspace"
	default:
		r.requests[own] = struct{}{}
		r.callers[who]++
		r.workspaces[workspace]++
	}
	r.mu.Unlock()
	if reason != "" {
		return r.refuse(workspace, reason)
	}
	own.whenDone(func() { r.leave(own, who, workspace) })
	return nil
}

func (r *reads) leave(own *call, who, workspace string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.requests, own)
	if r.callers[who]--; r.callers[who] == 0 {
		delete(r.callers, who)
	}
	if r.workspaces[workspace]--; r.workspaces[workspace] == 0 {
		delete(r.workspaces, workspace)
	}
}

// refuse counts and logs a refused read.
func (r *reads) refuse(workspace, reason string) error {
	r.refused.WithLabelValues(reason).Inc()
	r.warned.For(r.log, workspace).Warn("lists and searches are refused: too many are in progress",
		"workspace", workspace, "reason", reason)
	return &CrowdedError{reason}
}

// page is the part of a list that was read, and the ID after which the list continues: the zero ID at the end.
type page[T any, ID comparable] struct {
	items []T
	next  ID
	bytes int
}

// pageOf reads one page in as many turns as necessary. Each call of read begins after an ID, and returns at
// most the given numbers of items and bytes. A search that takes too long returns what it has found so far.
// Errors: ErrTooSlow if it has found nothing, *CrowdedError.
func pageOf[T any, ID comparable](ctx context.Context, r *reads, workspace string, after ID, limit int, search bool,
	sizeOf func(*T) int, read func(ctx context.Context, after ID, limit, bytes int) ([]T, ID, error),
) (p page[T, ID], err error) {
	if err := r.admit(ctx, workspace); err != nil {
		return p, err
	}
	if search {
		limited, cancel := context.WithTimeoutCause(ctx, searchTimeout, ErrTooSlow)
		defer cancel()
		ctx = limited
	}
	var end ID
	for p.next = after; ; {
		err := r.turn(ctx, workspace, func() error {
			list, next, err := read(ctx, p.next, limit-len(p.items), PageBytes-p.bytes)
			if err != nil {
				return err
			}
			p.items, p.next = append(p.items, list...), next
			for i := range list {
				p.bytes += sizeOf(&list[i])
			}
			return nil
		})
		switch {
		case err != nil && ctx.Err() != nil && errors.Is(context.Cause(ctx), ErrTooSlow) && len(p.items) > 0:
			return p, nil
		case err != nil && ctx.Err() != nil:
			return p, context.Cause(ctx)
		case err != nil, p.next == end, len(p.items) >= limit, p.bytes >= PageBytes:
			return p, err
		}
	}
}

func sizeOfKey(k *store.Key) int {
	return 640 + len(k.Owner) + len(k.Name) + len(k.Claims) + len(k.Metadata) + sizeOfTexts(k.Scopes) + sizeOfTexts(k.Audience) +
		len(k.SuspendedReason) + len(k.Plan) + 48*(len(k.AllowedIPs)+len(k.Ceiling.AllowedIPs)) + 96*len(k.Limits) +
		sizeOfTexts(k.Ceiling.Scopes)
}

func sizeOfTexts(list []string) (n int) {
	for _, text := range list {
		n += len(text) + 3
	}
	return n
}

// keysIn reads a page of keys in turns that r gives.
func (s *Service) keysIn(ctx context.Context, r *reads, workspace string, f store.Filter) ([]store.Key, uuid.UUID, error) {
	f.Rows = rowsATurn
	p, err := pageOf(ctx, r, workspace, f.After, f.Limit, f.Narrows(), sizeOfKey,
		func(ctx context.Context, after uuid.UUID, limit, bytes int) ([]store.Key, uuid.UUID, error) {
			f := f
			f.After, f.Limit, f.Bytes = after, limit, bytes
			return s.store.Keys(ctx, workspace, f)
		})
	return p.items, p.next, err
}
