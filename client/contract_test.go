package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/client"
)

// operation is an operation of the document.
type operation struct {
	method, path string
	Security     []any `json:"security"`
	Parameters   []struct{ Name, In string }
	RequestBody  *content
	Responses    map[string]content
}

type content struct {
	Content map[string]struct{ Schema schema }
}

func (c *content) schema(kind string) *schema {
	if c == nil {
		return nil
	}
	if found, ok := c.Content[kind]; ok {
		return &found.Schema
	}
	return nil
}

type document struct {
	Paths      map[string]map[string]json.RawMessage
	Components struct{ Schemas map[string]schema }
}

// Pages of lists.
type (
	workspaceList struct {
		Workspaces []client.Workspace `json:"workspaces"`
		pageEnd
	}
	keyList struct {
		Keys []client.Key `json:"keys"`
		pageEnd
	}
	planList struct {
		Plans []client.Plan `json:"plans"`
		pageEnd
	}
	limitsList struct {
		Limits []client.SharedLimits `json:"limits"`
		pageEnd
	}
	entryList struct {
		Entries []client.Entry `json:"entries"`
		pageEnd
	}
	requestList struct {
		Requests []client.Request `json:"requests"`
		pageEnd
	}
	pageEnd struct {
		NextCursor *string `json:"next_cursor"`
	}
)

// decision has the members of the body of a decision.
type decision struct {
	Answer string `json:"answer"`
}

type importKeys struct {
	Keys []client.ImportKey `json:"keys"`
}

// keyPatch has the members that a patch of a key can change.
type keyPatch struct {
	client.Key
	NeverExpires bool `json:"never_expires"`
}

// binding connects an operation to the client: the call, and the types of its body and its answer. The patch
// type lists the members that a patch can change.
type binding struct {
	call    func(context.Context, *client.Client) error // with all parameters
	in, out any
	patch   any
}

func call[T any](_ T, err error) error { return err }

// page requests the first page of a list.
func page[T any](ctx context.Context, l client.List[T]) error {
	return call(l.Page(ctx, 7, "cursor"))
}

var (
	everyKey   = client.KeyFilter{Parent: "01939f4e-8a2b-7c3d-9e4f-5a6b7c8d9e0f", Owner: "o", Status: "active", Plan: "p", Query: "q"}
	everyEntry = client.AuditFilter{
		Owner: "o", Key: "k", Action: "a", Actor: "b", Result: "ok", Since: time.Unix(1, 0), Until: time.Unix(2, 0),
	}
)

