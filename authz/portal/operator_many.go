package portal

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// The actions for many keys. A new plan, scopes and an expiry have a value, which the preview needs.
const (
	doRevoke = "revoke"
	doPause  = "pause"
	doResume = "resume"
	doPlan   = "plan"
	doScopes = "scopes"
	doExpiry = "expiry"
)

var manyActions = []string{doRevoke, doPause, doResume, doPlan, doScopes, doExpiry}

// manyPage is the data of the pages for a change of many keys: the selection, then the keys that would change, then the
// changed keys.
type manyPage struct {
	Do, Value            string // an action and its value, as typed
	Reason               string // of a pause, as typed
	Owner, Scope, Before string // as typed; Before is yyyy-mm-dd
	Unused               string // days, as typed
	Ticked               []uuid.UUID
	Asked                bool // there is a selection
	Keys                 []shownKey
	More                 bool // the selection has further keys
	Most                 int  // keys in one change
	Number               string
	UsableAfter          int // seconds
	Failed               bool
}

// Actions returns the possible values of Do.
func (p *manyPage) Actions() []string { return manyActions }

// Revokes reports whether the action can't be undone.
func (p *manyPage) Revokes() bool { return p.Do == doRevoke }

// Takes reports whether the action has a value.
func (p *manyPage) Takes() bool { return slices.Contains([]string{doPlan, doScopes, doExpiry}, p.Do) }

// TakesAlong reports whether the action also revokes or pauses the keys under the listed keys.
func (p *manyPage) TakesAlong() bool {
	return (p.Do == doRevoke || p.Do == doPause) && slices.ContainsFunc(p.Keys, func(k shownKey) bool { return k.Delegates })
}

// IDs returns the ids of the listed keys. Only these are changed, even if the selection later matches others.
func (p *manyPage) IDs() string {
	ids := make([]string, len(p.Keys))
	for i, k := range p.Keys {
		ids[i] = k.ID.String()
	}
	return strings.Join(ids, ",")
}

// manyOf reads the fields of a selection and of an action except the ids.
func manyOf(from url.Values) (p *manyPage, err error) {
	texts, err := typed(from, "owner", "scope", "before", "unused", "do", "value")
	if err != nil {
		return nil, err
	}
	p = &manyPage{
		Owner: texts[0], Scope: texts[1], Before: texts[2], Unused: texts[3], Do: texts[4], Value: texts[5],
		Most: authz.MaxAtOnce, UsableAfter: int(usableAfter / time.Second),
	}
	if !slices.Contains(manyActions, p.Do) {
		p.Do = doRevoke
	}
	return p, nil
}

// selectKeys lists the keys that a selection matches and an action would change. Nothing is changed yet.
func selectKeys(v *visit) error {
	v.remember()
	given := v.r.URL.Query()
	p, err := manyOf(given)
	if err != nil {
		return err
	}
	if p.Ticked, err = idsOf(given["id"]); err != nil {
		return err
	}
	sel := authz.Selection{IDs: p.Ticked, Owner: p.Owner, Scope: p.Scope}
	if p.Before != "" {
		if sel.CreatedBefore, err = time.Parse(time.DateOnly, p.Before); err != nil {
			return v.many(http.StatusUnprocessableEntity, p, v.fault("before", "fault.date"))
		}
	}
	var ok bool
	if sel.UnusedFor, ok = daysOf(p.Unused); !ok {
		return v.many(http.StatusUnprocessableEntity, p, v.fault("unused", "fault.unused", "most", mostDays))
	}
	if len(p.Ticked) == 0 && p.Owner == "" && p.Scope == "" && p.Before == "" && p.Unused == "" {
		if given.Has("owner") { // the form was sent without input
			return v.many(http.StatusUnprocessableEntity, p, v.fault("owner", "fault.many.which"))
		}
		return v.many(http.StatusOK, p, nil)
	}
	if p.Takes() && !given.Has("value") { // the form for it comes first
		return v.many(http.StatusOK, p, nil)
	}
	return v.wouldGo(http.StatusOK, p, sel, nil)
}

func (v *visit) many(status int, p *manyPage, bad faults) error {
	return v.render(status, "many", "many.title", p, bad...)
}

