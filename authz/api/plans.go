package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// Plan is a list of limits that keys can have by its name.
type Plan struct {
	Name        string    `json:"name" doc:"The plan's name, which keys refer to"`
	Description string    `json:"description" doc:"For people"`
	Limits      []Limit   `json:"limits" nullable:"false" doc:"Each key with the plan is counted by itself; empty: no limits"`
	Signed      string    `json:"signed,omitempty" doc:"The limit that new tokens contain"`
	Inherited   bool      `json:"inherited,omitempty" doc:"Whether it is the plan of the environment's first workspace"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
}

// NewPlan is the body that creates a plan.
type NewPlan struct {
	Name        string  `json:"name" is:"plan" doc:"Cannot be changed"`
	Description string  `json:"description,omitempty" is:"name" doc:"For people"`
	Limits      []Limit `json:"limits,omitempty" nullable:"false" maxItems:"8" doc:"Each key with the plan is counted by itself"`
	Signed      string  `json:"signed,omitempty" is:"limit"`
}

// PlanPatch is a JSON Merge Patch (RFC 7396) of a plan.
type PlanPatch struct {
	Description *string  `json:"description,omitempty" nullable:"true" is:"name" doc:"For people"`
	Limits      *[]Limit `json:"limits,omitempty" nullable:"true" maxItems:"8" doc:"Replaces the whole list; null: no limits"`
	Signed      *string  `json:"signed,omitempty" nullable:"true" is:"limit" doc:"Tokens already issued stay as they are"`
}

// PlanList is one page, by name.
type PlanList struct {
	Plans      []Plan  `json:"plans" nullable:"false" doc:"The plans of this page"`
	NextCursor *string `json:"next_cursor" doc:"For the next page; null on the last page"`
}

// SharedLimits are limits that the keys of an owner, the requests to a route or from an address, or all share.
type SharedLimits struct {
	On          string    `json:"on" enum:"owner,route,address,total"`
	Name        string    `json:"name,omitempty" doc:"The owner or route; * on owners: each that has no limits here. Absent: no name"`
	Description string    `json:"description" doc:"For people"`
	Limits      []Limit   `json:"limits" nullable:"false" doc:"The rules; all of them hold"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
}

// NewSharedLimits is the body that sets limits.
type NewSharedLimits struct {
	Description string  `json:"description,omitempty" is:"name" doc:"For people"`
	Limits      []Limit `json:"limits" nullable:"false" minItems:"1" maxItems:"8" doc:"The rules; all of them hold"`
}

// SharedLimitsList is one page, by subject and name.
type SharedLimitsList struct {
	Limits     []SharedLimits `json:"limits" nullable:"false" doc:"The limits of this page"`
	NextCursor *string        `json:"next_cursor" doc:"For the next page; null on the last page"`
}

// LimitsState is the part of a Plan or SharedLimits that is shown without workspaces:read or keys:read.
type LimitsState struct {
	Name      string    `json:"name,omitempty" doc:"Of the plan, owner or route"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

type (
	shownPlan   = either[Plan, LimitsState]
	shownLimits = either[SharedLimits, LimitsState]

	PlanPath struct {
		WSPath
		Name string `path:"name" doc:"The plan's name"`
	}
	LimitsPath struct {
		WSPath
		On   string `path:"on" enum:"owner,route,address,total" doc:"Subject of the limits, whose requests are counted together"`
		Name string `query:"name" maxLength:"255" doc:"The owner, * for each owner without limits of its own, or the route"`
	}
	setAnswer struct {
		Status   int
		Location string `header:"Location"` // of new limits
		Body     shownLimits
	}
	LimitsPage struct {
		WSPath
		Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Maximum number of entries"`
		Cursor string `query:"cursor" maxLength:"2048" doc:"next_cursor of the previous page"`
	}
)

// readsLimits has the scopes that may read limits.
var readsLimits = []string{authz.ScopeWorkspacesRead, authz.ScopeKeysRead}

const limitsInPart = "Without the scope workspaces:read or keys:read, the answer shows only name and times."

