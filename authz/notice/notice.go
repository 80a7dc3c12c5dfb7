// Package notice notifies webhooks about keys that expire soon, and about requests for plans and scopes.
package notice

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/burnkey/burnkey/internal/logs"
	"github.com/burnkey/burnkey/internal/loop"
	"github.com/burnkey/burnkey/store"
)

// Sender posts a message to a URL. *webhook.Client implements it. A message keeps its id when it is sent again;
// at is the time of this attempt. Errors are logged, so they must contain neither the URL nor an address.
type Sender interface {
	Send(ctx context.Context, url, id string, at time.Time, body []byte) error
}

// Store is the part of store.Store that a notifier needs.
type Store interface {
	Due(ctx context.Context, after store.DuePlace, until time.Time, limit int) ([]store.DuePlace, error)
	Key(ctx context.Context, workspace string, id uuid.UUID) (store.Key, error)
	Workspace(ctx context.Context, id string) (store.Workspace, error)
	Audit(ctx context.Context, workspace string, f store.AuditFilter) ([]store.Entry, uuid.UUID, error)
	Record(ctx context.Context, e store.Entry) error
	Request(ctx context.Context, workspace string, id uuid.UUID) (store.Request, error)
	UnsentRequests(ctx context.Context, workspace string, id uuid.UUID, limit int) ([]store.Request, error)
	RequestSent(ctx context.Context, workspace string, id uuid.UUID, event string) error
}

// Options of Run. Store, Sender and Now are required.
type Options struct {
	Store  Store
	Sender Sender
	Now    func() time.Time
	// Every is the interval between searches for keys that expire soon and for new requests. Default 1 min.
	Every time.Duration
	// Pause is the wait after a failed delivery; it doubles up to 15 min. Default 5 s.
	Pause   time.Duration
	Log     *slog.Logger // nil: none
	Metrics prometheus.Registerer
}

const (
	day = 24 * time.Hour
	// noticeBack is how far the first search looks back, for notices that became due while no server ran.
	noticeBack = day
	// noticeFor is how long after its due time a notice is still tried.
	noticeFor = 2 * day

	noticeEvery    = time.Minute
	noticePause    = 5 * time.Second
	noticePauseMax = 15 * time.Minute
	// noticesAtOnce bounds the posts in progress of all workspaces together. Each workspace has at most one.
	noticesAtOnce = 32
	// noticesWaiting bounds a workspace's queue. A later search finds the notices that did not fit.
	noticesWaiting = 256
	// dueAtOnce bounds the keys that one query returns.
	dueAtOnce = 500
)

// noticeDays are the days before a key's expiry at which a notice is due, in descending order.
var noticeDays = []int{14, 7, 1}

// Run notifies each workspace's webhook 14, 7 and 1 day before an active key expires, until the context ends.
// Each notice is recorded in the audit as ActionKeyNotice; without a webhook it is only recorded. A key that
// lives for 14 days or less, for example, has no notice 14 days before its expiry. A rotated key has no
// notices.
//
// A notice is sent at least once, if its receiver accepts it within two days. Because of restarts, or of
// several servers on one database, it can be sent twice, with the same message id. This is rare, since the
// audit is checked before sending.
//
// Each request for a plan or scopes, and its decision, is sent in the same way. Whether it was sent is recorded in
// the request.
func Run(ctx context.Context, o Options) {
	o.Every = cmp.Or(o.Every, noticeEvery)
	o.Pause = cmp.Or(o.Pause, noticePause)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	n := newNotifier(o)
	defer n.running.Wait()
	loop.Loop{
		Every: o.Every, Wake: n.room, Log: o.Log, Level: slog.LevelError,
		Failure: "cannot look for keys that expire soon or for requests; trying again",
		Jitter:  0.5, // so that servers that start together do not search at the same time
	}.Run(ctx, n.look)
}

// notifier is the state of one Run.
type notifier struct {
	o       Options
	results *prometheus.CounterVec
	posts   chan struct{} // holds one element for each post in progress
	room    chan struct{} // wakes Run when the queue of a workspace that overflowed is empty
	since   time.Time     // notices due before this time were seen
	running sync.WaitGroup
	failing logs.Failures // of deliveries, by workspace

	mu    sync.Mutex
	lanes map[string]*lane // of workspaces with waiting notices
	// overflowed has the workspaces whose queue was full, each with the time from which to search again.
	overflowed map[string]time.Time
}

