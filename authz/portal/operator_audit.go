package portal

import (
	"net/url"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

// auditPage is the content of the audit's page.
type auditPage struct {
	Owner, Key, Action, Actor, Result, Since, Until string // as typed; the days are yyyy-mm-dd
	Actions, Results                                []string
	Records                                         []record
	Next                                            string // the query of the next page, or empty
	Exported                                        string // the query of an export
	Most                                            int    // entries in it
	First                                           bool
}

// record is an entry of the audit as operators see it: all of it.
type record struct {
	store.Entry
	Name string  // of the key, if any; see nameOf
	More excerpt // the detail
}

// About says whether it is about a key.
func (r record) About() bool { return r.Key != uuid.Nil }

// OK says whether it was done.
func (r record) OK() bool { return r.Result == store.ResultOK }

func (v *visit) records(entries []store.Entry) []record {
	all := make([]record, len(entries))
	for i, e := range entries {
		all[i] = record{Entry: e, Name: v.nameOf(&e), More: excerptOf(e.Detail)}
	}
	return all
}

// shownRecords is what the template of records sees.
type shownRecords struct {
	*view
	Records []record
}

// RecordsOf prepares records to be shown.
func (p *view) RecordsOf(all []record) shownRecords { return shownRecords{p, all} }

func showAudit(v *visit) error {
	v.remember()
	p, f, bad, err := v.auditOf(v.r.URL.Query())
	if err != nil {
		return err
	}
	if len(bad) == 0 {
		if err := v.readAudit(p, f); err != nil {
			return err
		}
	}
	return v.again(statusOf(bad), "audit", "audit.title", p, bad)
}

func (v *visit) readAudit(p *auditPage, f store.AuditFilter) error {
	f.After, f.Limit = v.afterOf(), eventsOnPage
	entries, next, err := v.service.Audit(v.context(), v.workspace.ID, f)
	if err != nil {
		return err
	}
	p.First = f.After == uuid.Nil
	if next != uuid.Nil {
		p.Next = p.query(next.String())
	}
	p.Records = v.records(entries)
	return nil
}

// query is that of the same entries, of those behind one.
func (p *auditPage) query(after string) string {
	return query("owner", p.Owner, "key", p.Key, "action", p.Action, "actor", p.Actor,
		"result", p.Result, "since", p.Since, "until", p.Until, "after", after)
}

// auditOf reads the fields of the filter.
func (v *visit) auditOf(from url.Values) (p *auditPage, f store.AuditFilter, bad faults, err error) {
	texts, err := typed(from, "owner", "key", "action", "actor", "result", "since", "until")
	if err != nil {
		return nil, f, nil, err
	}
	p = &auditPage{
		Owner: texts[0], Key: texts[1], Action: texts[2], Actor: texts[3], Result: texts[4], Since: texts[5], Until: texts[6],
		Actions: store.Actions(), Results: []string{store.ResultOK, store.ResultRefused}, Most: exportMost, First: true,
	}
	p.Exported = p.query("")
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

// dayOf is the beginning of a day in UTC, some days on; the zero time where none is named.
func dayOf(text string, on int) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.DateOnly, text)
	return at.AddDate(0, 0, on), err
}