func (a *api) plans(h huma.API) {
	const list, one = " /v1/workspaces/{ws}/plans", " /v1/workspaces/{ws}/plans/{name}"
	write := []string{authz.ScopeWorkspacesWrite}
	register(a, h, call{
		id: "create-plan", route: "POST" + list, summary: "Create a plan", scopes: write, status: http.StatusCreated, errors: []int{409},
		description: "409: it exists, or the workspace has 1,000 plans. Environments inherit it. " + limitsInPart,
	}, a.createPlan)
	register(a, h, call{id: "list-plans", route: "GET" + list, summary: "List plans by name", scopes: readsLimits}, body(a.listPlans))
	register(a, h, call{id: "get-plan", route: "GET" + one, summary: "Show a plan", scopes: readsLimits}, body(a.getPlan))
	register(a, h, call{
		id: "update-plan", route: "PATCH" + one, summary: "Change a plan for all its keys at once", scopes: write,
		description: "A JSON Merge Patch (RFC 7396). Tokens that contain a limit of the plan keep it as it was when they were issued. " +
			"Environments that inherit the plan have the change, too. An environment's own change makes the plan its own. " +
			limitsInPart,
	}, body(a.updatePlan))
	register(a, h, call{
		id: "delete-plan", route: "DELETE" + one, summary: "Delete a plan that no key has", scopes: write, status: http.StatusNoContent,
		errors: []int{409}, description: "409: a key that is neither revoked nor expired has the plan, also in an environment that " +
			"inherits it; or the plan is inherited. An environment whose own plan is deleted inherits the plan with the same name again.",
	}, a.deletePlan)
}

func (a *api) sharedLimits(h huma.API) {
	const list, one = " /v1/workspaces/{ws}/limits", " /v1/workspaces/{ws}/limits/{on}"
	write := []string{authz.ScopeWorkspacesWrite}
	register(a, h, call{
		id: "list-limits", route: "GET" + list, summary: "List limits of owners, routes, addresses and the workspace", scopes: readsLimits,
	}, body(a.listLimits))
	register(a, h, call{id: "get-limits", route: "GET" + one, summary: "Show limits", scopes: readsLimits}, body(a.getLimits))
	register(a, h, call{
		id: "set-limits", route: "PUT" + one, summary: "Set limits that many keys share", scopes: write, errors: []int{409},
		description: "owner: all keys of an owner together. route: all requests to a route of this name at the gateway. address: each " +
			"client address (of IPv6, its /64). total: the whole workspace. 201 if there were none. 409: the workspace has limits of " +
			"10,000 owners or 1,000 routes. " + limitsInPart,
	}, a.setLimits)
	put := h.OpenAPI().Paths[strings.TrimSpace(one)].Put
	put.Responses["201"] = &huma.Response{
		Description: http.StatusText(http.StatusCreated), Headers: put.Responses["200"].Headers, Content: put.Responses["200"].Content,
	}
	register(a, h, call{
		id: "delete-limits", route: "DELETE" + one, summary: "Delete limits", scopes: write, status: http.StatusNoContent,
	}, a.deleteLimits)
}

func (a *api) createPlan(ctx context.Context, in *struct {
	WSPath
	Body NewPlan
},
) (*located[shownPlan], error) {
	l, err := a.service.CreateLimits(ctx, in.WS, authz.LimitsRequest{
		On: jwks.OnPlan, Name: in.Body.Name, Description: in.Body.Description, Limits: limitsOf(in.Body.Limits), Signed: in.Body.Signed,
	})
	return &located[shownPlan]{"/v1/workspaces/" + in.WS + "/plans/" + in.Body.Name, planForCaller(ctx, &l)}, noPlan(err)
}

func (a *api) listPlans(ctx context.Context, in *struct {
	WSPath
	Page
},
) (list PlanList, err error) {
	list.Plans = []Plan{}
	after, err := in.after(planName.MatchString)
	if err != nil {
		return list, err
	}
	from := authz.LimitsID{}
	if after != "" {
		from = authz.LimitsID{On: jwks.OnPlan, Name: after}
	}
	found, next, err := a.service.LimitSets(ctx, in.WS, []string{jwks.OnPlan}, from, in.Limit)
	for i := range found {
		list.Plans = append(list.Plans, showPlan(&found[i]))
	}
	if next.Name != "" {
		list.NextCursor = cursor(next.Name)
	}
	return list, err
}

var planName = regexp.MustCompile(authz.PlanNamePattern)

func (a *api) getPlan(ctx context.Context, in *PlanPath) (Plan, error) {
	l, err := a.service.Limits(ctx, in.WS, jwks.OnPlan, in.Name)
	return showPlan(&l), noPlan(err)
}

func (a *api) updatePlan(ctx context.Context, in *struct {
	PlanPath
	Body    PlanPatch
	RawBody []byte `contentType:"application/merge-patch+json"`
},
) (shownPlan, error) {
	var given map[string]jsontext.Value
	if err := json.Unmarshal(in.RawBody, &given); err != nil {
		return shownPlan{}, err
	}
	l, err := a.service.UpdateLimits(ctx, in.WS, jwks.OnPlan, in.Name, func(l *store.LimitSet) error {
		if _, isGiven := given["description"]; isGiven {
			l.Description = orZero(in.Body.Description)
		}
		if _, isGiven := given["limits"]; isGiven {
			l.Limits = limitsOf(orZero(in.Body.Limits))
		}
		if _, isGiven := given["signed"]; isGiven {
			l.Signed = orZero(in.Body.Signed)
		}
		return nil
	})
	return planForCaller(ctx, &l), noPlan(err)
}

