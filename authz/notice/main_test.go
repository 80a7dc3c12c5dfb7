package notice_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/burnkey/burnkey/authz/notice"
	"github.com/burnkey/burnkey/authz/webhook"
	"github.com/burnkey/burnkey/internal/outbound"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/sqlite"
	"github.com/burnkey/burnkey/store/storetest"
)

const (
	day  = 24 * time.Hour
	hold = 30 * time.Second // against hanging
)

// world is a database and a clock, with which a test starts and stops servers.
type world struct {
	*testkit.Clock
	t    *testing.T
	path string
	db   *counting
	log  testkit.Log
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, path: filepath.Join(t.TempDir(), "burnkey.db"), Clock: testkit.NewClock(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))}
	w.db = &counting{Store: w.open()}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(w.log.String())
		}
	})
	return w
}

func (w *world) open() store.Store {
	db, err := sqlite.Open(w.t.Context(), w.path)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { db.Close() })
	return db
}

func (w *world) workspace(id, url string) {
	w.t.Helper()
	_, err := w.db.CreateWorkspace(w.t.Context(), store.Workspace{
		ID: id, Name: id, CreatedAt: w.Now(), Policy: store.Policy{Webhook: url},
	}, storetest.NewKey(w.t))
	if err != nil {
		w.t.Fatal(err)
	}
}

// key stores a key with the given lifetime, of which the duration left remains.
func (w *world) key(workspace string, life, left time.Duration) store.Key {
	w.t.Helper()
	k := store.Key{
		Workspace: workspace, ID: uuid.Must(uuid.NewV7()), Owner: "owner-of-it", Name: "name-of-it",
		CreatedAt: w.Now().Add(left - life),
	}
	if life > 0 {
		k.ExpiresAt = w.Now().Add(left)
	}
	k, err := w.db.Issue(w.t.Context(), k, storetest.NewKey(w.t), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return k
}

// running is one server.
type running struct {
	stop    func()
	metrics *prometheus.Registry
}

// serve runs a notifier on a database until stop or the test ends.
func (w *world) serve(db store.Store) *running { return w.serveBy(db, w.client(hold)) }

// client returns a Sender that waits for an answer until the timeout.
func (w *world) client(timeout time.Duration) *webhook.Client {
	client := webhook.New(webhook.Options{
		Secret: webhook.Secret(strings.Repeat("s", 32)), HTTP: outbound.New(outbound.Options{Local: true, Timeout: timeout}),
	})
	w.t.Cleanup(client.Close) // after the notifier has stopped
	return client
}

func (w *world) serveBy(db store.Store, client notice.Sender) *running {
	r := &running{metrics: prometheus.NewRegistry()}
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		notice.Run(ctx, notice.Options{
			Store: db, Sender: client, Now: w.Now, Every: 5 * time.Millisecond, Pause: time.Millisecond,
			Log: w.log.Logger(), Metrics: r.metrics,
		})
	}()
	r.stop = func() {
		cancel()
		<-done
	}
	w.t.Cleanup(r.stop)
	return r
}

// count returns burnkey_notices_total for a result.
func (r *running) count(t *testing.T, result string) float64 {
	t.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families { // none, until it runs
		for _, m := range family.GetMetric() {
			if m.GetLabel()[0].GetValue() == result {
				return m.GetCounter().GetValue()
			}
		}
		t.Errorf("no such result as %s", result)
	}
	return 0
}

// told returns the days before expiry for which the audit has notices of a key, the latest notice first.
func (w *world) told(k store.Key) (days []int) {
	w.t.Helper()
	entries, _, err := w.db.Audit(w.t.Context(), k.Workspace, store.AuditFilter{Key: k.ID, Action: store.ActionKeyNotice, Limit: 100})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		var detail struct{ Days int }
		if err := json.Unmarshal(e.Detail, &detail); err != nil {
			w.t.Fatal(err)
		}
		if e.Owner != k.Owner || e.Actor.Kind != store.ActorSystem || e.Result != store.ResultOK {
			w.t.Errorf("the entry is %+v", e)
		}
		days = append(days, detail.Days)
	}
	return days
}

// message as receivers get it.
type message struct {
	id     string // of the header
	header http.Header
	body   string
	Key    struct{ ID uuid.UUID }
	Days   int
}

// receiver is a real HTTP server that answers with the status that decide returns. For 0, it does not answer
// until the test ends.
type receiver struct {
	t     *testing.T
	url   string
	got   chan message
	until chan struct{}
}

func newReceiver(t *testing.T, decide func(message) int) *receiver {
	r := &receiver{t: t, got: make(chan message, 10000), until: make(chan struct{})}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		m := message{id: request.Header.Get("webhook-id"), header: request.Header, body: string(body)}
		if err := json.Unmarshal(body, &m); err != nil {
			t.Error(err)
		}
		if err != nil || request.URL.String() != "/hook?secret=hush" {
			t.Errorf("%v, %s", err, request.URL)
		}
		code := decide(m)
		r.got <- m
		if code == 0 {
			<-r.until
			return
		}
		w.Header().Set("Location", "/hook?secret=hush")
		w.WriteHeader(code)
	}))
	r.url = s.URL + "/hook?secret=hush"
	t.Cleanup(func() {
		close(r.until)
		s.Close()
	})
	return r
}

func always(code int) func(message) int { return func(message) int { return code } }

func (r *receiver) next() message {
	r.t.Helper()
	select {
	case m := <-r.got:
		return m
	case <-time.After(hold):
		r.t.Fatal("no message came")
		return message{}
	}
}

// rest adds a key whose notice is due next, and returns the messages that arrive before that notice.
func (r *receiver) rest(w *world, workspace string) (before []message) {
	r.t.Helper()
	marker := w.key(workspace, 30*day, 7*day+time.Second)
	w.Advance(2 * time.Second)
	for {
		m := r.next()
		if m.Key.ID == marker.ID {
			return before
		}
		before = append(before, m)
	}
}

// counting is a Store that counts lookups and fails on request.
type counting struct {
	store.Store
	mu     sync.Mutex
	rows   int // of Due
	audits int
	fail   map[string]int // how often yet
}

var errBroken = io.ErrUnexpectedEOF

func (c *counting) broken(method string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail[method]--
	return c.fail[method] >= 0
}

func (c *counting) failing(method string, times int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = map[string]int{method: times}
}

func (c *counting) counts() (rows, audits int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rows, c.audits
}

func (c *counting) Due(ctx context.Context, after store.DuePlace, until time.Time, limit int) ([]store.DuePlace, error) {
	if c.fail != nil && c.broken("Due") {
		return nil, errBroken
	}
	due, err := c.Store.Due(ctx, after, until, limit)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rows += len(due)
	return due, err
}

func (c *counting) Audit(ctx context.Context, workspace string, f store.AuditFilter) ([]store.Entry, uuid.UUID, error) {
	if c.fail != nil && c.broken("Audit") {
		return nil, uuid.Nil, errBroken
	}
	c.mu.Lock()
	c.audits++
	c.mu.Unlock()
	return c.Store.Audit(ctx, workspace, f)
}

func (c *counting) Record(ctx context.Context, e store.Entry) error {
	if c.fail != nil && c.broken("Record") {
		return errBroken
	}
	return c.Store.Record(ctx, e)
}

func (c *counting) RequestSent(ctx context.Context, workspace string, id uuid.UUID, event string) error {
	if c.fail != nil && c.broken("RequestSent") {
		return errBroken
	}
	return c.Store.RequestSent(ctx, workspace, id, event)
}
