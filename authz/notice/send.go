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

// noticeResult is the result of an attempt.
type noticeResult string

const (
	noticeSent     noticeResult = "sent"
	noticeRecorded noticeResult = "recorded" // no webhook
	noticeFailed   noticeResult = "failed"   // to be tried again
	noticeGivenUp  noticeResult = "given_up"
	noticeVoid     noticeResult = "void"  // the key was rotated, revoked or has expired meanwhile
	noticeKnown    noticeResult = "known" // another server sent it
)

// noticeResults has the results to count. noticeKnown is not one: the server that sent the notice counts it.
var noticeResults = []noticeResult{noticeSent, noticeRecorded, noticeFailed, noticeGivenUp, noticeVoid}

// noticeLookBack is the largest difference between the clocks of servers that is allowed for.
const noticeLookBack = time.Hour

// recordTimeout bounds recording a notice.
const recordTimeout = 15 * time.Second

// noticeEntries bounds the audit entries to read: several servers may have recorded the same notice.
const noticeEntries = 32

// isRecorded reports whether the audit has a key's notice for this number of days.
func (n *notifier) isRecorded(ctx context.Context, k *store.Key, days int) (bool, error) {
	entries, _, err := n.o.Store.Audit(ctx, k.Workspace, store.AuditFilter{
		Key: k.ID, Action: store.ActionKeyNotice, Since: noticeAt(k, days).Add(-noticeLookBack), Limit: noticeEntries,
	})
	for _, e := range entries {
		var detail struct {
			Days int `json:"days"`
		}
		if json.Unmarshal(e.Detail, &detail) == nil && detail.Days == days {
			return true, err
		}
	}
	return false, err
}

// deliver sends a notice to the workspace's webhook and records it. After an error, the caller must try again.
func (n *notifier) deliver(ctx context.Context, workspace string, waiting *notice) (noticeResult, error) {
	if waiting.event != "" {
		return n.deliverRequest(ctx, workspace, waiting)
	}
	k, url, result, err := n.due(ctx, workspace, waiting)
	if result == "" && err == nil && url != "" {
		waited, failed := n.place(ctx)
		if failed != nil {
			return noticeFailed, failed
		}
		defer func() { <-n.posts }()
		if waited { // the key or the webhook may have changed meanwhile
			k, url, result, err = n.due(ctx, workspace, waiting)
		}
	}
	switch {
	case result != "" || err != nil:
		return result, err
	case url == "":
		return noticeRecorded, n.record(ctx, k, waiting.days)
	}
	if err := n.post(ctx, url, &k, waiting.days); err != nil {
		return noticeFailed, err
	}
	waiting.sent = true
	return noticeSent, n.record(ctx, k, waiting.days)
}

// place waits until fewer than noticesAtOnce posts are in progress, and reports whether it had to wait.
func (n *notifier) place(ctx context.Context) (waited bool, err error) {
	select {
	case n.posts <- struct{}{}:
		return false, nil
	default:
	}
	select {
	case n.posts <- struct{}{}:
		return true, nil
	case <-ctx.Done():
		return true, ctx.Err()
	}
}

// due reads the notice's key and URL. If it returns a result, there is nothing left to send. If it returns
// neither a result nor a URL, the notice is only recorded in the audit.
func (n *notifier) due(ctx context.Context, workspace string, waiting *notice) (k store.Key, url string, result noticeResult, err error) {
	k, err = n.o.Store.Key(ctx, workspace, waiting.id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return k, "", noticeVoid, nil
	case err != nil:
		return k, "", noticeFailed, err
	case waiting.sent: // its record failed
		return k, "", noticeSent, n.record(ctx, k, waiting.days)
	case n.o.Now().Sub(waiting.at) > noticeFor:
		return k, "", noticeGivenUp, nil
	case !isNoticeDue(&k, waiting.days, n.o.Now()):
		return k, "", noticeVoid, nil
	}
	switch known, err := n.isRecorded(ctx, &k, waiting.days); {
	case err != nil:
		return k, "", noticeFailed, err
	case known:
		return k, "", noticeKnown, nil
	}
	w, err := n.o.Store.Workspace(ctx, workspace)
	if err != nil {
		return k, "", noticeFailed, err
	}
	return k, w.Policy.Webhook, "", nil
}

func (n *notifier) record(ctx context.Context, k store.Key, days int) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout) // it was sent, even if Run ends
	defer cancel()
	return n.o.Store.Record(ctx, store.KeyNoticed(ctx, k, days, n.o.Now()))
}

// post sends one notice.
func (n *notifier) post(ctx context.Context, url string, k *store.Key, days int) error {
	type key struct {
		ID        uuid.UUID `json:"id"`
		Owner     string    `json:"owner"`
		Name      string    `json:"name"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	body, err := json.Marshal(struct {
		Type      string `json:"type"`
		Workspace string `json:"workspace"`
		Key       key    `json:"key"`
		Days      int    `json:"days"`
	}{"key.expiring", k.Workspace, key{k.ID, k.Owner, k.Name, k.ExpiresAt}, days})
	if err != nil {
		return err
	}
	return n.o.Sender.Send(ctx, url, fmt.Sprintf("notice_%s_%d", k.ID, days), n.o.Now(), body)
}
