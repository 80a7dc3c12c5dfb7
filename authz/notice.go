package authz

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

// noticeResult is what became of an attempt.
type noticeResult string

const (
	noticeSent     noticeResult = "sent"
	noticeRecorded noticeResult = "recorded" // there is no webhook
	noticeFailed   noticeResult = "failed"   // and is to be tried again
	noticeGivenUp  noticeResult = "given_up"
	noticeVoid     noticeResult = "void" // the key was rotated, revoked or has expired meanwhile
	noticeKnown    noticeResult = "known"
)

// noticeResults are those that are counted; another server counts what is known.
var noticeResults = []noticeResult{noticeSent, noticeRecorded, noticeFailed, noticeGivenUp, noticeVoid}

// noticeLookBack is how much the clocks of servers may differ.
const noticeLookBack = time.Hour

// noticeEntries bounds how many of a key's are read; several servers may have written
// more than one for a span.
const noticeEntries = 32

// wasTold reports whether the audit has a key's notice.
func (s *Service) wasTold(ctx context.Context, k *store.Key, days int) (bool, error) {
	entries, _, err := s.store.Audit(ctx, k.Workspace, store.AuditFilter{
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

// tell sends a notice to the workspace's webhook and records it. An error is to be tried again.
func (n *notifier) tell(ctx context.Context, workspace string, waiting *notice) (noticeResult, error) {
	k, err := n.s.store.Key(ctx, workspace, waiting.id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return noticeVoid, nil
	case err != nil:
		return noticeFailed, err
	case waiting.sent: // its record failed
		return noticeSent, n.record(ctx, k, waiting.days)
	case n.s.Now().Sub(waiting.at) > noticeFor:
		return noticeGivenUp, nil
	case !isNoticeDue(&k, waiting.days, n.s.Now()):
		return noticeVoid, nil
	}
	if told, err := n.s.wasTold(ctx, &k, waiting.days); told || err != nil {
		return noticeKnown, err
	}
	w, err := n.s.store.Workspace(ctx, workspace)
	if err != nil {
		return noticeFailed, err
	}
	if w.Policy.Webhook == "" {
		return noticeRecorded, n.record(ctx, k, waiting.days)
	}
	if err := n.post(ctx, w.Policy.Webhook, &k, waiting.days); err != nil {
		return noticeFailed, err
	}
	waiting.sent = true
	return noticeSent, n.record(ctx, k, waiting.days)
}

func (n *notifier) record(ctx context.Context, k store.Key, days int) error {
	ctx, cancel := settle(ctx)
	defer cancel()
	return n.s.store.Record(ctx, store.KeyNoticed(ctx, k, days, n.s.Now()))
}

// post sends one notice once there is a place for it.
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
	select {
	case n.posts <- struct{}{}:
		defer func() { <-n.posts }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return n.o.Client.Send(ctx, url, fmt.Sprintf("notice_%s_%d", k.ID, days), n.s.Now(), body)
}