var bindings = map[string]binding{
	"create-workspace": {in: client.NewWorkspace{}, out: client.Workspace{}, call: func(ctx context.Context, c *client.Client) error {
		return call(c.CreateWorkspace(ctx, client.NewWorkspace{}))
	}},
	"list-workspaces": {out: workspaceList{}, call: func(ctx context.Context, c *client.Client) error {
		return page(ctx, c.Environments("{ws}"))
	}},
	"get-workspace": {out: client.Workspace{}, call: func(ctx context.Context, c *client.Client) error {
		return call(c.Workspace(ctx, "{ws}"))
	}},
	"update-workspace": {patch: client.Workspace{}, out: client.Workspace{}, call: func(ctx context.Context, c *client.Client) error {
		return call(c.UpdateWorkspace(ctx, "{ws}", client.Patch{}))
	}},
	"issue-key": {in: client.NewKey{}, out: client.IssuedKey{}, call: func(ctx context.Context, c *client.Client) error {
		return call(c.IssueKey(ctx, "{ws}", client.NewKey{}, "once"))
	}},
	"list-keys": {out: keyList{}, call: func(ctx context.Context, c *client.Client) error { return page(ctx, c.Keys("{ws}", everyKey)) }},
	"get-key":   {out: client.Key{}, call: func(ctx context.Context, c *client.Client) error { return call(c.Key(ctx, "{ws}", "{id}")) }},
	"update-key": {patch: keyPatch{}, out: client.Key{}, call: func(ctx context.Context, c *client.Client) error {
		return call(c.UpdateKey(ctx, "{ws}", "{id}", client.Patch{}))
	}},
	"find-key": {out: client.Key{}, call: func(ctx context.Context, c *client.Client) error { return call(c.FindKey(ctx, "{id}")) }},
	"revoke-key": {out: client.RevokedKey{}, call: func(ctx context.Context, c *client.Client) error {
		return call(c.RevokeKey(ctx, "{ws}", "{id}"))
	}},
	"rotate-key": {in: client.Rotation{}, out: client.IssuedKey{}, call: func(ctx context.Context, c *client.Client) error {
		return call(c.RotateKey(ctx, "{ws}", "{id}", client.Rotation{}, "once"))
	}},
	"end-grace": {out: client.Key{}, call: func(ctx context.Context, c *client.Client) error { return call(c.EndGrace(ctx, "{ws}", "{id}")) }},
	"undo-rotation": {out: client.Key{}, call: func(ctx context.Context, c *client.Client) error {
		return call(c.UndoRotation(ctx, "{ws}", "{id}"))
	}},
	"revoke-keys": {in: client.Selection{}, out: client.RevokedKeys{}, call: func(ctx context.Context, c *client.Client) error {
		return call(c.RevokeKeys(ctx, "{ws}", client.Selection{}))
	}},
	"create-request": {in: client.NewRequest{}, out: client.Request{}, call: func(ctx context.Context, c *client.Client) error {
		return call(c.CreateRequest(ctx, "{ws}", client.NewRequest{}))
	}},
	"list-requests": {out: requestList{}, call: func(ctx context.Context, c *client.Client) error {
		return page(ctx, c.Requests("{ws}", client.RequestFilter{Status: "s", Owner: "o", Key: "k"}))
	}},
	"get-request": {out: client.Request{}, call: func(ctx context.Context, c *client.Client) error {
		return call(c.Request(ctx, "{ws}", "{id}"))
	}},
	"approve-request": {in: decision{}, out: client.Request{}, call: func(ctx context.Context, c *client.Client) error {
		return call(c.ApproveRequest(ctx, "{ws}", "{id}", "a"))
	}},
	"decline-request": {in: decision{}, out: client.Request{}, call: func(ctx context.Context, c *client.Client) error {
		return call(c.DeclineRequest(ctx, "{ws}", "{id}", "a"))
	}},
	"withdraw-request": {in: decision{}, out: client.Request{}, call: func(ctx context.Context, c *client.Client) error {
		return call(c.WithdrawRequest(ctx, "{ws}", "{id}", "a"))
	}},
	"update-keys": {in: client.KeyUpdate{}, out: client.UpdatedKeys{}, call: func(ctx context.Context, c *client.Client) error {
		return call(c.UpdateKeys(ctx, "{ws}", client.KeyUpdate{}))
	}},
	"create-plan": {in: client.NewPlan{}, out: client.Plan{}, call: func(ctx context.Context, c *client.Client) error {
		return call(c.CreatePlan(ctx, "{ws}", client.NewPlan{}))
	}},
	"list-plans": {out: planList{}, call: func(ctx context.Context, c *client.Client) error { return page(ctx, c.Plans("{ws}")) }},
	"get-plan": {out: client.Plan{}, call: func(ctx context.Context, c *client.Client) error {
		return call(c.Plan(ctx, "{ws}", "{name}"))
	}},
	"update-plan": {patch: client.Plan{}, out: client.Plan{}, call: func(ctx context.Context, c *client.Client) error {
		return call(c.UpdatePlan(ctx, "{ws}", "{name}", client.Patch{}))
	}},
	"delete-plan": {call: func(ctx context.Context, c *client.Client) error { return c.DeletePlan(ctx, "{ws}", "{name}") }},
	"list-limits": {out: limitsList{}, call: func(ctx context.Context, c *client.Client) error {
		return page(ctx, c.SharedLimits("{ws}"))
	}},
	"get-limits": {out: client.SharedLimits{}, call: func(ctx context.Context, c *client.Client) error {
		return call(c.LimitsOn(ctx, "{ws}", "{on}", "o"))
	}},
	"set-limits": {in: client.NewSharedLimits{}, out: client.SharedLimits{}, call: func(ctx context.Context, c *client.Client) error {
		return call(c.SetLimits(ctx, "{ws}", "{on}", "o", client.NewSharedLimits{}))
	}},
	"delete-limits": {call: func(ctx context.Context, c *client.Client) error { return c.DeleteLimits(ctx, "{ws}", "{on}", "o") }},
	"import-keys": {in: importKeys{}, out: client.ImportedKeys{}, call: func(ctx context.Context, c *client.Client) error {
		return call(c.ImportKeys(ctx, "{ws}", []client.ImportKey{}))
	}},
	"report-usage": {in: client.UsageReport{}, out: client.RecordedUsage{}, call: func(ctx context.Context, c *client.Client) error {
		return call(c.ReportUsage(ctx, "{ws}", client.UsageReport{}))
	}},
	"create-portal-session": {
		in: client.NewPortalSession{}, out: client.PortalSession{},
		call: func(ctx context.Context, c *client.Client) error {
			return call(c.CreatePortalSession(ctx, "{ws}", client.NewPortalSession{}))
		},
	},
	"end-portal-sessions": {out: client.EndedSessions{}, call: func(ctx context.Context, c *client.Client) error {
		return call(c.EndPortalSessions(ctx, "{ws}", "o"))
	}},
	"list-audit": {out: entryList{}, call: func(ctx context.Context, c *client.Client) error {
		return page(ctx, c.Audit("{ws}", everyEntry))
	}},
	"export-audit": {call: func(ctx context.Context, c *client.Client) error {
		return c.ExportAudit(ctx, "{ws}", everyEntry, io.Discard)
	}},
}