// patch returns the change of an action that is not doRevoke.
func (v *visit) patch(p *manyPage) (change authz.KeyPatch, bad faults) {
	enabled := p.Do == doResume
	switch p.Do {
	case doPause:
		if change.Enabled = &enabled; p.Reason != "" {
			change.SuspendedReason = &p.Reason
		}
	case doResume:
		change.Enabled = &enabled
	case doPlan:
		change.Plan = &p.Value
	case doScopes:
		scopes := strings.Fields(p.Value)
		change.Scopes = &scopes
	case doExpiry:
		date, err := time.Parse(time.DateOnly, p.Value)
		until := endOf(date)
		if change.ExpiresAt = &until; err != nil {
			return change, v.fault("value", "fault.expiry.date")
		} else if !until.After(v.now()) {
			return change, v.fault("value", "fault.expiry.past")
		}
	}
	return change, nil
}

// act does the action for the selected keys or, with dry, returns those that it would change.
func (v *visit) act(p *manyPage, sel authz.Selection, dry bool) (keys []store.Key, more bool, bad faults, err error) {
	if p.Do == doRevoke {
		keys, more, err = v.service.RevokeMany(v.context(), v.workspace.ID, sel, dry)
		return keys, more, v.usageFault(err), err
	}
	change, bad := v.patch(p)
	if len(bad) > 0 {
		return nil, false, bad, nil
	}
	keys, next, err := v.service.UpdateMany(v.context(), v.workspace.ID, sel, change, dry)
	var input authz.InputError
	if errors.As(err, &input) {
		for i := range input {
			input[i].Field = strings.TrimPrefix(input[i].Field, "change.")
		}
		if bad = v.faultsOf(input); p.Takes() {
			bad[0].Field = "value"
		}
		return keys, false, bad[:1], err
	}
	return keys, next != uuid.Nil, v.usageFault(err), err
}

// wouldGo shows the keys that a selection matches, with the form that changes them.
func (v *visit) wouldGo(status int, p *manyPage, sel authz.Selection, bad faults) error {
	keys, more, refused, err := v.act(p, sel, true)
	var usage *authz.UsageError
	switch {
	case errors.As(err, &usage):
		return v.many(http.StatusConflict, p, refused)
	case len(refused) > 0:
		return v.many(http.StatusUnprocessableEntity, p, refused)
	case err != nil:
		return err
	}
	p.Asked, p.Keys, p.More = true, v.showAll(keys), more
	return v.many(status, p, bad)
}

// changeKeys changes the listed keys if their number was typed as a confirmation.
func changeKeys(v *visit) error {
	given := v.r.PostForm
	p, err := manyOf(given)
	if err != nil {
		return err
	}
	ids, err := idsOf(strings.Split(given.Get("ids"), ","))
	if err != nil || len(ids) == 0 {
		return errForm
	}
	// A key that was used after it was listed must not be changed.
	unused, ok := daysOf(p.Unused)
	if !ok {
		return errForm
	}
	var bad faults
	p.Reason = v.tokenless(given, "reason", "reason", &bad)
	sel := authz.Selection{IDs: ids, UnusedFor: unused}
	if p.Number = strings.TrimSpace(given.Get("number")); p.Number != strconv.Itoa(len(ids)) {
		bad = append(bad, v.fault("number", "fault.number", "n", len(ids))...)
	}
	if len(bad) > 0 {
		return v.wouldGo(http.StatusUnprocessableEntity, p, sel, bad)
	}
	keys, _, refused, err := v.act(p, sel, false)
	if len(refused) > 0 && len(keys) == 0 {
		return v.many(http.StatusConflict, p, refused)
	}
	return v.haveGone(p, keys, err)
}

// haveGone lists the changed keys, including after an error that stopped the change.
func (v *visit) haveGone(p *manyPage, keys []store.Key, err error) error {
	status, title := http.StatusOK, "gone.title"
	switch {
	case err != nil && len(keys) == 0:
		return err
	case err != nil:
		v.log.Error("a bulk change ended early", "request_id", v.requestID(), "action", p.Do, "changed", len(keys), "error", err)
		status, p.Failed = http.StatusServiceUnavailable, true
		v.retryAfter(soon)
	}
	if !p.Revokes() {
		title = "changed.title"
	}
	p.Keys = v.showAll(keys)
	return v.render(status, "gone", title, p)
}

// idsOf reads the ids of keys, without duplicates.
func idsOf(texts []string) (ids []uuid.UUID, err error) {
	if len(texts) > authz.MaxAtOnce {
		return nil, errNowhere
	}
	seen := map[uuid.UUID]bool{}
	for _, text := range texts {
		id, ok := store.ParseID(text)
		if !ok {
			return nil, errNowhere
		}
		if !seen[id] {
			ids = append(ids, id)
		}
		seen[id] = true
	}
	return ids, nil
}
