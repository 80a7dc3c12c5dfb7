package store

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Bounds of requests.
const (
	MaxOpenOfOwner    = 20
	MaxOpenRequests   = 10_000 // of a workspace
	MaxDecidedOfOwner = 200    // CreateRequest deletes older ones
)

// Kinds of a Request.
const (
	RequestPlan   = "plan"
	RequestScopes = "scopes"
)

// RequestStatus is the state of a Request.
type RequestStatus string

// Only an open request can be decided.
const (
	RequestOpen      RequestStatus = "open"
	RequestApproved  RequestStatus = "approved"
	RequestDeclined  RequestStatus = "declined"
	RequestWithdrawn RequestStatus = "withdrawn" // by who made it
)

// Events of a Request, in their order.
const (
	RequestCreated = "created"
	RequestDecided = "decided" // approved, declined or withdrawn
)

// Request is the record of an owner's wish for one of their keys.
type Request struct {
	Workspace string
	ID        uuid.UUID // a UUIDv7
	Key       uuid.UUID
	Owner     string // of the key
	Wanted
	Reason    string
	Status    RequestStatus
	CreatedAt time.Time
	DecidedAt time.Time // zero: open
	DecidedBy Actor     // without an address; zero: open
	Answer    string    // of who decided
	// Event is the next event that the workspace's webhook must get, or empty.
	Event string
}

// Wanted is what is requested for a key: either a plan or further scopes.
type Wanted struct {
	Plan   string   `json:"plan,omitempty"`
	Scopes []string `json:"scopes,omitempty"` // nil: none
}

// Kind returns RequestPlan or RequestScopes.
func (w *Wanted) Kind() string {
	if w.Plan != "" {
		return RequestPlan
	}
	return RequestScopes
}

// RequestFilter selects requests of one workspace. Zero fields select everything.
type RequestFilter struct {
	Status RequestStatus
	Owner  string
	Key    uuid.UUID
	// After is the id after which the page starts; uuid.Nil: start at the newest.
	After uuid.UUID
	Limit int // the most requests of a page; must be positive
	Bytes int // as in Filter
}

// RequestStore is the part of Store that stores requests for plans and scopes. The transaction that revokes or retires a
// key also declines its open requests, as the system, with an Answer that says why. Audit: ActionRequestDecline.
type RequestStore interface {
	// CreateRequest stores an open request with the key's owner, after check allows it. It ignores the fields
	// of a decision. An error of check is returned and nothing is stored. Errors, in this order: ErrNotFound: no
	// such workspace or key. ErrNotActive: at CreatedAt, the key is Revoked or Expired. ErrNoPlan. ErrExists: an
	// open request for this key and of this kind exists. ErrTooMany: the owner has MaxOpenOfOwner open requests,
	// or the workspace has MaxOpenRequests. Audit: ActionRequestCreate.
	CreateRequest(ctx context.Context, r Request, check func(*Workspace, *Key) error) (Request, error)
	// DecideRequest calls decide with an open request, its key and the workspace, and stores the request's new
	// Status, Answer and DecidedAt, and the Actor of the context, in one transaction. If the new status is
	// RequestApproved, it also changes the key's attributes as UpdateKey does. An error of decide is returned and
	// nothing is stored. Errors: ErrNotFound. ErrDecided: the request is not open. ErrNotActive: the status is
	// RequestApproved, and at DecidedAt the key is Revoked or Expired. ErrNoPlan. Audit: ActionRequestApprove,
	// ActionRequestDecline or ActionRequestWithdraw, and ActionKeyUpdate if an attribute changes.
	DecideRequest(ctx context.Context, workspace string, id uuid.UUID,
		decide func(*Workspace, *Request, *Key) error) (Request, Key, error)
	// Request returns one request. Errors: ErrNotFound.
	Request(ctx context.Context, workspace string, id uuid.UUID) (Request, error)
	// Requests lists a workspace's requests, newest first. An index selects them by status, owner and key. The
	// list of an unknown workspace is empty. next is as for Keys.
	Requests(ctx context.Context, workspace string, f RequestFilter) (list []Request, next uuid.UUID, err error)
	// UnsentRequests lists up to `limit` requests of all workspaces that have an Event, by workspace and id,
	// from after the request `id` of `workspace` on.
	UnsentRequests(ctx context.Context, workspace string, id uuid.UUID, limit int) ([]Request, error)
	// RequestSent records that the event of a request was sent: the next event replaces it, if that has already
	// happened. It does nothing if the request has another Event.
	RequestSent(ctx context.Context, workspace string, id uuid.UUID, event string) error
}

// RequestMade returns the entry of ActionRequestCreate.
func RequestMade(ctx context.Context, r Request, k Key) Entry {
	d := requestFields(r)
	if r.Reason != "" {
		d["reason"] = r.Reason
	}
	return keyEntry(ctx, k, ActionRequestCreate, r.CreatedAt, d)
}

// RequestClosed returns the entry of ActionRequestApprove, ActionRequestDecline or ActionRequestWithdraw.
func RequestClosed(ctx context.Context, r Request, k Key) Entry {
	action := ActionRequestWithdraw
	switch r.Status {
	case RequestApproved:
		action = ActionRequestApprove
	case RequestDeclined:
		action = ActionRequestDecline
	}
	d := requestFields(r)
	if r.Answer != "" {
		d["answer"] = r.Answer
	}
	return keyEntry(ctx, k, action, r.DecidedAt, d)
}

func requestFields(r Request) detail {
	d := detail{"request": r.ID.String()}
	if r.Plan != "" {
		d["plan"] = r.Plan
	}
	if len(r.Scopes) > 0 {
		d["scopes"] = r.Scopes
	}
	return d
}
