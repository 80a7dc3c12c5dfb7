package notice_test

import (
	"context"
	"database/sql"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/store"
)

// TestARestartInBetween: after a restart, only notices that were not accepted before are sent.
func TestARestartInBetween(t *testing.T) {
	w := newWorld(t)
	var refused atomic.Pointer[uuid.UUID]
	r := newReceiver(t, func(m message) int {
		if id := refused.Load(); id != nil && *id == m.Key.ID {
			return 503
		}
		return 200
	})
	w.workspace("acme", r.url)
	taken, late := w.key("acme", 90*day, 7*day-time.Minute), w.key("acme", 90*day, day-time.Minute)
	refused.Store(&late.ID)
	first := w.serve(w.db)
	testkit.Eventually(w.t, "one is recorded", func() bool { return slices.Equal(w.told(taken), []int{7}) })
	testkit.Eventually(w.t, "the other was tried", func() bool { return first.count(t, "failed") > 0 })
	first.stop()
	refused.Store(nil)
	w.Advance(time.Hour)
	restarted := strconv.FormatInt(w.Now().Unix(), 10)
	w.serve(&counting{Store: w.open()})
	m := r.next()
	for m.header.Get("webhook-timestamp") < restarted { // sent by the first server
		m = r.next()
	}
	if m.Key.ID != late.ID || m.Days != 1 {
		t.Errorf("got %s", m.body)
	}
	if rest := r.rest(w, "acme"); len(rest) > 0 {
		t.Errorf("sent again: %v", rest)
	}
}

// TestSeveralServers: a second server on the database, started after all notices were sent, sends none.
func TestSeveralServers(t *testing.T) {
	w, r := newWorld(t), newReceiver(t, always(200))
	w.workspace("acme", r.url)
	var keys []store.Key
	for range 30 {
		keys = append(keys, w.key("acme", 90*day, 7*day-time.Minute))
	}
	first := w.serve(w.db)
	testkit.Eventually(w.t, "all have notices", func() bool { return first.count(t, "sent") == 30 })
	w.serve(w.open())
	for range keys {
		r.next()
	}
	first.stop() // or both would see the marker's, and perhaps both send it
	if rest := r.rest(w, "acme"); len(rest) > 0 {
		t.Errorf("sent again: %v", rest)
	}
	for _, k := range keys {
		if !slices.Equal(w.told(k), []int{7}) {
			t.Errorf("notices for %v", w.told(k))
		}
	}
}

// TestSeveralServersAtOnce: two servers can send the same notice, but with the same id.
func TestSeveralServersAtOnce(t *testing.T) {
	w, r := newWorld(t), newReceiver(t, always(200))
	w.workspace("acme", r.url)
	want := make(map[string]int)
	var keys []store.Key
	for range 50 {
		k := w.key("acme", 90*day, 7*day-time.Minute)
		want[fmt.Sprintf("notice_%s_7", k.ID)] = 0
		keys = append(keys, k)
	}
	w.serve(w.db)
	w.serve(w.open())
	for _, k := range keys {
		testkit.Eventually(w.t, "all have notices", func() bool { return len(w.told(k)) > 0 })
	}
	for len(r.got) > 0 {
		m := r.next()
		if n, is := want[m.id]; !is || n > 1 {
			t.Errorf("sent %d times and again: %s", n, m.body)
		}
		want[m.id]++
	}
	for id, n := range want {
		if n == 0 {
			t.Errorf("never sent: %s", id)
		}
	}
}

// TestAFewOfThousands: only keys that expire soon are read, not all.
func TestAFewOfThousands(t *testing.T) {
	w, r := newWorld(t), newReceiver(t, always(200))
	w.workspace("acme", r.url)
	for i := range 2000 {
		w.key("acme", 90*day, 15*day+time.Duration(i)*time.Minute)
	}
	var few []store.Key
	for i := range 5 {
		few = append(few, w.key("acme", 90*day, 7*day+time.Duration(i)*time.Second))
	}
	server := w.serve(w.db)
	w.Advance(time.Minute)
	for range few {
		r.next()
	}
	testkit.Eventually(w.t, "all have notices", func() bool { return server.count(t, "sent") == 5 })
	for _, k := range few {
		if !slices.Equal(w.told(k), []int{7}) {
			t.Errorf("notices for %v", w.told(k))
		}
	}
	if rows, audits := w.db.counts(); rows > 20 || audits > 30 {
		t.Errorf("read %d keys and looked %d times into the audit", rows, audits)
	}
}

// TestMoreThanWait: all notices of a workspace are sent, even if they do not all fit into its queue.
func TestMoreThanWait(t *testing.T) {
	w, r := newWorld(t), newReceiver(t, always(200))
	w.workspace("acme", r.url)
	const all = 400
	for i := range all {
		w.key("acme", 90*day, 7*day-time.Duration(i/10)*time.Second)
	}
	server := w.serve(w.db)
	seen := make(map[string]bool)
	for range all {
		m := r.next()
		if seen[m.id] {
			t.Fatalf("sent twice: %s", m.body)
		}
		seen[m.id] = true
	}
	testkit.Eventually(w.t, "all are counted", func() bool { return server.count(t, "sent") == all })
	if rest := r.rest(w, "acme"); len(rest) > 0 {
		t.Errorf("sent again: %v", rest)
	}
}