func (a *api) deletePlan(ctx context.Context, in *PlanPath) (*struct{}, error) {
	return nil, noPlan(a.service.DeleteLimits(ctx, in.WS, jwks.OnPlan, in.Name))
}

// noPlan names the plan in a 404.
func noPlan(err error) error {
	if errors.Is(err, authz.ErrNotFound) {
		return newProblem(kindNotFound, "There is no such workspace or plan.")
	}
	return err
}

func showPlan(l *store.LimitSet) Plan {
	return Plan{
		Name: l.Name, Description: l.Description, Limits: showLimits(l.Limits), Signed: l.Signed, Inherited: l.Inherited,
		CreatedAt: l.CreatedAt, UpdatedAt: l.UpdatedAt,
	}
}

func planForCaller(ctx context.Context, l *store.LimitSet) shownPlan {
	full := showPlan(l)
	return shownPlan{mayRead(ctx, l.Workspace, readsLimits...), &full, &LimitsState{full.Name, full.CreatedAt, full.UpdatedAt}}
}

// subjects of SharedLimits, in the order of lists.
var subjects = []string{jwks.OnOwner, jwks.OnRoute, jwks.OnAddress, jwks.OnTotal}

func (a *api) listLimits(ctx context.Context, in *LimitsPage) (list SharedLimitsList, err error) {
	list.Limits = []SharedLimits{}
	at, err := (&Page{Cursor: in.Cursor}).after(func(at string) bool {
		on, _, isWhole := strings.Cut(at, "/")
		return isWhole && slices.Contains(subjects, on)
	})
	if err != nil {
		return list, err
	}
	on, name, _ := strings.Cut(at, "/")
	found, next, err := a.service.LimitSets(ctx, in.WS, subjects, authz.LimitsID{On: on, Name: name}, in.Limit)
	for i := range found {
		list.Limits = append(list.Limits, showShared(&found[i]))
	}
	if next.On != "" {
		list.NextCursor = cursor(next.On + "/" + next.Name)
	}
	return list, err
}

// location returns the address of the limits.
func (p *LimitsPath) location() string {
	path := "/v1/workspaces/" + p.WS + "/limits/" + p.On
	if p.Name != "" {
		path += "?name=" + url.QueryEscape(p.Name)
	}
	return path
}

// name returns the name of the limits. No limits have an empty one.
func (p *LimitsPath) name() string {
	if p.Name == "" && (p.On == jwks.OnAddress || p.On == jwks.OnTotal) {
		return jwks.AnyName
	}
	return p.Name
}

func (a *api) getLimits(ctx context.Context, in *LimitsPath) (SharedLimits, error) {
	l, err := a.service.Limits(ctx, in.WS, in.On, in.name())
	return showShared(&l), noLimits(err)
}

func (a *api) setLimits(ctx context.Context, in *struct {
	LimitsPath
	Body NewSharedLimits
},
) (*setAnswer, error) {
	l, isNew, err := a.service.SetLimits(ctx, in.WS, authz.LimitsRequest{
		On: in.On, Name: in.name(), Description: in.Body.Description, Limits: limitsOf(in.Body.Limits),
	})
	answer := &setAnswer{Status: http.StatusOK, Body: limitsForCaller(ctx, &l)}
	if isNew {
		answer.Status, answer.Location = http.StatusCreated, in.location()
	}
	return answer, noLimits(err)
}

func (a *api) deleteLimits(ctx context.Context, in *LimitsPath) (*struct{}, error) {
	return nil, noLimits(a.service.DeleteLimits(ctx, in.WS, in.On, in.name()))
}

// noLimits names the limits in a 404.
func noLimits(err error) error {
	if errors.Is(err, authz.ErrNotFound) {
		return newProblem(kindNotFound, "There is no such workspace, or there are no such limits.")
	}
	return err
}

func showShared(l *store.LimitSet) SharedLimits {
	shown := SharedLimits{
		On: l.On, Name: l.Name, Description: l.Description, Limits: showLimits(l.Limits), CreatedAt: l.CreatedAt, UpdatedAt: l.UpdatedAt,
	}
	if l.On == jwks.OnAddress || l.On == jwks.OnTotal {
		shown.Name = ""
	}
	return shown
}

func limitsForCaller(ctx context.Context, l *store.LimitSet) shownLimits {
	full := showShared(l)
	return shownLimits{mayRead(ctx, l.Workspace, readsLimits...), &full, &LimitsState{full.Name, full.CreatedAt, full.UpdatedAt}}
}
