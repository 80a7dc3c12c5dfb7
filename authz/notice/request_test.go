package notice_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/store"
)

// request stores a request for scopes of a new key.
func (w *world) request(workspace string) store.Request {
	w.t.Helper()
	k := w.key(workspace, 0, 0)
	r, err := w.db.CreateRequest(w.t.Context(), store.Request{
		Workspace: workspace, ID: uuid.Must(uuid.NewV7()), Key: k.ID, Wanted: store.Wanted{Scopes: []string{"write"}},
		Reason: "reason-of-it", CreatedAt: w.Now(),
	}, func(*store.Workspace, *store.Key) error { return nil })
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) approve(r store.Request) {
	w.t.Helper()
	_, _, err := w.db.DecideRequest(w.t.Context(), r.Workspace, r.ID, func(_ *store.Workspace, r *store.Request, _ *store.Key) error {
		r.Status, r.Answer, r.DecidedAt = store.RequestApproved, "answer-of-it", w.Now()
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// unsent waits until the request has this event.
func (w *world) unsent(r store.Request, event string) {
	w.t.Helper()
	testkit.Eventually(w.t, "the event is "+event, func() bool {
		got, err := w.db.Request(w.t.Context(), r.Workspace, r.ID)
		return err == nil && got.Event == event
	})
}

// A request and its decision are sent once each, signed, and in this order, also if the receiver fails first.
func TestARequestIsSentAndItsDecision(t *testing.T) {
	var failed atomic.Int32
	r := newReceiver(t, func(message) int {
		if failed.Add(1) <= 2 {
			return 503
		}
		return 204
	})
	w := newWorld(t)
	w.workspace("acme", r.url)
	made := w.request("acme")
	server := w.serve(w.db)
	created := fmt.Sprintf(`{"type":"request.created","workspace":"acme","request":{"id":"%s","key":"%s","owner":"owner-of-it",`+
		`"scopes":["write"],"reason":"reason-of-it","status":"open","created_at":"%s"}}`, made.ID, made.Key, made.CreatedAt.Format(time.RFC3339))
	for range 3 {
		m := r.next()
		if m.body != created || m.id != fmt.Sprintf("request_%s_created", made.ID) {
			t.Errorf("%s: got %s\nwant %s", m.id, m.body, created)
		}
		if !strings.HasPrefix(m.header.Get("webhook-signature"), "v1,") {
			t.Errorf("its header is %v", m.header)
		}
	}
	w.unsent(made, "")
	w.Advance(time.Hour)
	w.approve(made)
	m := r.next()
	var got struct {
		Type    string
		Request struct {
			Status, Answer string
			DecidedAt      time.Time `json:"decided_at"`
		}
	}
	if err := json.Unmarshal([]byte(m.body), &got); err != nil {
		t.Fatal(err)
	}
	if got.Type != "request.decided" || got.Request.Status != "approved" || got.Request.Answer != "answer-of-it" ||
		!got.Request.DecidedAt.Equal(w.Now()) || m.id != fmt.Sprintf("request_%s_decided", made.ID) {
		t.Errorf("%s: got %s", m.id, m.body)
	}
	w.unsent(made, "")
	if rest := r.rest(w, "acme"); len(rest) > 0 {
		t.Errorf("sent again: %v", rest)
	}
	if server.count(t, "failed") != 2 {
		t.Error("failed:", server.count(t, "failed"))
	}
	for _, secret := range []string{"hush", "reason-of-it", "owner-of-it"} {
		if log := w.log.String(); strings.Contains(log, secret) || !strings.Contains(log, "request="+made.ID.String()) {
			t.Errorf("the log is %s", log)
		}
	}
}

// A request that was decided before anything was sent has both events, in their order. A receiver that is always
// down gets neither after two days, and a workspace without a webhook sends nothing.
func TestEventsOfRequestsEnd(t *testing.T) {
	w, r := newWorld(t), newReceiver(t, always(200))
	w.workspace("acme", r.url)
	w.workspace("silent", "")
	dead := newReceiver(t, always(500))
	w.workspace("down", dead.url)
	made, silent, lost := w.request("acme"), w.request("silent"), w.request("down")
	w.approve(made)
	server := w.serve(w.db)
	var types []string
	for range 2 {
		_, event, _ := strings.Cut(r.next().body, `"type":"`)
		types = append(types, event[:15])
	}
	if want := []string{"request.created", "request.decided"}; !slices.Equal(types, want) {
		t.Errorf("got %v", types)
	}
	w.unsent(silent, "")
	dead.next()
	w.unsent(lost, store.RequestCreated)
	w.Advance(2*day + time.Minute)
	w.unsent(lost, "")
	testkit.Eventually(t, "it is counted", func() bool { return server.count(t, "given_up") == 1 })
}

// A message whose record failed is not sent again by this server.
func TestARequestIsNotSentTwice(t *testing.T) {
	w, r := newWorld(t), newReceiver(t, always(200))
	w.workspace("acme", r.url)
	made := w.request("acme")
	w.db.failing("RequestSent", 3)
	w.serve(w.db)
	r.next()
	w.unsent(made, "")
	if rest := r.rest(w, "acme"); len(rest) > 0 {
		t.Errorf("sent again: %v", rest)
	}
}
