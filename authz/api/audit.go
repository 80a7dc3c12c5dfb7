package api

import (
	"bytes"
	"context"
	"net/url"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// Entry is an audit entry as the API shows it.
type Entry struct {
	ID     string    `json:"id" format:"uuid"`
	At     time.Time `json:"at"`
	Actor  Actor     `json:"actor"`
	Action Action    `json:"action"`
	Key    string    `json:"key,omitempty" format:"uuid"`
	Owner  string    `json:"owner,omitempty"`
	Result string    `json:"result" enum:"ok,refused"`
	Detail object    `json:"detail"`
}

// Action is a kind of change or refusal.
type Action string

// Schema implements huma.SchemaProvider: it lists the store's actions.
func (Action) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString}
	for _, action := range store.Actions() {
		s.Enum = append(s.Enum, action)
	}
	return s
}

// Actor is who did something.
type Actor struct {
	Kind string `json:"kind" example:"key"`
	ID   string `json:"id,omitempty"`
	From string `json:"from,omitempty" doc:"Address of the client"`
}

// EntryList is one page, the latest entry first.
type EntryList struct {
	Entries    []Entry `json:"entries" nullable:"false"`
	NextCursor *string `json:"next_cursor" doc:"For the next page, even if this one is short or empty; null on the last page"`
}

type auditInput struct {
	WSPath
	Page
	Owner  string    `query:"owner" doc:"About this owner's keys"`
	Key    string    `query:"key" doc:"About this key"`
	Action Action    `query:"action" doc:"This action"`
	Actor  string    `query:"actor" doc:"By this key or session"`
	Result string    `query:"result" enum:"ok,refused" doc:"With this result"`
	Since  time.Time `query:"since" doc:"At this time or later"`
	Until  time.Time `query:"until" doc:"Before this time"`
}

func (a *api) audit(h huma.API) {
	const list = "GET /v1/workspaces/{ws}/audit"
	read := []string{authz.ScopeAuditRead}
	register(a, h, call{id: "list-audit", route: list, summary: "List audit entries, the latest first", scopes: read}, body(a.listAudit))
	register(a, h, call{
		id: "export-audit", route: list + ".csv", summary: "List audit entries as CSV", scopes: read, content: "text/csv",
	}, a.exportAudit)
}

func (in *auditInput) filter() (f store.AuditFilter, err error) {
	f = store.AuditFilter{
		Owner: in.Owner, Action: string(in.Action), ActorID: in.Actor, Result: in.Result, Since: in.Since, Until: in.Until, Limit: in.Limit,
	}
	if in.Key != "" {
		var ok bool
		if f.Key, ok = store.ParseID(in.Key); !ok {
			return f, authz.Invalid("key", authz.RuleNotKeyID)
		}
	}
	f.After, err = in.afterKey()
	return f, err
}

func (a *api) listAudit(ctx context.Context, in *auditInput) (EntryList, error) {
	found, next, err := a.entries(ctx, in)
	list := EntryList{Entries: []Entry{}, NextCursor: next}
	for _, e := range found {
		list.Entries = append(list.Entries, showEntry(e))
	}
	return list, err
}

func (a *api) entries(ctx context.Context, in *auditInput) (found []store.Entry, next *string, err error) {
	f, err := in.filter()
	if err != nil {
		return nil, nil, err
	}
	found, last, err := a.service.Audit(ctx, in.WS, f)
	return found, cursorAt(last), err
}

func showEntry(e store.Entry) Entry {
	return Entry{
		ID: e.ID.String(), At: e.At, Actor: Actor{Kind: e.Actor.Kind, ID: e.Actor.ID, From: e.Actor.From},
		Action: Action(e.Action), Key: optionalID(e.Key), Owner: e.Owner, Result: e.Result, Detail: object(e.Detail),
	}
}

// exportAudit returns a page as CSV. The URL of the next page is in the header Link (RFC 8288).
func (a *api) exportAudit(ctx context.Context, in *auditInput) (*csvAnswer, error) {
	found, next, err := a.entries(ctx, in)
	if err != nil {
		return nil, err
	}
	answer := &csvAnswer{ContentType: "text/csv; charset=utf-8", Disposition: `attachment; filename="audit.csv"`}
	if next != nil {
		answer.Link = "<?" + in.next(*next) + `>; rel="next"`
	}
	text := bytes.NewBufferString(authz.CSVMark)
	err = authz.WriteAuditCSV(text, found)
	answer.Body = text.Bytes()
	return answer, err
}

// next returns the query of the next page of the same list.
func (in *auditInput) next(cursor string) string {
	query := url.Values{"cursor": {cursor}, "limit": {strconv.Itoa(in.Limit)}}
	for name, value := range map[string]string{
		"owner": in.Owner, "key": in.Key, "action": string(in.Action), "actor": in.Actor, "result": in.Result,
		"since": timeText(in.Since), "until": timeText(in.Until),
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return query.Encode()
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}

type csvAnswer struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Link        string `header:"Link"`
	Body        []byte
}
