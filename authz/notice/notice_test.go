package notice_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz/notice"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/storetest"
)

func TestNoticesOfALife(t *testing.T) {
	w, r := newWorld(t), newReceiver(t, always(204))
	w.workspace("acme", r.url)
	k := w.key("acme", 90*day, 14*day+time.Hour)
	server := w.serve(w.db)
	if early := r.rest(w, "acme"); len(early) > 0 {
		t.Errorf("too early: %+v", early)
	}
	w.Advance(time.Hour)
	for _, step := range []struct {
		days int
		then time.Duration
	}{{14, 7 * day}, {7, 6 * day}, {1, day}} {
		m := r.next()
		for m.Key.ID != k.ID { // a marker's
			m = r.next()
		}
		want := fmt.Sprintf(`{"type":"key.expiring","workspace":"acme","key":{"id":"%s","owner":"owner-of-it",`+
			`"name":"name-of-it","expires_at":"%s"},"days":%d}`,
			k.ID, k.ExpiresAt.Format(time.RFC3339), step.days)
		if m.body != want {
			t.Errorf("got %s\nwant %s", m.body, want)
		}
		if m.id != fmt.Sprintf("notice_%s_%d", k.ID, step.days) || !strings.HasPrefix(m.header.Get("webhook-signature"), "v1,") {
			t.Errorf("its header is %v", m.header)
		}
		if m.header.Get("webhook-timestamp") != fmt.Sprint(w.Now().Unix()) {
			t.Errorf("sent at %s, now is %d", m.header.Get("webhook-timestamp"), w.Now().Unix())
		}
		testkit.Eventually(w.t, "it is recorded", func() bool { return len(w.told(k)) > 0 && w.told(k)[0] == step.days })
		w.Advance(step.then)
	}
	for _, m := range r.rest(w, "acme") {
		if m.Key.ID == k.ID {
			t.Errorf("of one that has expired: %s", m.body)
		}
	}
	if days := w.told(k); !slices.Equal(days, []int{1, 7, 14}) {
		t.Errorf("notices for %v", days)
	}
	if server.count(t, "failed") != 0 || server.count(t, "sent") < 3 {
		t.Error("the metric is", server.count(t, "failed"), server.count(t, "sent"))
	}
}

// TestWhatIsNotToldOf has keys that expire soon, only some of which get a notice.
func TestWhatIsNotToldOf(t *testing.T) {
	w, r := newWorld(t), newReceiver(t, always(200))
	w.workspace("acme", r.url)
	want := map[uuid.UUID]int{
		w.key("acme", 90*day, 14*day-23*time.Hour).ID: 14, // while no server ran
		w.key("acme", 90*day, 7*day-time.Minute).ID:   7,
		w.key("acme", 10*day, 7*day-time.Minute).ID:   7,
		w.key("acme", 2*day, day-time.Minute).ID:      1,
	}
	w.key("acme", 90*day, 14*day-25*time.Hour) // too long ago
	w.key("acme", 14*day, 14*day)              // never had more
	w.key("acme", day, day-time.Minute)
	w.key("acme", time.Hour, time.Minute)
	w.key("acme", 0, 0) // never expires
	revoked := w.key("acme", 90*day, 7*day-time.Minute)
	if _, err := w.db.Revoke(t.Context(), "acme", revoked.ID, w.Now()); err != nil {
		t.Fatal(err)
	}
	rotated := w.key("acme", 90*day, day-time.Minute)
	successor := store.Key{ID: uuid.Must(uuid.NewV7()), Owner: rotated.Owner, CreatedAt: w.Now(), ExpiresAt: w.Now().Add(90 * day)}
	if _, _, err := w.db.Rotate(t.Context(), "acme", rotated.ID, successor, storetest.NewKey(t), rotated.ExpiresAt, nil); err != nil {
		t.Fatal(err)
	}
	w.serve(w.db)
	take := func(m message) {
		if want[m.Key.ID] != m.Days {
			t.Errorf("got a notice: %s", m.body)
		}
		delete(want, m.Key.ID)
	}
	for _, m := range r.rest(w, "acme") {
		take(m)
	}
	for len(want) > 0 { // the last one can overtake others
		take(r.next())
	}
}

func TestWithoutAWebhookItIsRecorded(t *testing.T) {
	w := newWorld(t)
	w.workspace("acme", "")
	k := w.key("acme", 90*day, 7*day-time.Minute)
	server := w.serve(w.db)
	testkit.Eventually(w.t, "it is recorded", func() bool { return slices.Equal(w.told(k), []int{7}) })
	testkit.Eventually(w.t, "it is counted", func() bool { return server.count(t, "recorded") == 1 })
}