// TestADatabaseThatFails: no notice is lost, and accepted ones are not sent again.
func TestADatabaseThatFails(t *testing.T) {
	for _, method := range []string{"Due", "Audit", "Record"} {
		t.Run(method, func(t *testing.T) {
			w, r := newWorld(t), newReceiver(t, always(200))
			w.workspace("acme", r.url)
			k := w.key("acme", 90*day, 7*day-time.Minute)
			w.db.failing(method, 3)
			w.serve(w.db)
			if m := r.next(); m.Key.ID != k.ID {
				t.Errorf("got %s", m.body)
			}
			testkit.Eventually(w.t, "it is recorded", func() bool {
				entries, _, err := w.db.Store.Audit(t.Context(), "acme", store.AuditFilter{Key: k.ID, Action: store.ActionKeyNotice, Limit: 9})
				return err == nil && len(entries) == 1
			})
			if rest := r.rest(w, "acme"); len(rest) > 0 {
				t.Errorf("sent again: %v", rest)
			}
		})
	}
}

// TestADamagedKeyIsPassedOver: notices of other keys are sent, and the log names the corrupt key.
func TestADamagedKeyIsPassedOver(t *testing.T) {
	w, r := newWorld(t), newReceiver(t, always(200))
	w.workspace("acme", r.url)
	bad, good := w.key("acme", 90*day, 7*day-2*time.Minute), w.key("acme", 90*day, 7*day-time.Minute)
	db, err := sql.Open("sqlite", w.path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `UPDATE keys SET scopes = '{' WHERE id = ?`, bad.ID[:]); err != nil {
		t.Fatal(err)
	}
	w.serve(w.db)
	if m := r.next(); m.Key.ID != good.ID {
		t.Errorf("got %s", m.body)
	}
	if !strings.Contains(w.log.String(), bad.ID.String()) {
		t.Errorf("the log says %q", w.log.String())
	}
}

// TestTheWebhookIsReadWhenItIsSent: a wrong webhook can be corrected while notices wait.
func TestTheWebhookIsReadWhenItIsSent(t *testing.T) {
	w, wrong, right := newWorld(t), newReceiver(t, always(404)), newReceiver(t, always(200))
	w.workspace("acme", wrong.url)
	k := w.key("acme", 90*day, 7*day-time.Minute)
	w.serve(w.db)
	wrong.next()
	_, err := w.db.UpdateWorkspace(t.Context(), "acme", func(v *store.Workspace) error {
		v.Policy.Webhook = right.url
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if m := right.next(); m.Key.ID != k.ID {
		t.Errorf("got %s", m.body)
	}
}

// holding is a Sender whose calls wait until release is closed.
type holding struct {
	release chan struct{}
	mu      sync.Mutex
	calls   map[string]int // by URL
}

func (h *holding) Send(_ context.Context, url, _ string, _ time.Time, _ []byte) error {
	h.mu.Lock()
	h.calls[url]++
	h.mu.Unlock()
	<-h.release
	return nil
}

func (h *holding) of(url string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.calls[url]
}

// waitingForAPlace returns the number of notices that wait because too many posts are in progress. Nothing else shows that a notice
// waits: one whose key was read, but which does not wait yet, is sent without another look if a place becomes free.
func waitingForAPlace() int {
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return strings.Count(string(stacks), "[select]:\ngithub.com/burnkey/burnkey/authz/notice.(*notifier).place(")
}

// TestWhatChangesWhileAllPlacesAreTaken: while a notice waits because too many posts are in progress, its
// webhook is removed or its key is revoked. It is not sent.
func TestWhatChangesWhileAllPlacesAreTaken(t *testing.T) {
	const places = 32
	w, h := newWorld(t), &holding{release: make(chan struct{}), calls: make(map[string]int)}
	for i := range places {
		id := fmt.Sprintf("slow-%d", i)
		w.workspace(id, "https://slow.test/")
		w.key(id, 90*day, 7*day-time.Minute)
	}
	r := w.serveBy(w.db, h)
	testkit.Eventually(w.t, "all places are taken", func() bool { return h.of("https://slow.test/") == places })
	w.workspace("acme", "https://acme.test/")
	w.workspace("zoo", "https://zoo.test/")
	acme, zoo := w.key("acme", 90*day, 7*day+time.Second), w.key("zoo", 90*day, 7*day+time.Second)
	w.Advance(2 * time.Second)
	testkit.Eventually(w.t, "both wait", func() bool { return waitingForAPlace() == 2 })
	_, err := w.db.UpdateWorkspace(t.Context(), "acme", func(v *store.Workspace) error {
		v.Policy.Webhook = ""
		return nil
	})
	if err == nil {
		_, err = w.db.Revoke(t.Context(), "zoo", zoo.ID, w.Now())
	}
	if err != nil {
		t.Fatal(err)
	}
	close(h.release)
	testkit.Eventually(w.t, "it is recorded", func() bool { return slices.Equal(w.told(acme), []int{7}) })
	testkit.Eventually(w.t, "it is void", func() bool { return r.count(t, "void") == 1 })
	if acme, zoo := h.of("https://acme.test/"), h.of("https://zoo.test/"); acme+zoo > 0 {
		t.Errorf("a webhook that was removed was called %d times, and that of a revoked key %d times", acme, zoo)
	}
}
