package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// Request is an owner's request for a plan or scopes.
type Request struct {
	ID        string     `json:"id" format:"uuid" doc:"The request's id"`
	Workspace string     `json:"workspace"`
	Key       string     `json:"key" format:"uuid" doc:"Id of the key that it is for"`
	Owner     string     `json:"owner"`
	Plan      string     `json:"plan,omitempty" doc:"The plan that is requested"`
	Scopes    []string   `json:"scopes,omitempty" nullable:"false" doc:"Scopes that are requested besides those of the key"`
	Reason    string     `json:"reason" doc:"Given by who made the request"`
	Status    string     `json:"status" enum:"open,approved,declined,withdrawn" doc:"Only an open request can be decided"`
	CreatedAt time.Time  `json:"created_at"`
	DecidedAt *time.Time `json:"decided_at,omitempty" doc:"Time of the decision"`
	DecidedBy *Actor     `json:"decided_by,omitempty"`
	Answer    string     `json:"answer,omitempty" doc:"Given by who decided"`
}

// RequestState is the part of a Request that is shown to a caller without the scope keys:read.
type RequestState struct {
	ID        string     `json:"id" format:"uuid" doc:"The request's id"`
	Key       string     `json:"key" format:"uuid" doc:"Id of the key that it is for"`
	Status    string     `json:"status" enum:"open,approved,declined,withdrawn" doc:"Only an open request can be decided"`
	CreatedAt time.Time  `json:"created_at"`
	DecidedAt *time.Time `json:"decided_at,omitempty" doc:"Time of the decision"`
}

// NewRequest is the body that requests a plan or scopes.
type NewRequest struct {
	Key    string   `json:"key" is:"key" doc:"Id of the key"`
	Plan   string   `json:"plan,omitempty" is:"plan" doc:"A plan of the workspace; either this or scopes"`
	Scopes []string `json:"scopes,omitempty" nullable:"false" is:"scopes" doc:"Further scopes among those of the policy; either this or plan"`
	Reason string   `json:"reason,omitempty" is:"name" doc:"For the person who decides"`
}

// Answer is the body of a decision.
type Answer struct {
	Answer string `json:"answer,omitempty" is:"name" doc:"For the owner"`
}

// RequestList is one page, the newest requests first.
type RequestList struct {
	Requests   []Request `json:"requests" nullable:"false" doc:"The requests of this page"`
	NextCursor *string   `json:"next_cursor" doc:"For the next page, even if this one is short or empty; null on the last page"`
}

type (
	shownRequest    = either[Request, RequestState]
	newRequestInput struct {
		WSPath
		Body NewRequest
	}
	listRequestsInput struct {
		WSPath
		Page
		Status string `query:"status" enum:"open,approved,declined,withdrawn" doc:"Requests in this state"`
		Owner  string `query:"owner" doc:"Requests for this owner's keys"`
		Key    string `query:"key" doc:"Requests for this key"`
	}
	RequestPath struct {
		WSPath
		ID string `path:"id" doc:"The request's id"`
	}
	decisionInput struct {
		RequestPath
		Body Answer
	}
)

func (a *api) requests(h huma.API) {
	const list, one = " /v1/workspaces/{ws}/requests", " /v1/workspaces/{ws}/requests/{id}"
	read, write := []string{authz.ScopeKeysRead}, []string{authz.ScopeKeysWrite}
	const part = "Without the scope keys:read, the answer shows only a request's id, key, status and times."
	register(a, h, call{
		id: "create-request", route: "POST" + list, summary: "Request a plan or scopes", scopes: write, status: http.StatusCreated,
		errors: []int{409},
		description: "Nothing changes until the request is approved. 409: the key is revoked or has expired, it has an open request of this " +
			"kind, or there are too many. " + part,
	}, a.createRequest)
	register(a, h, call{
		id: "list-requests", route: "GET" + list, summary: "List requests, the newest first", scopes: read,
	}, body(a.listRequests))
	register(a, h, call{id: "get-request", route: "GET" + one, summary: "Show a request", scopes: read}, body(a.getRequest))
	for _, d := range []struct {
		name, does string
		status     store.RequestStatus
	}{
		{"approve", "The key gets the plan, or the scopes besides its own, before the answer. 409: the request is no longer open, the " +
			"key is revoked or has expired, or the workspace no longer has the plan or offers the scopes.", store.RequestApproved},
		{"decline", "The key stays as it is. 409: the request is no longer open.", store.RequestDeclined},
		{"withdraw", "For the owner, who no longer wants it. 409: the request is no longer open.", store.RequestWithdrawn},
	} {
		register(a, h, call{
			id: d.name + "-request", route: "POST" + one + "/" + d.name, summary: strings.ToUpper(d.name[:1]) + d.name[1:] + " a request",
			scopes: write, errors: []int{409}, description: d.does + " " + part,
		}, body(func(ctx context.Context, in *decisionInput) (shownRequest, error) { return a.decide(ctx, in, d.status) }))
	}
}