func newNotifier(o Options) *notifier {
	n := &notifier{
		o: o, posts: make(chan struct{}, noticesAtOnce), room: make(chan struct{}, 1), since: o.Now().Add(-noticeBack),
		failing: logs.Failures{Level: slog.LevelWarn}, lanes: make(map[string]*lane), overflowed: make(map[string]time.Time),
		results: promauto.With(o.Metrics).NewCounterVec(prometheus.CounterOpts{
			Name: "burnkey_notices_total",
			Help: "Notices of keys that expire soon and of requests: sent to a webhook; recorded only, without a webhook; failed and " +
				"tried again; given_up; void, because the key is no longer active.",
		}, []string{"result"}),
	}
	for _, result := range noticeResults {
		n.results.WithLabelValues(string(result))
	}
	return n
}

// look queues the notices that became due since the last call, and the events of requests.
func (n *notifier) look(ctx context.Context) error {
	if err := n.lookForRequests(ctx); err != nil {
		return err
	}
	now := n.o.Now()
	if now.After(n.since) { // the clock may be set back
		if err := n.scan(ctx, n.since, now, ""); err != nil {
			return err
		}
		n.since = now
	}
	for workspace, from := range n.ready() {
		if err := n.scan(ctx, from, n.since, workspace); err != nil {
			n.wait(workspace, from)
			return err
		}
	}
	return nil
}

// scan queues the notices that were due between two times, of one workspace or, with "", of all.
func (n *notifier) scan(ctx context.Context, from, until time.Time, workspace string) error {
	for _, days := range noticeDays {
		span := time.Duration(days) * day
		after := store.DuePlace{At: from.Add(span)}
		for {
			due, err := n.o.Store.Due(ctx, after, until.Add(span), dueAtOnce)
			if err != nil {
				return err
			}
			for i := range due {
				if workspace != "" && due[i].Workspace != workspace {
					continue
				}
				if err := n.consider(ctx, due[i], days); err != nil {
					return err
				}
			}
			if len(due) < dueAtOnce {
				break
			}
			after = due[len(due)-1]
		}
	}
	return nil
}

// consider queues a key's notice if it is due and not yet recorded. For a corrupt key, it only logs an error,
// since the notices of other keys must still be queued.
func (n *notifier) consider(ctx context.Context, d store.DuePlace, days int) error {
	k, err := n.o.Store.Key(ctx, d.Workspace, d.ID)
	if errors.Is(err, store.ErrDamaged) {
		n.o.Log.Error("cannot read a key that expires soon", "workspace", d.Workspace, "key", d.ID, "error", err)
		return nil
	}
	if err != nil || !isNoticeDue(&k, days, n.o.Now()) {
		return err
	}
	known, err := n.isRecorded(ctx, &k, days)
	if err == nil && !known {
		n.queue(ctx, k.Workspace, notice{id: k.ID, days: days, at: noticeAt(&k, days)})
	}
	return err
}

// notice is a notice in a queue. Its contents are read when it is sent.
type notice struct {
	id    uuid.UUID // of a key, or of a request
	days  int
	event string    // of a request, or empty
	at    time.Time // when it became due
	sent  bool      // but not yet recorded
}

func noticeAt(k *store.Key, days int) time.Time {
	return k.ExpiresAt.Add(-time.Duration(days) * day)
}

// isNoticeDue reports whether the notice of a key for this number of days is due now.
func isNoticeDue(k *store.Key, days int, now time.Time) bool {
	if k.ExpiresAt.IsZero() || k.Status(now) != store.Active {
		return false
	}
	at := noticeAt(k, days)
	if !k.CreatedAt.Before(at) || at.After(now) || now.Sub(at) > noticeFor {
		return false
	}
	for _, fewer := range noticeDays {
		if fewer < days && !noticeAt(k, fewer).After(now) {
			return false // a later notice replaces it
		}
	}
	return true
}
