package portal

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

// eventList is the content of the history's page.
type eventList struct {
	Events []event
	Next   string // the query of the next page, or empty
	First  bool
}

// event is an entry of the audit as owners see it.
type event struct {
	At     time.Time
	Action string
	About  bool      // it is about a key
	Key    uuid.UUID // that one
	Name   string    // of the key, if it is about one; see nameOf
	Who    string    // store.Actor's kind
	From   string    // an address, or empty
	OK     bool
}

const eventsOnPage = 50

func showHistory(v *visit) error {
	v.remember()
	after := v.afterOf()
	events, next, err := v.events(store.AuditFilter{After: after, Limit: eventsOnPage})
	if err != nil {
		return err
	}
	l := &eventList{Events: events, First: after == uuid.Nil}
	if next != uuid.Nil {
		l.Next = "?after=" + next.String()
	}
	return v.render(http.StatusOK, "history", "history.title", l)
}

// events returns the owner's own, the newest first, and where the next page begins. That
// the provider made a link is none of them: it may do so whenever somebody looks at a page
// of its own, and who came by one is noted, too.
func (v *visit) events(f store.AuditFilter) (events []event, next uuid.UUID, err error) {
	f.Owner = v.session.Owner
	for range pagesRead {
		entries, last, err := v.service.Audit(v.context(), v.workspace.ID, f)
		if err != nil {
			return nil, uuid.Nil, err
		}
		for _, e := range entries {
			if e.Action != store.ActionSessionCreate {
				events = append(events, v.eventOf(&e))
				f.Limit--
			}
		}
		if next = last; next == uuid.Nil || f.Limit == 0 {
			break
		}
		f.After = next
	}
	return events, next, nil
}

func (v *visit) eventOf(e *store.Entry) event {
	shown := event{
		At: e.At, Action: e.Action, About: e.Key != uuid.Nil, Key: e.Key, Name: v.nameOf(e), Who: e.Actor.Kind, OK: e.Result == store.ResultOK,
	}
	switch e.Actor.Kind {
	case store.ActorSession, store.ActorOIDC, store.ActorToken: // the owner's own side
		shown.From = e.Actor.From
	}
	return shown
}

// nameOf is what an entry's key was called then, and empty where the entry is about none.
// Not every detail says it: then the key may have a name.
func (v *visit) nameOf(e *store.Entry) string {
	if e.Key == uuid.Nil {
		return ""
	}
	var detail struct {
		Name any `json:"name"` // text, or what it was before and after
	}
	_ = json.Unmarshal(e.Detail, &detail) // without it, there is no name
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

// shownEvents is what the template of events sees.
type shownEvents struct {
	*view
	Events []event
	Links  bool // to the keys
}

// EventsOf prepares events to be shown.
func (p *view) EventsOf(events []event, links bool) shownEvents { return shownEvents{p, events, links} }