func (a *api) createRequest(ctx context.Context, in *newRequestInput) (*located[shownRequest], error) {
	key, ok := store.ParseID(in.Body.Key)
	if !ok {
		return nil, authz.Invalid("key", authz.RuleNotKeyID)
	}
	r, err := a.service.CreateRequest(ctx, in.WS, authz.NewRequest{
		Key: key, Wanted: store.Wanted{Plan: in.Body.Plan, Scopes: in.Body.Scopes}, Reason: in.Body.Reason,
	})
	return &located[shownRequest]{"/v1/workspaces/" + in.WS + "/requests/" + r.ID.String(), requestForCaller(ctx, r)}, err
}

func (a *api) listRequests(ctx context.Context, in *listRequestsInput) (RequestList, error) {
	list := RequestList{Requests: []Request{}}
	f := store.RequestFilter{Status: store.RequestStatus(in.Status), Owner: in.Owner, Limit: in.Limit}
	var err error
	if f.After, err = in.afterKey(); err != nil {
		return list, err
	}
	if in.Key != "" {
		var ok bool
		if f.Key, ok = store.ParseID(in.Key); !ok {
			return list, authz.Invalid("key", authz.RuleNotKeyID)
		}
	}
	found, next, err := a.service.Requests(ctx, in.WS, f)
	for _, r := range found {
		list.Requests = append(list.Requests, showRequest(r))
	}
	list.NextCursor = cursorAt(next)
	return list, err
}

func (in *RequestPath) id() (uuid.UUID, error) {
	id, ok := store.ParseID(in.ID)
	if !ok {
		return id, authz.ErrNotFound
	}
	return id, nil
}

func (a *api) getRequest(ctx context.Context, in *RequestPath) (Request, error) {
	id, err := in.id()
	if err != nil {
		return Request{}, err
	}
	r, err := a.service.Request(ctx, in.WS, id)
	return showRequest(r), err
}

func (a *api) decide(ctx context.Context, in *decisionInput, status store.RequestStatus) (shownRequest, error) {
	id, err := in.id()
	if err != nil {
		return shownRequest{}, err
	}
	r, err := a.service.DecideRequest(ctx, in.WS, id, authz.Decision{Status: status, Answer: in.Body.Answer})
	return requestForCaller(ctx, r), err
}

func showRequest(r store.Request) Request {
	shown := Request{
		ID: r.ID.String(), Workspace: r.Workspace, Key: r.Key.String(), Owner: r.Owner, Plan: r.Plan, Scopes: r.Scopes, Reason: r.Reason,
		Status: string(r.Status), CreatedAt: r.CreatedAt, DecidedAt: optionalTime(r.DecidedAt), Answer: r.Answer,
	}
	if r.DecidedBy != (store.Actor{}) {
		shown.DecidedBy = &Actor{Kind: r.DecidedBy.Kind, ID: r.DecidedBy.ID}
	}
	return shown
}

func requestForCaller(ctx context.Context, r store.Request) shownRequest {
	full := showRequest(r)
	return shownRequest{mayRead(ctx, r.Workspace, authz.ScopeKeysRead), &full, &RequestState{
		ID: full.ID, Key: full.Key, Status: full.Status, CreatedAt: full.CreatedAt, DecidedAt: full.DecidedAt,
	}}
}

// ofDecided returns the problem of a request that is no longer open.
func ofDecided(e *authz.DecidedError) *Problem {
	r := &e.Request
	return newProblem(kindDecided, "The request "+r.ID.String()+" was "+string(r.Status)+" at "+stamp(r.DecidedAt)+".")
}

func ofFullRequests(e *authz.RequestsFullError) *Problem {
	return newProblem(kindRequestLimit, "There are too many open requests: "+strconv.Itoa(e.OfOwner)+" of this owner, or "+
		strconv.Itoa(e.OfWorkspace)+" in the workspace. Decide some of them first.")
}
