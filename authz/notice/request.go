package notice

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

// lookForRequests queues the events of requests that no webhook got yet.
func (n *notifier) lookForRequests(ctx context.Context) error {
	workspace, after := "", uuid.Nil
	for {
		unsent, err := n.o.Store.UnsentRequests(ctx, workspace, after, dueAtOnce)
		if err != nil {
			return err
		}
		for i := range unsent {
			r := &unsent[i]
			workspace, after = r.Workspace, r.ID
			n.queue(ctx, r.Workspace, notice{id: r.ID, event: r.Event, at: eventAt(r)})
		}
		if len(unsent) < dueAtOnce {
			return nil
		}
	}
}

func eventAt(r *store.Request) time.Time {
	if r.Event == store.RequestDecided {
		return r.DecidedAt
	}
	return r.CreatedAt
}

// deliverRequest sends the event of a request to the workspace's webhook and records that it was sent. Without a
// webhook it is only recorded. After an error, the caller must try again.
func (n *notifier) deliverRequest(ctx context.Context, workspace string, waiting *notice) (noticeResult, error) {
	if _, failed := n.place(ctx); failed != nil {
		return noticeFailed, failed
	}
	defer func() { <-n.posts }()
	r, err := n.o.Store.Request(ctx, workspace, waiting.id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return noticeVoid, nil
	case err != nil:
		return noticeFailed, err
	case waiting.sent: // its record failed
		return noticeSent, n.recordSent(ctx, &r, waiting.event)
	case r.Event != waiting.event:
		return noticeKnown, nil
	case n.o.Now().Sub(waiting.at) > noticeFor:
		return noticeGivenUp, n.recordSent(ctx, &r, waiting.event)
	}
	w, err := n.o.Store.Workspace(ctx, workspace)
	if err != nil {
		return noticeFailed, err
	}
	if w.Policy.Webhook == "" {
		return noticeRecorded, n.recordSent(ctx, &r, waiting.event)
	}
	if err := n.postRequest(ctx, w.Policy.Webhook, &r); err != nil {
		return noticeFailed, err
	}
	waiting.sent = true
	return noticeSent, n.recordSent(ctx, &r, waiting.event)
}

func (n *notifier) recordSent(ctx context.Context, r *store.Request, event string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout) // as for notices
	defer cancel()
	return n.o.Store.RequestSent(ctx, r.Workspace, r.ID, event)
}

// postRequest sends the next event of a request.
func (n *notifier) postRequest(ctx context.Context, url string, r *store.Request) error {
	type request struct {
		ID    uuid.UUID `json:"id"`
		Key   uuid.UUID `json:"key"`
		Owner string    `json:"owner"`
		store.Wanted
		Reason    string              `json:"reason,omitempty"`
		Status    store.RequestStatus `json:"status"`
		CreatedAt time.Time           `json:"created_at"`
		DecidedAt time.Time           `json:"decided_at,omitzero"`
		Answer    string              `json:"answer,omitempty"`
	}
	body, err := json.Marshal(struct {
		Type      string  `json:"type"`
		Workspace string  `json:"workspace"`
		Request   request `json:"request"`
	}{"request." + r.Event, r.Workspace, request{
		r.ID, r.Key, r.Owner, r.Wanted, r.Reason, r.Status, r.CreatedAt, r.DecidedAt, r.Answer,
	}})
	if err != nil {
		return err
	}
	return n.o.Sender.Send(ctx, url, fmt.Sprintf("request_%s_%s", r.ID, r.Event), n.o.Now(), body)
}
