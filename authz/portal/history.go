package portal

import (
	"encoding/json"
	"net/http"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

type historyPage struct {
	Records []record
	pages
}

// record is an audit entry as pages show it. Owners see only parts of the entry.
type record struct {
	store.Entry
	Name string  // of the key, if any; see nameOf
	What string  // message of what was done
	More excerpt // the detail
}

// About reports whether the record is about a key.
func (r record) About() bool { return r.Key != uuid.Nil }

// OK reports whether the action succeeded.
func (r record) OK() bool { return r.Result == store.ResultOK }

const recordsOnPage = 50

func showHistory(v *visit) error {
	v.remember()
	after := v.afterOf()
	records, next, err := v.records(store.AuditFilter{After: after, Limit: recordsOnPage})
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "history", "history.title", &historyPage{records, pagesOf(after, next)})
}

// records returns audit entries, the latest first, and the id after which the next page continues. Owners
// see only their own entries, without the creation of links: the producer may create a link for every
// visit, and the login with it has an entry of its own.
func (v *visit) records(f store.AuditFilter) (records []record, next uuid.UUID, err error) {
	all := isOperator(&v.session)
	if !all {
		f.Owner = v.session.Owner
	}
	for range pagesRead {
		entries, last, err := v.service.Audit(v.context(), v.workspace.ID, f)
		if err != nil {
			return nil, uuid.Nil, err
		}
		for _, e := range entries {
			switch {
			case all:
				records = append(records, record{e, v.nameOf(&e), v.whatOf(&e), excerptOf(e.Detail)})
			case e.Action != store.ActionSessionCreate:
				records = append(records, record{ownEntry(e), v.nameOf(&e), v.whatOf(&e), excerpt{}})
				f.Limit--
			}
		}
		if next = last; all || next == uuid.Nil || f.Limit == 0 {
			break
		}
		f.After = next
	}
	return records, next, nil
}

// ownEntry removes from an entry what owners must not see: the actor's name, the detail, and the address
// of any actor that acts for the producer.
func ownEntry(e store.Entry) store.Entry {
	from := ""
	switch e.Actor.Kind {
	case store.ActorSession, store.ActorOIDC, store.ActorToken:
		from = e.Actor.From
	}
	e.Actor, e.Detail = store.Actor{Kind: e.Actor.Kind, From: from}, nil
	return e
}

// whatOf returns the message that names the action or, for the change of a single field of a key, that change.
func (v *visit) whatOf(e *store.Entry) string {
	action := "action." + e.Action
	var fields map[string]struct {
		After any `json:"after"`
	}
	if e.Action != store.ActionKeyUpdate || json.Unmarshal(e.Detail, &fields) != nil {
		return action
	}
	if enabled, ok := fields["enabled"]; ok {
		delete(fields, "suspended_reason")
		fields[map[bool]string{true: "resumed", false: "paused"}[enabled.After == true]] = enabled
		delete(fields, "enabled")
	}
	if len(fields) > 1 {
		delete(fields, "ceiling")
	}
	for field := range fields {
		if change := "change." + field; len(fields) == 1 && v.language.Has(change) {
			return change
		}
	}
	return action
}

// nameOf returns the name that an entry's key had at the time, or an empty string if the entry is not
// about a key. If the detail has no name, nameOf returns the key's id.
func (v *visit) nameOf(e *store.Entry) string {
	if e.Key == uuid.Nil {
		return ""
	}
	var detail struct {
		Name any `json:"name"` // text, or an object with the name before and after
	}
	_ = json.Unmarshal(e.Detail, &detail) // without a detail, there is no name
	name := detail.Name
	if change, ok := name.(map[string]any); ok {
		name = change["after"]
	}
	switch text, ok := name.(string); {
	case !ok:
		return v.language.Text("key.which", "id", shortOf(e.Key))
	case text == "":
		return v.language.Text("key.unnamed", "id", shortOf(e.Key))
	default:
		return text
	}
}
