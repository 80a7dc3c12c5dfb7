package portal

import (
	"errors"
	"net/http"
	"slices"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// requestsOfKey is how many requests a key's page shows.
const requestsOfKey = 5

// plansOnPage is how many plans a key's page offers.
const plansOnPage = 200

// keyRequests is the data of the requests for a key, and of the owner's forms that make one.
type keyRequests struct {
	Requests []store.Request
	Plans    []store.LimitSet
	Wanted   []scopeChoice // scopes that only a request can add
	WantPlan string        // as typed
	Why      string        // as typed, for the plan
	WhyScope string        // as typed, for the scopes
}

// requestsFor returns the latest requests for a key and, while the key lives, the plans and scopes to choose from.
func (v *visit) requestsFor(k *shownKey) (r keyRequests, err error) {
	f := store.RequestFilter{Key: k.ID, Limit: requestsOfKey}
	if !isOperator(&v.session) {
		f.Owner = v.session.Owner
	}
	if r.Requests, _, err = v.service.Requests(v.context(), v.workspace.ID, f); err != nil || !k.Live() {
		return r, err
	}
	r.WantPlan, r.Why = v.typedIn("request-plan", "plan", ""), v.typedIn("request-plan", "reason", "")
	r.WhyScope = v.typedIn("request-scopes", "reason", "")
	if r.Plans, _, err = v.service.LimitSets(v.context(), v.workspace.ID, []string{jwks.OnPlan}, authz.LimitsID{}, plansOnPage); err != nil {
		return r, err
	}
	offered := authz.ScopesOffered(&v.workspace, &v.session)
	for _, scope := range v.workspace.Policy.Scopes {
		if !slices.Contains(offered, scope) && !slices.Contains(k.Scopes, scope.Name) {
			ticked := v.isForm("request-scopes") && slices.Contains(v.r.PostForm["wanted"], scope.Name)
			r.Wanted = append(r.Wanted, scopeChoice{scope, ticked, true})
		}
	}
	return r, nil
}

// CanAskPlan reports whether the owner of a key can request another plan. A key with a parent always has the parent's plan.
func (p *keyPage) CanAskPlan() bool {
	return !p.Key.HasParent() && !p.isAsked(store.RequestPlan) &&
		slices.ContainsFunc(p.Plans, func(l store.LimitSet) bool { return l.Name != p.Key.Plan })
}

// CanAskScopes reports whether the owner of a key can request scopes.
func (p *keyPage) CanAskScopes() bool {
	return !p.Key.HasParent() && len(p.Wanted) > 0 && !p.isAsked(store.RequestScopes)
}

// isAsked reports whether there is an open request of a kind. Older ones than those shown can't be open, unless
// many of the other kind were decided meanwhile; authz refuses a second one.
func (p *keyPage) isAsked(kind string) bool {
	return slices.ContainsFunc(p.Requests, func(r store.Request) bool { return r.Status == store.RequestOpen && r.Kind() == kind })
}

func requestPlan(v *visit) error {
	return v.ask(store.Wanted{Plan: v.r.PostForm.Get("plan")}, "plan", "plan-reason")
}

func requestScopes(v *visit) error {
	return v.ask(store.Wanted{Scopes: v.r.PostForm["wanted"]}, "wanted", "wanted-reason")
}

// ask requests what the owner wants for the key in the path. field and why are the form's fields for faults.
func (v *visit) ask(wanted store.Wanted, field, why string) error {
	k, err := v.key()
	if err != nil {
		return err
	}
	var bad faults
	reason := v.tokenless(v.r.PostForm, why, "reason", &bad)
	if wanted.Plan == "" && len(wanted.Scopes) == 0 {
		bad = append(bad, v.fault(field, "fault.request.nothing")...)
	}
	if len(bad) > 0 {
		return v.keyAgain(http.StatusUnprocessableEntity, k, "", bad)
	}
	_, err = v.service.CreateRequest(v.context(), v.workspace.ID,
		authz.NewRequest{Key: k.ID, Wanted: wanted, Reason: reason, Session: &v.session})
	if err != nil {
		return v.notRequested(k, err, map[string]string{"plan": field, "scopes": field, "reason": why})
	}
	return v.finish(k, "requested")
}

// notRequested shows the key's page again if the person can correct the error.
func (v *visit) notRequested(k store.Key, err error, fields map[string]string) error {
	var (
		input authz.InputError
		full  *authz.RequestsFullError
	)
	switch {
	case errors.As(err, &input):
		bad := v.faultsOf(input)
		for i := range bad {
			bad[i].Field = fields[bad[i].Field]
		}
		return v.keyAgain(http.StatusUnprocessableEntity, k, "", bad)
	case errors.Is(err, authz.ErrNotActive):
		return v.changedMeanwhile(k)
	case errors.Is(err, authz.ErrRequestExists):
		return v.keyAgain(http.StatusConflict, k, "", v.fault("", "fault.request.exists"))
	case errors.As(err, &full):
		return v.keyAgain(http.StatusConflict, k, "", v.fault("", "fault.request.full", "n", full.OfOwner))
	}
	return err
}

// withdrawRequest withdraws one of the owner's requests, and leads back to the page of the key in the path.
func withdrawRequest(v *visit) error {
	k, err := v.key()
	if err != nil {
		return err
	}
	id, ok := store.ParseID(v.r.PostForm.Get("request"))
	if !ok {
		return errNowhere
	}
	_, err = v.service.DecideRequest(v.context(), v.workspace.ID, id, authz.Decision{Status: store.RequestWithdrawn, Session: &v.session})
	if errors.Is(err, authz.ErrDecided) {
		return v.keyAgain(http.StatusConflict, k, "", v.fault("", "fault.request.decided"))
	}
	if err != nil {
		return err
	}
	return v.finish(k, "withdrawn")
}

// RequestStatus returns the badge of a request's status.
func (p *view) RequestStatus(s store.RequestStatus) struct{ State, Text string } {
	class := map[store.RequestStatus]store.Status{
		store.RequestOpen: store.Deprecated, store.RequestApproved: store.Active, store.RequestDeclined: store.Revoked,
	}[s]
	return struct{ State, Text string }{string(class), p.T("request." + string(s))}
}

// KeyName returns a text for a key of which only the id is at hand.
func (p *view) KeyName(r store.Request) string { return p.T("key.which", "id", shortOf(r.Key)) }
