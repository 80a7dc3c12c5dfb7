package rows

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

const (
	requestColumns = `workspace, id, key, owner, kind, wanted, reason, status, created_at, decided_at, decided_by_kind, decided_by,
	answer, event`
	// SelectRequest selects a request.
	SelectRequest = `SELECT ` + requestColumns + ` FROM requests WHERE workspace = $1 AND id = $2`
	// SelectOpen finds an open request for a key.
	SelectOpen = `SELECT 1 FROM requests WHERE workspace = $1 AND key = $2 AND kind = $3 AND status = 'open'`
	// CountOpenOfOwner counts open requests of an owner, and CountOpen those of a workspace, up to a limit.
	CountOpenOfOwner = `SELECT count(*) FROM (
		SELECT 1 FROM requests WHERE workspace = $1 AND owner = $2 AND status = 'open' LIMIT $3) AS found`
	CountOpen     = `SELECT count(*) FROM (SELECT 1 FROM requests WHERE workspace = $1 AND status = 'open' LIMIT $2) AS found`
	insertRequest = `INSERT INTO requests (` + requestColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`
	updateRequest = `UPDATE requests SET status = $3, decided_at = $4, decided_by_kind = $5, decided_by = $6, answer = $7, event = $8
		WHERE workspace = $1 AND id = $2`
	// deleteDecided deletes an owner's decided requests except the newest.
	deleteDecided = `DELETE FROM requests WHERE workspace = $1 AND owner = $2 AND status <> 'open' AND id <=
		(SELECT id FROM requests WHERE workspace = $1 AND owner = $2 AND status <> 'open' ORDER BY id DESC LIMIT 1 OFFSET $3)`
	// ListUnsent selects requests with an event.
	ListUnsent = `SELECT ` + requestColumns + ` FROM requests WHERE event IS NOT NULL AND (workspace, id) > ($1, $2)
		ORDER BY workspace, id LIMIT $3`
	updateSent = `UPDATE requests SET event = CASE WHEN event = 'created' AND status <> 'open' THEN 'decided' END
		WHERE workspace = $1 AND id = $2 AND event = $3`
)

func (d *Dialect) request(r *store.Request) []any {
	kind := ""
	return []any{
		&r.Workspace, d.IDInto(&r.ID), d.IDInto(&r.Key), &r.Owner, &kind, object(&r.Wanted, "a wish"), &r.Reason, &r.Status,
		Time(&r.CreatedAt), Time(&r.DecidedAt), text(&r.DecidedBy.Kind), text(&r.DecidedBy.ID), &r.Answer, text(&r.Event),
	}
}

// NewRequest returns a new request in the form in which the store will return it.
func NewRequest(r store.Request) (store.Request, error) {
	r.CreatedAt, r.Status, r.Event = Cut(r.CreatedAt), store.RequestOpen, store.RequestCreated
	r.DecidedAt, r.DecidedBy, r.Answer = time.Time{}, store.Actor{}, ""
	r.Scopes = append([]string(nil), r.Scopes...)
	if (r.Plan == "") == (len(r.Scopes) == 0) {
		return r, errors.New("a request must have either a plan or scopes")
	}
	if r.CreatedAt.IsZero() {
		return r, ErrTime
	}
	return r, storableRequest(r)
}

func storableRequest(r store.Request) error {
	if !storable(append([]string{r.Plan, r.Reason, r.Answer}, r.Scopes...)...) {
		return errors.New("a text of a request is not UTF-8, or has NUL")
	}
	return nil
}

// CreateRequest implements store.Store.CreateRequest for a request that NewRequest returned.
func (c Locked) CreateRequest(ctx context.Context, r store.Request, check func(*store.Workspace, *store.Key) error) (store.Request, error) {
	k, err := c.Key(r.Key)
	if err != nil {
		return r, err
	}
	r.Owner = k.Owner
	if status := k.Status(r.CreatedAt); status == store.Revoked || status == store.Expired {
		return r, store.ErrNotActive
	}
	w, copied := c.Workspace, cloneKey(k)
	if err := check(&w, &copied); err != nil {
		return r, err
	}
	if err := c.HasPlan(r.Workspace, r.Plan); err != nil {
		return r, err
	}
	if err := c.roomFor(r); err != nil {
		return r, err
	}
	err = c.Exec(insertRequest, r.Workspace, c.ID(r.ID), c.ID(r.Key), r.Owner, r.Kind(), encode(r.Wanted, false), r.Reason, string(r.Status),
		Micros(r.CreatedAt), nil, nil, nil, r.Answer, r.Event)
	if err == nil {
		err = c.Exec(deleteDecided, r.Workspace, r.Owner, store.MaxDecidedOfOwner)
	}
	if err != nil {
		return r, err
	}
	return r, c.Record(store.RequestMade(ctx, r, k))
}

// roomFor returns an error if the request exceeds a bound of open requests.
func (c Locked) roomFor(r store.Request) error {
	exists, err := c.finds(SelectOpen, r.Workspace, c.ID(r.Key), r.Kind())
	if err != nil {
		return err
	}
	if exists {
		return store.ErrExists
	}
	ofOwner, all := 0, 0
	if err := c.Row([]any{&ofOwner}, CountOpenOfOwner, r.Workspace, r.Owner, store.MaxOpenOfOwner); err != nil {
		return err
	}
	if err := c.Row([]any{&all}, CountOpen, r.Workspace, store.MaxOpenRequests); err != nil {
		return err
	}
	if ofOwner >= store.MaxOpenOfOwner || all >= store.MaxOpenRequests {
		return store.ErrTooMany
	}
	return nil
}

// DecideRequest implements store.Store.DecideRequest.
func (c Locked) DecideRequest(ctx context.Context, id uuid.UUID,
	decide func(*store.Workspace, *store.Request, *store.Key) error,
) (r store.Request, k store.Key, err error) {
	if err := c.Row(c.request(&r), SelectRequest, c.Workspace.ID, c.ID(id)); err != nil {
		return r, k, NotFound(err)
	}
	if r.Status != store.RequestOpen {
		return r, k, store.ErrDecided
	}
	if k, err = c.Key(r.Key); err != nil {
		return r, k, err
	}
	w, decided, changed := c.Workspace, r, cloneKey(k)
	decided.Scopes = slices.Clone(r.Scopes)
	if err := decide(&w, &decided, &changed); err != nil {
		return r, k, err
	}
	r.Status, r.Answer, r.DecidedAt = decided.Status, decided.Answer, Cut(decided.DecidedAt)
	r.DecidedBy = store.Actor{Kind: store.ActorOf(ctx).Kind, ID: store.ActorOf(ctx).ID}
	if err := decidable(r); err != nil {
		return r, k, err
	}
	if r.Status == store.RequestApproved {
		if k, err = c.approve(r, k, changed); err != nil {
			return r, k, err
		}
	}
	if r.Event == "" {
		r.Event = store.RequestDecided
	}
	err = c.Exec(updateRequest, r.Workspace, c.ID(r.ID), string(r.Status), Micros(r.DecidedAt), r.DecidedBy.Kind, r.DecidedBy.ID,
		r.Answer, r.Event)
	if err != nil {
		return r, k, err
	}
	return r, k, c.Record(store.RequestClosed(ctx, r, k))
}

func decidable(r store.Request) error {
	if r.DecidedAt.IsZero() {
		return ErrTime
	}
	if r.Status != store.RequestApproved && r.Status != store.RequestDeclined && r.Status != store.RequestWithdrawn {
		return fmt.Errorf("%q is no decision of a request", r.Status)
	}
	return storableRequest(r)
}

// approve changes the key of an approved request.
func (c Locked) approve(r store.Request, before, changed store.Key) (store.Key, error) {
	if status := before.Status(r.DecidedAt); status == store.Revoked || status == store.Expired {
		return before, store.ErrNotActive
	}
	p := Parents{c}
	change, err := p.Changing(&before, func(_ *store.Workspace, k *store.Key) error { *k = changed; return nil })
	if err != nil {
		return before, err
	}
	after, plan, err := ChangedKey(c.Workspace, before, change)
	if err != nil || sameAttributes(before, after) {
		return before, err
	}
	if err := c.HasPlan(r.Workspace, plan); err != nil {
		return before, err
	}
	if err := p.Follow(&after); err != nil {
		return before, err
	}
	return after, c.Update(before, after)
}

// RequestSent implements store.Store.RequestSent.
func (c Locked) RequestSent(id uuid.UUID, event string) error {
	return c.Exec(updateSent, c.Workspace.ID, c.ID(id), event)
}

// Request implements store.Store.Request.
func (d *Dialect) Request(q Query, workspace string, id uuid.UUID) (store.Request, error) {
	if !storable(workspace) {
		return store.Request{}, store.ErrNotFound
	}
	list, err := collect(q, d.request, SelectRequest, workspace, d.ID(id))
	if err == nil && len(list) == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Request{}, err
	}
	return list[0], nil
}

// Requests implements store.Store.Requests.
func (d *Dialect) Requests(q Query, workspace string, f store.RequestFilter) ([]store.Request, uuid.UUID, error) {
	if f.Limit < 1 {
		return nil, uuid.Nil, ErrLimit
	}
	if !storable(workspace, f.Owner, string(f.Status)) {
		return []store.Request{}, uuid.Nil, nil
	}
	where := d.keys(workspace, store.Filter{Owner: f.Owner})
	if f.After != uuid.Nil {
		where.Add(`id < %s`, d.ID(f.After))
	}
	if f.Key != uuid.Nil {
		where.Add(`key = %s`, d.ID(f.Key))
	}
	if f.Status != "" {
		where.Add(`status = %s`, string(f.Status))
	}
	page, err := where.pick(q, `SELECT id, 256 + octet_length(wanted) + octet_length(reason) + octet_length(answer) FROM requests`,
		f.Limit, f.Bytes)
	if err != nil || len(page.IDs) == 0 {
		return []store.Request{}, uuid.Nil, err
	}
	where.among(page.IDs) // requests that have changed and no longer match are left out
	query, args := where.query(`SELECT `+requestColumns+` FROM requests`, ` ORDER BY id DESC`)
	list, err := collect(q, d.request, query, args...)
	return list, page.Next(uuid.Nil), err
}

// UnsentRequests implements store.Store.UnsentRequests.
func (d *Dialect) UnsentRequests(q Query, workspace string, id uuid.UUID, limit int) ([]store.Request, error) {
	if limit < 1 {
		return nil, ErrLimit
	}
	return collect(q, d.request, ListUnsent, workspace, d.ID(id), limit)
}
