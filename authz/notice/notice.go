// Package notice notifies webhooks of keys that expire soon.
package notice

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/burnkey/burnkey/internal/logs"
	"github.com/burnkey/burnkey/internal/loop"
	"github.com/burnkey/burnkey/store"
)

// Sender posts a message to a URL; *webhook.Client does. The id is that of the message,
// the same each time it is sent, and at is the time of this attempt. Its errors name
// neither the URL nor an address: they are logged.
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
}

// Options of Run. Store, Sender and Now are required.
type Options struct {
	Store  Store
	Sender Sender
	Now    func() time.Time
	// Every is how often to look for keys that come near their end. Default 1 min.
	Every time.Duration
	// Pause is how long to wait before a receiver that failed is tried again; it doubles up
	// to 15 min. Default 5 s.
	Pause   time.Duration
	Log     *slog.Logger // nil: none
	Metrics prometheus.Registerer
}

// Notices of keys that expire soon.
const (
	day = 24 * time.Hour
	// noticeBack is how far behind now the first look goes: what came near its end
	// while no server ran is told of, too.
	noticeBack = day
	// noticeFor is how long after its time a notice is still tried.
	noticeFor = 2 * day

	noticeEvery    = time.Minute
	noticePause    = 5 * time.Second
	noticePauseMax = 15 * time.Minute
	// noticesAtOnce bounds posts under way, of all workspaces; a workspace has one.
	noticesAtOnce = 32
	// noticesWaiting bounds a workspace's queue. Those beyond it are looked for again.
	noticesWaiting = 256
	// dueAtOnce bounds one look for keys.
	dueAtOnce = 500
)

// noticeDays are the spans before a key's end at which it is told of, the longest first.
var noticeDays = []int{14, 7, 1}

// Run tells each workspace's webhook of its active keys that come within 14, 7 and 1 day
// of their end, until the context ends. What was told is in the audit as
// ActionKeyNotice, at once where there is no webhook; a key that never lived longer than a
// span is not told of at it, and neither is one that was rotated.
//
// A notice is sent at least once, if its receiver takes it within two days. Since the
// audit is asked before it is sent, restarts and several servers on one database send it
// once as a rule, and the message's id is the same if not.
func Run(ctx context.Context, o Options) {
	if o.Every <= 0 {
		o.Every = noticeEvery
	}
	if o.Pause <= 0 {
		o.Pause = noticePause
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	n := newNotifier(o)
	defer n.running.Wait()
	loop.Loop{
		Every: o.Every, Wake: n.room, Log: o.Log, Level: slog.LevelError, Failure: "cannot look for keys that expire soon; trying again",
		Jitter: 0.5, // so that servers that started together drift apart
	}.Run(ctx, n.look)
}

// notifier is one Run.
type notifier struct {
	o       Options
	results *prometheus.CounterVec
	posts   chan struct{} // holds one of each that is under way
	room    chan struct{} // wakes it: a workspace that is behind has room again
	since   time.Time     // all that came near its end before was seen
	running sync.WaitGroup
	failing logs.Failures // of deliveries, by workspace

	mu    sync.Mutex
	lanes map[string]*lane // of workspaces with notices that wait
	// behind are workspaces whose queue was full, and from when on to look again.
	behind map[string]time.Time
}

func newNotifier(o Options) *notifier {
	n := &notifier{
		o: o, posts: make(chan struct{}, noticesAtOnce), room: make(chan struct{}, 1), since: o.Now().Add(-noticeBack),
		failing: logs.Failures{Level: slog.LevelWarn}, lanes: make(map[string]*lane), behind: make(map[string]time.Time),
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "burnkey_notices_total",
			Help: "Notices of keys that expire soon: sent to a webhook; recorded, there being none; failed, to be tried again; given_up, or void " +
				"since the key is no longer active.",
		}, []string{"result"}),
	}
	for _, result := range noticeResults {
		n.results.WithLabelValues(string(result))
	}
	if o.Metrics != nil {
		o.Metrics.MustRegister(n.results)
	}
	return n
}

// look finds what came near its end since the last look.
func (n *notifier) look(ctx context.Context) error {
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

// scan queues the notices whose time is from one to another, of one workspace or all.
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

// consider queues a key's notice unless it is none or was told. A key that is damaged must
// not keep the others from being told of.
func (n *notifier) consider(ctx context.Context, d store.DuePlace, days int) error {
	k, err := n.o.Store.Key(ctx, d.Workspace, d.ID)
	if errors.Is(err, store.ErrDamaged) {
		n.o.Log.Error("a key that expires soon can't be read", "workspace", d.Workspace, "key", d.ID, "error", err)
		return nil
	}
	if err != nil || !isNoticeDue(&k, days, n.o.Now()) {
		return err
	}
	told, err := n.wasTold(ctx, &k, days)
	if err == nil && !told {
		n.queue(ctx, k.Workspace, notice{id: k.ID, days: days, at: noticeAt(&k, days)})
	}
	return err
}

// notice is one that waits. What it says is read when it is sent.
type notice struct {
	id   uuid.UUID
	days int
	at   time.Time // when the key came so near its end
	sent bool      // and not yet recorded
}

func noticeAt(k *store.Key, days int) time.Time {
	return k.ExpiresAt.Add(-time.Duration(days) * day)
}

// isNoticeDue reports whether a key is to be told of now, as having so many days.
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
			return false // that one says it better
		}
	}
	return true
}
