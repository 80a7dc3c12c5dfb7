package portal

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// manyPage is the data of the pages for a bulk revocation: the selection, then the keys to be revoked,
// then the revoked keys.
type manyPage struct {
	Owner, Scope, Before string // as typed; Before is yyyy-mm-dd
	Unused               string // days, as typed
	Asked                bool   // there is a selection
	Keys                 []shownKey
	More                 bool // the selection has further keys
	Most                 int  // keys in one revocation
	Number               string
	UsableAfter          int // seconds
	Failed               bool
}

// IDs returns the ids of the listed keys. Only these are revoked, even if the selection later matches
// others.
func (p *manyPage) IDs() string {
	ids := make([]string, len(p.Keys))
	for i, k := range p.Keys {
		ids[i] = k.ID.String()
	}
	return strings.Join(ids, ",")
}

// manyOf reads the fields of a selection except the ids.
func manyOf(from url.Values) (p *manyPage, err error) {
	texts, err := typed(from, "owner", "scope", "before", "unused")
	if err != nil {
		return nil, err
	}
	return &manyPage{
		Owner: texts[0], Scope: texts[1], Before: texts[2], Unused: texts[3],
		Most: authz.MaxAtOnce, UsableAfter: int(usableAfter / time.Second),
	}, nil
}

// selectKeys lists the keys that a selection matches. Nothing is revoked yet.
func selectKeys(v *visit) error {
	v.remember()
	given := v.r.URL.Query()
	p, err := manyOf(given)
	if err != nil {
		return err
	}
	ids, err := idsOf(given["id"])
	if err != nil {
		return err
	}
	sel := authz.Selection{IDs: ids, Owner: p.Owner, Scope: p.Scope}
	if p.Before != "" {
		if sel.CreatedBefore, err = time.Parse(time.DateOnly, p.Before); err != nil {
			return v.render(http.StatusUnprocessableEntity, "many", "many.title", p, v.fault("before", "fault.date")...)
		}
	}
	var ok bool
	if sel.UnusedFor, ok = daysOf(p.Unused); !ok {
		return v.render(http.StatusUnprocessableEntity, "many", "many.title", p, v.fault("unused", "fault.unused", "most", mostDays)...)
	}
	if len(ids) == 0 && p.Owner == "" && p.Scope == "" && p.Before == "" && p.Unused == "" {
		if given.Has("owner") { // the form was sent without input
			return v.render(http.StatusUnprocessableEntity, "many", "many.title", p, v.fault("owner", "fault.many.which")...)
		}
		return v.render(http.StatusOK, "many", "many.title", p)
	}
	return v.wouldGo(http.StatusOK, p, sel, nil)
}

// wouldGo shows the keys that a selection matches, with the form that revokes them.
func (v *visit) wouldGo(status int, p *manyPage, sel authz.Selection, bad faults) error {
	keys, more, err := v.service.RevokeMany(v.context(), v.workspace.ID, sel, true)
	if unknown := v.usageFault(err); unknown != nil {
		return v.render(http.StatusConflict, "many", "many.title", p, unknown...)
	}
	if err != nil {
		return err
	}
	p.Asked, p.Keys, p.More = true, v.showAll(keys), more
	return v.render(status, "many", "many.title", p, bad...)
}

// revokeKeys revokes the listed keys if their number was typed as a confirmation.
func revokeKeys(v *visit) error {
	given := v.r.PostForm
	p, err := manyOf(given)
	if err != nil {
		return err
	}
	ids, err := idsOf(strings.Split(given.Get("ids"), ","))
	if err != nil || len(ids) == 0 {
		return errForm
	}
	// A key that was used after it was listed must not be revoked.
	unused, ok := daysOf(p.Unused)
	if !ok {
		return errForm
	}
	sel := authz.Selection{IDs: ids, UnusedFor: unused}
	if p.Number = strings.TrimSpace(given.Get("number")); p.Number != strconv.Itoa(len(ids)) {
		return v.wouldGo(http.StatusUnprocessableEntity, p, sel, v.fault("number", "fault.number", "n", len(ids)))
	}
	keys, _, err := v.service.RevokeMany(v.context(), v.workspace.ID, sel, false)
	if unknown := v.usageFault(err); unknown != nil {
		return v.render(http.StatusConflict, "many", "many.title", p, unknown...)
	}
	return v.haveGone(p, keys, err)
}

// haveGone lists the revoked keys, including after an error that stopped the revocation.
func (v *visit) haveGone(p *manyPage, keys []store.Key, err error) error {
	status := http.StatusOK
	switch {
	case err != nil && len(keys) == 0:
		return err
	case err != nil:
		v.log.Error("a bulk revocation ended early", "request_id", v.requestID(), "revoked", len(keys), "error", err)
		status, p.Failed = http.StatusServiceUnavailable, true
		v.retryAfter(soon)
	}
	p.Keys = v.showAll(keys)
	return v.render(status, "gone", "gone.title", p)
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