// sentLater lists the parameters that a call does not send in its first request.
var sentLater = map[string]string{"export-audit": "cursor"}

// ofOthers lists the operations that others call: jwks.Feed, and the OAuth clients of services that introspect tokens.
var ofOthers = map[string]bool{"feed": true, "feed-set": true, "introspect-token": true}

// absent lists the members of the document that the client omits on purpose, with the reason.
var absent = map[string]string{
	"Problem.error": "only the public revocation of a key by its token answers it",
}

// TestContract compares the client with the OpenAPI document that the server serves.
func TestContract(t *testing.T) {
	server, _ := startServer(t)
	for _, violation := range violations(t, fetch(t, server)) {
		t.Error(violation)
	}
}

func fetch(t *testing.T, server string) []byte {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := c.Get(server + "/openapi.json")
	must(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	must(t, err)
	return text
}

// violations returns the differences between an OpenAPI document and the client.
func violations(t *testing.T, text []byte) (found []string) {
	t.Helper()
	var d document
	must(t, json.Unmarshal(text, &d))
	operations := managementCalls(t, &d)
	for id, op := range operations {
		b, ok := bindings[id]
		if !ok {
			found = append(found, id+": the client has no such call")
			continue
		}
		found = append(found, prefixed(id, op.request(t, id, b), op.bodies(d.Components.Schemas, b))...)
	}
	for id := range bindings {
		if _, ok := operations[id]; !ok {
			found = append(found, id+": the document has no such call")
		}
	}
	return found
}

func prefixed(id string, lists ...[]string) (all []string) {
	for _, violation := range slices.Concat(lists...) {
		all = append(all, id+": "+violation)
	}
	return all
}

// managementCalls returns the operations that require a management key, except HEAD.
func managementCalls(t *testing.T, d *document) map[string]*operation {
	t.Helper()
	calls := make(map[string]*operation)
	for path, methods := range d.Paths {
		for method, text := range methods {
			op := &operation{method: strings.ToUpper(method), path: path}
			must(t, json.Unmarshal(text, op))
			var named struct{ OperationID string }
			must(t, json.Unmarshal(text, &named))
			if len(op.Security) > 0 && op.method != http.MethodHead && !ofOthers[named.OperationID] {
				calls[named.OperationID] = op
			}
		}
	}
	return calls
}

// request makes the call and compares its request with the operation.
func (op *operation) request(t *testing.T, id string, b binding) (found []string) {
	t.Helper()
	var sent *http.Request
	recorder := roundTripper(func(r *http.Request) (*http.Response, error) {
		sent = r
		return &http.Response{StatusCode: http.StatusTeapot, Body: http.NoBody}, nil
	})
	c := connect(t, "http://x", "k", func(o *client.Options) { o.HTTP = &http.Client{Transport: recorder} })
	if err := b.call(t.Context(), c); err == nil || sent == nil {
		return []string{"no request was sent"}
	}
	path, err := url.PathUnescape(sent.URL.EscapedPath())
	must(t, err)
	if sent.Method != op.method || path != op.path {
		found = append(found, fmt.Sprintf("sends %s %s, documented as %s %s", sent.Method, path, op.method, op.path))
	}
	got := slices.Sorted(maps.Keys(sent.URL.Query()))
	if sent.Header.Get("Idempotency-Key") != "" {
		got = append(got, "Idempotency-Key")
	}
	if later := sentLater[id]; later != "" {
		got = append(got, later)
	}
	var want []string
	for _, p := range op.Parameters {
		if p.In != "path" {
			want = append(want, p.Name)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		found = append(found, fmt.Sprintf("sends the parameters %v, documented are %v", got, want))
	}
	return found
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// bodies compares the types of the request body and of all answers with the operation.
func (op *operation) bodies(schemas map[string]schema, b binding) (found []string) {
	check := checker{schemas: schemas}
	switch body := op.RequestBody.schema("application/json"); {
	case (body != nil) != (b.in != nil || b.patch != nil):
		found = append(found, "one of document and client has a body")
	case b.patch != nil:
		check.patch = true
		check.fits("body", body, reflect.TypeOf(b.patch))
		if op.RequestBody.schema("application/merge-patch+json") == nil {
			found = append(found, "takes no merge patch")
		}
	case b.in != nil:
		check.fits("body", body, reflect.TypeOf(b.in))
	}
	check.patch = false
	for status, answer := range op.Responses {
		if answer := answer.schema("application/problem+json"); answer != nil {
			check.fits(status, answer, reflect.TypeFor[client.Problem]())
		}
		if answer := answer.schema("application/json"); answer != nil && b.out != nil {
			check.fits(status, answer, reflect.TypeOf(b.out))
		} else if status[0] == '2' && b.out != nil {
			found = append(found, "no JSON in the answer "+status)
		}
	}
	return append(found, check.found...)
}