// TestAReceiverThatFails: a notice is sent again after each possible failure of the receiver.
func TestAReceiverThatFails(t *testing.T) {
	for name, codes := range map[string][]int{
		"errors": {500, 503, 404}, "redirects": {302, 307, 308}, "hangs": {0},
	} {
		t.Run(name, func(t *testing.T) {
			var tries atomic.Int32
			r := newReceiver(t, func(message) int {
				if n := int(tries.Add(1)); n <= len(codes) {
					return codes[n-1]
				}
				return 200
			})
			w := newWorld(t)
			w.workspace("acme", r.url)
			k := w.key("acme", 90*day, 7*day-time.Minute)
			isHasty := func() bool { return name == "hangs" && tries.Load() == 0 }
			sender := &growing{hasty: w.client(time.Second), patient: w.client(hold), isHasty: isHasty}
			server := w.serveBy(w.db, sender)
			for range len(codes) + 1 {
				if m := r.next(); m.id != fmt.Sprintf("notice_%s_7", k.ID) {
					t.Error("its id is", m.id)
				}
			}
			testkit.Eventually(w.t, "it is recorded", func() bool { return slices.Equal(w.told(k), []int{7}) })
			testkit.Eventually(w.t, "it is counted", func() bool { return server.count(t, "sent") == 1 })
			if failed := server.count(t, "failed"); failed != float64(sender.failed.Load()) || failed < float64(len(codes)) {
				t.Errorf("%v failed", failed)
			}
			w.quiet(r.url, k)
		})
	}
}

// growing is a Sender that is hasty at first. A hasty one can fail before its message arrives, so failures are counted.
type growing struct {
	hasty, patient notice.Sender
	isHasty        func() bool
	failed         atomic.Int64
}

func (g *growing) Send(ctx context.Context, url, id string, at time.Time, body []byte) error {
	sender := g.patient
	if g.isHasty() {
		sender = g.hasty
	}
	err := sender.Send(ctx, url, id, at, body)
	if err != nil {
		g.failed.Add(1)
	}
	return err
}

// quiet checks that the log names the workspace and the key, and contains no other data of the key or the URL.
func (w *world) quiet(url string, k store.Key) {
	w.t.Helper()
	log := w.log.String()
	if !strings.Contains(log, "workspace="+k.Workspace) || !strings.Contains(log, "key="+k.ID.String()) {
		w.t.Errorf("the log does not say whose it is:\n%s", log)
	}
	host, _, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	for _, secret := range []string{host, "127.0.0.1", "hush", "hook?", k.Owner, k.Name, k.KID.String()} {
		if strings.Contains(log, secret) {
			w.t.Errorf("%q is in the log:\n%s", secret, log)
		}
	}
}

// TestADeadReceiverDelaysNobodyElse: a receiver that hangs, with a full queue, does not delay other receivers.
func TestADeadReceiverDelaysNobodyElse(t *testing.T) {
	w, dead, alive := newWorld(t), newReceiver(t, always(0)), newReceiver(t, always(200))
	w.workspace("acme", dead.url)
	w.workspace("zoo", alive.url)
	for range 300 {
		w.key("acme", 90*day, 7*day-time.Minute)
	}
	k := w.key("zoo", 90*day, 7*day-time.Second)
	w.serve(w.db)
	dead.next()
	if m := alive.next(); m.Key.ID != k.ID {
		t.Errorf("got %s", m.body)
	}
	testkit.Eventually(w.t, "it is recorded", func() bool { return slices.Equal(w.told(k), []int{7}) })
}

// TestOneThatIsAlwaysRefusedKeepsNoOther: a notice that is always refused does not block others of its
// workspace.
func TestOneThatIsAlwaysRefusedKeepsNoOther(t *testing.T) {
	w := newWorld(t)
	var poison uuid.UUID
	r := newReceiver(t, func(m message) int {
		if m.Key.ID == poison {
			return 400
		}
		return 200
	})
	w.workspace("acme", r.url)
	poison = w.key("acme", 90*day, 7*day-time.Hour).ID
	var others []store.Key
	for range 20 {
		others = append(others, w.key("acme", 90*day, 7*day-time.Minute))
	}
	w.serve(w.db)
	for _, k := range others {
		testkit.Eventually(w.t, "the others have notices", func() bool { return slices.Equal(w.told(k), []int{7}) })
	}
}

func TestGivenUp(t *testing.T) {
	w, r := newWorld(t), newReceiver(t, always(500))
	w.workspace("acme", r.url)
	k := w.key("acme", 90*day, 7*day-time.Minute)
	server := w.serve(w.db)
	r.next()
	w.Advance(2 * day)
	testkit.Eventually(w.t, "it is given up", func() bool { return server.count(t, "given_up") == 1 })
	if days := w.told(k); days != nil {
		t.Errorf("notices for %v", days)
	}
	w.quiet(r.url, k)
}

// TestRotatedWhileItWaits: a waiting notice is void if its key is rotated.
func TestRotatedWhileItWaits(t *testing.T) {
	w, r := newWorld(t), newReceiver(t, always(500))
	w.workspace("acme", r.url)
	k := w.key("acme", 90*day, 7*day-time.Minute)
	server := w.serve(w.db)
	r.next()
	if _, err := w.db.Revoke(t.Context(), "acme", k.ID, w.Now()); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(w.t, "it is void", func() bool { return server.count(t, "void") == 1 })
}
