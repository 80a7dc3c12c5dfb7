package portal

import (
	"errors"
	"net/http"
	"slices"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

const requestsOnPage = 25

// requestList is the data of the operators' list of requests.
type requestList struct {
	Requests      []store.Request
	Plans         map[uuid.UUID]string // present plan of each key
	Status, Owner string               // filter
	Statuses      []store.RequestStatus
	At            string // id of the request whose form has a fault
	Answer        string // as typed
	pages
}

// anyStatus is the value of the filter for requests that are open or decided.
const anyStatus = "any"

func listRequests(v *visit) error {
	v.remember()
	return v.requests(http.StatusOK, v.notice("requests", "approved", "declined"), &requestList{}, nil)
}

// requests shows the requests that the URL's query selects; open ones if it does not say.
func (v *visit) requests(status int, notice string, l *requestList, bad faults) error {
	given := v.r.URL.Query()
	texts, err := typed(given, "owner", "status")
	if err != nil {
		return err
	}
	l.Owner, l.Status = texts[0], texts[1]
	l.Statuses = []store.RequestStatus{store.RequestOpen, store.RequestApproved, store.RequestDeclined, store.RequestWithdrawn}
	f := store.RequestFilter{Owner: l.Owner, Status: store.RequestStatus(l.Status), After: v.afterOf(), Limit: requestsOnPage}
	switch {
	case l.Status == anyStatus:
		f.Status = ""
	case !slices.Contains(l.Statuses, f.Status):
		f.Status, l.Status = store.RequestOpen, string(store.RequestOpen)
	}
	var next uuid.UUID
	if l.Requests, next, err = v.service.Requests(v.context(), v.workspace.ID, f); err != nil {
		return err
	}
	if l.Plans, err = v.plansOf(l.Requests); err != nil {
		return err
	}
	l.pages = pagesOf(f.After, next, "owner", l.Owner, "status", l.Status)
	return v.renderView(status, &view{
		Page: "requests", Title: v.language.Text("requests.title"), Notice: notice, Content: l, Faults: bad,
	})
}

// plansOf returns the present plan of each key that the requests are for.
func (v *visit) plansOf(requests []store.Request) (map[uuid.UUID]string, error) {
	plans := make(map[uuid.UUID]string, len(requests))
	for i := range requests {
		id := requests[i].Key
		if _, known := plans[id]; known {
			continue
		}
		k, err := v.service.Key(v.context(), v.workspace.ID, id)
		if err != nil {
			return nil, err
		}
		plans[id] = k.Plan
	}
	return plans, nil
}

// decideRequest approves or declines the request in the path, with an answer to the owner.
func decideRequest(v *visit) error {
	id, ok := store.ParseID(v.r.PathValue("id"))
	if !ok {
		return errNowhere
	}
	var bad faults
	d := authz.Decision{
		Status: store.RequestStatus(v.r.PostForm.Get("decision")), Answer: v.tokenless(v.r.PostForm, "answer-"+id.String(), "answer", &bad),
	}
	if d.Status != store.RequestApproved && d.Status != store.RequestDeclined {
		return errForm
	}
	again := func(status int, bad faults) error {
		return v.requests(status, "", &requestList{At: id.String(), Answer: d.Answer}, bad)
	}
	if len(bad) > 0 {
		return again(http.StatusUnprocessableEntity, bad)
	}
	_, err := v.service.DecideRequest(v.context(), v.workspace.ID, id, d)
	var input authz.InputError
	switch {
	case err == nil:
		return v.redirect(v.path("operator", "requests") + v.done(string(d.Status), "requests"))
	case errors.As(err, &input):
		bad = v.faultsOf(input)
		for i := range bad {
			bad[i].Field = "answer-" + id.String()
		}
		return again(http.StatusUnprocessableEntity, bad)
	case errors.Is(err, authz.ErrDecided):
		return again(http.StatusConflict, v.fault("", "fault.request.decided"))
	case errors.Is(err, authz.ErrNotActive):
		return again(http.StatusConflict, v.fault("", "fault.request.state"))
	case errors.Is(err, authz.ErrNotOffered):
		return again(http.StatusConflict, v.fault("", "fault.request.gone"))
	}
	return err
}

// toRequests redirects from a form's address, for example after a reload, to the list.
func toRequests(v *visit) error { return v.redirect(v.path("operator", "requests")) }
