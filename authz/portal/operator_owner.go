package portal

import (
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// ownerPage is the data of the operators' page about one owner, with a table of the keys.
type ownerPage struct {
	keyTable
	States   []stateCount // of the newest keys
	All      bool         // these are all keys
	LastUsed time.Time    // of these keys; zero: no use is known
	Limits   *store.LimitSet
	Open     int // requests that wait, up to store.MaxOpenOfOwner
}

type stateCount struct {
	State store.Status
	N     int
}

// showOwner shows the owner that the query names. An owner without keys has a page, too.
func showOwner(v *visit) error {
	v.remember()
	t, err := v.allKeys()
	if err != nil {
		return err
	}
	if t.Owner == "" {
		return errNowhere
	}
	p := &ownerPage{keyTable: *t}
	if err := v.countStates(p); err != nil {
		return err
	}
	if p.Limits, err = v.limitsOf(p.Owner); err != nil {
		return err
	}
	open, _, err := v.service.Requests(v.context(), v.workspace.ID, store.RequestFilter{
		Owner: p.Owner, Status: store.RequestOpen, Limit: store.MaxOpenOfOwner,
	})
	if err != nil {
		return err
	}
	p.Open = len(open)
	return v.renderView(http.StatusOK, &view{Page: "owner", Title: p.Owner, Content: p})
}

// countStates counts the owner's newest keys by status.
func (v *visit) countStates(p *ownerPage) error {
	keys, next, err := v.service.Keys(v.context(), v.workspace.ID, store.Filter{Owner: p.Owner, Limit: lookedAt})
	if err != nil {
		return err
	}
	counts := map[store.Status]int{}
	for i := range keys {
		counts[keys[i].Status(v.now())]++
		if keys[i].LastUsedAt.After(p.LastUsed) {
			p.LastUsed = keys[i].LastUsedAt
		}
	}
	for _, state := range v.statuses() {
		p.States = append(p.States, stateCount{state, counts[state]})
	}
	p.All = next == uuid.Nil
	return nil
}

// limitsOf returns the limits that all keys of an owner share, or nil.
func (v *visit) limitsOf(owner string) (*store.LimitSet, error) {
	for _, name := range []string{owner, jwks.AnyName} {
		l, err := v.service.Limits(v.r.Context(), v.workspace.ID, jwks.OnOwner, name)
		if err == nil {
			return &l, nil
		}
		if !errors.Is(err, authz.ErrNotFound) {
			return nil, err
		}
	}
	return nil, nil
}
