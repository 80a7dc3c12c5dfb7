package portal

import (
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

type auditPage struct {
	Owner, Key, Action, Actor, Result, Since, Until string // as typed; the days are yyyy-mm-dd
	Actions, Results                                []string
	Records                                         []record
	Exported                                        string // the query of an export
	Most                                            int    // entries in it
	pages
}

func showAudit(v *visit) error {
	v.remember()
	p, f, bad, err := v.auditOf(v.r.URL.Query())
	if err != nil {
		return err
	}
	if len(bad) > 0 {
		return v.render(http.StatusUnprocessableEntity, "audit", "audit.title", p, bad...)
	}
	f.After, f.Limit = v.afterOf(), recordsOnPage
	var next uuid.UUID
	if p.Records, next, err = v.records(f); err != nil {
		return err
	}
	p.pages = pagesOf(f.After, next, p.filter()...)
	return v.render(http.StatusOK, "audit", "audit.title", p)
}

func (p *auditPage) filter() []string {
	return []string{
		"owner", p.Owner, "key", p.Key, "action", p.Action, "actor", p.Actor, "result", p.Result, "since", p.Since, "until", p.Until,
	}
}

// auditOf reads the filter's fields.
func (v *visit) auditOf(from url.Values) (p *auditPage, f store.AuditFilter, bad faults, err error) {
	texts, err := typed(from, "owner", "key", "action", "actor", "result", "since", "until")
	if err != nil {
		return nil, f, nil, err
	}
	p = &auditPage{
		Owner: texts[0], Key: texts[1], Action: texts[2], Actor: texts[3], Result: texts[4], Since: texts[5], Until: texts[6],
		Actions: store.Actions(), Results: []string{store.ResultOK, store.ResultRefused}, Most: exportMost, pages: pages{First: true},
	}
	p.Exported = query(p.filter()...)
	f = store.AuditFilter{Owner: p.Owner, Action: p.Action, ActorID: p.Actor, Result: p.Result}
	if p.Key != "" {
		var ok bool
		if f.Key, ok = store.ParseID(sought(p.Key)); !ok {
			bad = append(bad, v.fault("key", "fault.key")...)
		}
	}
	if f.Since, err = dayOf(p.Since, 0); err != nil {
		bad = append(bad, v.fault("since", "fault.date")...)
	}
	if f.Until, err = dayOf(p.Until, 1); err != nil {
		bad = append(bad, v.fault("until", "fault.date")...)
	}
	return p, f, bad, nil
}

// dayOf returns the start of a day in UTC plus some days, or the zero time for an empty string.
func dayOf(text string, on int) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.DateOnly, text)
	return at.AddDate(0, 0, on), err
}
