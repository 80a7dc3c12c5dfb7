package api_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
	"github.com/burnkey/burnkey/store"
)

const (
	feedPath  = "/v1/feed"
	feedOfOne = "/v1/workspaces/acme/feed"
)

// feedEvent is an event of the feed, or a heartbeat, which has the name "beat".
type feedEvent struct {
	name, id, data string
	Workspace      string                     `json:"workspace"`
	Version        uint64                     `json:"version"`
	Fingerprint    string                     `json:"fingerprint"`
	Keys           []json.RawMessage          `json:"keys"`
	Add            []json.RawMessage          `json:"add"`
	Remove         []string                   `json:"remove"`
	Set            map[string]jwks.Attributes `json:"set"`
	Limits         []jwks.LimitSet            `json:"limits"`
	Age            float64                    `json:"age"`
}

// position returns what a reader sends to continue after the event.
func (e *feedEvent) position() string { return fmt.Sprintf("%d.%s", e.Version, e.Fingerprint) }

// feedReader reads a feed.
type feedReader struct {
	t      *testing.T
	resp   *http.Response
	lines  *bufio.Scanner
	cancel func()
}

// openFeed requests the feed with a management key. It does not check the answer.
func (s *server) openFeed(key, body string) *feedReader {
	s.t.Helper()
	ctx, stop := context.WithTimeout(s.t.Context(), time.Minute)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+feedPath, strings.NewReader(body))
	must(s.t, err)
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.Client().Do(req)
	must(s.t, err)
	s.t.Cleanup(func() { stop(); resp.Body.Close() })
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 4<<20)
	return &feedReader{s.t, resp, lines, stop}
}

func (s *server) feed(key, body string) *feedReader {
	s.t.Helper()
	f := s.openFeed(key, body)
	if kind := f.resp.Header.Get("Content-Type"); f.resp.StatusCode != 200 || kind != "text/event-stream" {
		text, _ := io.ReadAll(f.resp.Body)
		s.t.Fatalf("%d %s: %s", f.resp.StatusCode, kind, redact(string(text)))
	}
	return f
}

// next returns the next event or heartbeat, or false at the end of the stream.
func (f *feedReader) next() (e feedEvent, ok bool) {
	f.t.Helper()
	for f.lines.Scan() {
		switch name, value, _ := strings.Cut(f.lines.Text(), ": "); name {
		case "":
			if value != "" { // a comment
				e.name, e.data = "beat", value
				continue
			}
			if e.name == "" {
				continue
			}
			if e.name != "beat" {
				must(f.t, json.Unmarshal([]byte(e.data), &e))
			}
			return e, true
		case "event":
			e.name = value
		case "id":
			e.id = value
		case "data":
			e.data = value
		}
	}
	return e, false
}

// want returns the next event that is no heartbeat, which must have this name and workspace.
func (f *feedReader) want(name, workspace string) feedEvent {
	f.t.Helper()
	for {
		e, ok := f.next()
		switch {
		case !ok:
			f.t.Fatalf("the feed ended before %s of %s: %v", name, workspace, f.lines.Err())
		case e.name == "beat", e.name == "age": // of a workspace that was being read when a heartbeat was due
			continue
		case e.name != name || e.Workspace != workspace:
			f.t.Fatalf("got %s %s, want %s of %s", e.name, e.data, name, workspace)
		}
		return e
	}
}

// begin returns the events before the first heartbeat, by workspace.
func (f *feedReader) begin() map[string]feedEvent {
	f.t.Helper()
	events := make(map[string]feedEvent)
	for {
		e, ok := f.next()
		switch {
		case !ok:
			f.t.Fatalf("the feed ended before its heartbeat: %v", f.lines.Err())
		case e.name == "beat":
			return events
		}
		events[e.Workspace] = e
	}
}

// allow changes the attributes of a key in the database, as another server does.
func (s *server) allow(workspace, id, from string) {
	s.t.Helper()
	_, err := s.store.UpdateKey(s.t.Context(), workspace, uuid.MustParse(id), func(_ *store.Workspace, k *store.Key) error {
		k.AllowedIPs, k.UpdatedAt = []netip.Prefix{netip.MustParsePrefix(from)}, time.Now()
		return nil
	})
	must(s.t, err)
	must(s.t, s.publisher.Load(s.t.Context()))
}

func TestFeed(t *testing.T) {
	s := newServer(t)
	key := s.issue("acme", map[string]any{})
	f := s.feed(s.manager("", "gateway"), `{}`)
	first := f.begin()
	if len(first) != 2 || first["acme"].name != "set" || first["other"].name != "set" || first["acme"].id != "acme/2" {
		t.Fatalf("begins with %+v", first)
	}
	if e := first["acme"]; len(e.Keys) != 2 || e.Version != 2 || e.Set == nil || e.Limits == nil {
		t.Errorf("the set is %s", e.data)
	}
	s.allow("acme", key.id, "192.0.2.0/24")
	e := f.want("change", "acme")
	if a := e.Set[key.kid]; e.id != "acme/3" || len(e.Add)+len(e.Remove) != 0 || len(a.AllowedIPs) != 1 || e.Fingerprint == "" {
		t.Errorf("the change of attributes is %s", e.data)
	}
	added := s.issue("other", map[string]any{})
	if e := f.want("change", "other"); len(e.Add) != 1 || !strings.Contains(string(e.Add[0]), added.kid) || strings.Contains(e.data, `"set"`) {
		t.Errorf("the addition is %s", e.data)
	}
	s.do("DELETE", keysPath+"/"+key.id, nil).want(200)
	if e := f.want("change", "acme"); !slices.Equal(e.Remove, []string{key.kid}) {
		t.Errorf("the removal is %s", e.data)
	}
	if text := string(s.do("GET", "/metrics", nil).want(200).body); !strings.Contains(text, "burnkey_feed_readers 1\n") {
		t.Error("the metrics show no reader")
	}
}

// Nothing of the attributes is public.
func TestTheFeedIsNotPublic(t *testing.T) {
	s := newServer(t)
	key := s.issue("acme", map[string]any{})
	before := s.do("GET", jwksPath, nil).want(200)
	lines, _ := s.stream(changesPath + "?after=2")
	s.allow("acme", key.id, "192.0.2.0/24")
	after := s.do("GET", jwksPath, nil).want(200)
	if string(before.body) != string(after.body) || before.header.Get("Burnkey-Fingerprint") != after.header.Get("Burnkey-Fingerprint") {
		t.Error("the set shows a change of attributes")
	}
	want(t, lines, "id: 3")
	want(t, lines, "event: change")
	want(t, lines, `data: {"version":3,"add":[],"remove":[]}`)
}

func TestFeedResumes(t *testing.T) {
	s := newServer(t)
	key, gateway := s.issue("acme", map[string]any{}), s.manager("", "gateway")
	first := s.feed(gateway, `{}`).begin()
	acme, other := first["acme"], first["other"]
	resumed := func() *feedReader {
		return s.feed(gateway, fmt.Sprintf(`{"after":{"acme":%q,"other":%q}}`, acme.position(), other.position()))
	}
	if events := resumed().begin(); len(events) != 0 {
		t.Errorf("a reader that has everything gets %v", events)
	}
	s.allow("acme", key.id, "192.0.2.0/24")
	if events := resumed().begin(); len(events) != 1 || events["acme"].name != "change" || len(events["acme"].Set) != 1 {
		t.Errorf("after a change of attributes: %v", events)
	}
	// The last change has the fingerprint of the whole feed, as has the snapshot.
	set := s.do("GET", feedOfOne, nil).want(200)
	if e := resumed().begin()["acme"]; e.Fingerprint != set.header.Get("Burnkey-Fingerprint") {
		t.Errorf("the change has the fingerprint %s", e.Fingerprint)
	}
	// A reader of another history gets the set.
	acme.Version, other.Fingerprint = 3, acme.Fingerprint
	for workspace, e := range resumed().begin() {
		if e.name != "set" {
			t.Errorf("%s: %s", workspace, e.name)
		}
	}
	_, err := s.store.Compact(t.Context(), "acme", 2)
	must(t, err)
	acme.Version = 1
	if e := resumed().begin()["acme"]; e.name != "set" || e.Version != 3 {
		t.Errorf("after compaction: %s", e.data)
	}
	other.Version += 100
	if e := resumed().want("set", "acme"); e.Version != 3 { // the other is checked first
		t.Errorf("got %s", e.data)
	}
}

func TestFeedOfNamedWorkspaces(t *testing.T) {
	s := newServer(t)
	f := s.feed(s.manager("", "gateway"), `{"workspaces":["acme","later"],"heartbeat":0.5}`)
	if first := f.begin(); len(first) != 2 || first["acme"].name != "set" || first["later"].name != "gone" {
		t.Fatalf("begins with %v", first)
	}
	s.issue("other", map[string]any{})
	s.createWorkspace("unnamed")
	start := time.Now()
	s.createWorkspace("later")
	if e := f.want("set", "later"); len(e.Keys) != 1 {
		t.Errorf("the new workspace is %s", e.data)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("a new workspace arrived after %s", took)
	}
}

func TestFeedOfNewWorkspaces(t *testing.T) {
	s := newServer(t)
	f := s.feed(s.manager("", "gateway"), `{}`)
	f.begin()
	s.createWorkspace("new")
	f.want("set", "new")
	s.issue("new", map[string]any{})
	f.want("change", "new")
}

// No key follows the feed of a workspace that it may not see.
func TestFeedKeepsTenantsApart(t *testing.T) {
	s := newServer(t)
	tied := s.manager("acme", "gateway")
	f := s.feed(tied, `{"after":{"other":"1.`+jwks.Fingerprint{}.String()+`","burnkey":"1.`+jwks.Fingerprint{}.String()+`"}}`)
	if first := f.begin(); len(first) != 1 || first["acme"].name != "set" {
		t.Errorf("a tied key sees %v", first)
	}
	s.issue("other", map[string]any{})
	s.manager("", "keys:read") // changes the workspace burnkey
	s.createWorkspace("new")
	s.issue("acme", map[string]any{})
	f.want("change", "acme")
	for key, workspaces := range map[string][]string{
		tied: {"other", "none", authz.Home}, s.manager("", "gateway"): {authz.Home}, s.manager("acme", "admin"): {"other", authz.Home},
	} {
		for _, workspace := range workspaces {
			for _, body := range []string{`{"workspaces":["%s"]}`, `{"workspaces":["acme","%s"]}`} {
				s.do("POST", feedPath, fmt.Sprintf(body, workspace), as(key)).want(403)
			}
			s.do("GET", "/v1/workspaces/"+workspace+"/feed", nil, as(key)).want(403)
		}
	}
	refused, _, err := s.service.Audit(t.Context(), "other", store.AuditFilter{Action: store.ActionCallRefuse, Limit: 10})
	isFeed := func(e store.Entry) bool { return string(e.Detail) == `{"call":"feed"}` }
	if err != nil || !slices.ContainsFunc(refused, isFeed) {
		t.Errorf("the refusals that are noted are %v, %v", refused, err)
	}
	if first := s.feed(s.admin, `{}`).begin(); first[authz.Home].name != "" || len(first) != 3 {
		t.Errorf("an admin key sees %v", first)
	}
	s.do("POST", feedPath, `{"workspaces":["burnkey"]}`, as(s.admin)).want(403)
}

// The feed ends with its key.
func TestFeedEndsWithItsKey(t *testing.T) {
	s := newServer(t)
	key := s.issueManagement([]string{"gateway"}, "")
	f := s.feed(key.token, `{}`)
	f.begin()
	s.do("DELETE", "/v1/workspaces/burnkey/keys/"+key.id, nil).want(200)
	s.issue("acme", map[string]any{})
	for {
		e, ok := f.next()
		if !ok {
			break
		}
		if e.name == "change" {
			t.Fatalf("a revoked key gets %s", e.data)
		}
	}
	s.do("POST", feedPath, `{}`, as(key.token)).want(401)
}

func TestFeedRefused(t *testing.T) {
	s := newServer(t, limitReaders(publish.StreamLimits{Public: 9, PerSet: 9, PerAddress: 9, Reserved: 1, PerKey: 1}))
	gateway := as(s.manager("", "gateway"))
	for body, field := range map[string]string{
		`{"after":{"acme":"17"}}`: "after", `{"after":{"acme":"0.` + jwks.Fingerprint{}.String() + `"}}`: "after",
		`{"after":{"acme":"01.` + jwks.Fingerprint{}.String() + `"}}`: "after", `{"after":{"acme":1}}`: "after",
		`{"workspaces":["BAD!"]}`: "workspaces", `{"workspaces":1}`: "workspaces",
		`{"heartbeat":"1"}`: "heartbeat", `{"heartbeat":-1}`: "heartbeat", `{"heartbeat":3601}`: "heartbeat", `{"x":1}`: "x",
	} {
		if p := s.do("POST", feedPath, body, gateway).want(422).problem(); !p.names(field) {
			t.Errorf("%s blames %v", body, p.Errors)
		}
	}
	s.do("POST", feedPath, `{"workspaces":[`+strings.Repeat(`"a",`, 20000)+`"a"]}`, gateway).want(422)
	s.do("POST", feedPath, strings.Repeat(" ", 4<<20+1), gateway).want(413)
	s.do("POST", feedPath, `{}`, header("Authorization")).want(401)
	s.do("POST", feedPath, `{}`, as(s.manager("", "keys:read", "keys:write", "workspaces:read"))).want(403)
	s.do("GET", "/v1/workspaces/none/feed", nil, gateway).want(404)
	f := s.feed(s.admin, `{}`)
	f.begin()
	if a := s.do("POST", feedPath, `{}`, gateway).want(503); a.header.Get("Retry-After") == "" {
		t.Errorf("the places are taken: %v", a.header)
	}
}

// A server that shuts down ends the feed.
func TestFeedCloses(t *testing.T) {
	s := newServer(t)
	f := s.feed(s.admin, `{}`)
	f.begin()
	s.closeStreams()
	if e, ok := f.next(); ok || f.lines.Err() != nil {
		t.Errorf("%+v, %v", e, f.lines.Err())
	}
}

func TestFeedSnapshot(t *testing.T) {
	s := newServer(t)
	key, gateway := s.issue("acme", map[string]any{}), as(s.manager("acme", "gateway"))
	s.allow("acme", key.id, "192.0.2.0/24")
	_, err := s.store.CreateLimits(t.Context(), store.LimitSet{Workspace: "acme", LimitSet: jwks.LimitSet{
		On: jwks.OnTotal, Name: jwks.AnyName, Limits: []jwks.Limit{{Name: "all", Requests: 9, Seconds: 1}},
	}})
	must(t, err)
	must(t, s.publisher.Load(t.Context()))
	a := s.do("GET", feedOfOne, nil, gateway).want(200)
	var e feedEvent
	must(t, json.Unmarshal(a.body, &e))
	if len(e.Keys) != 2 || len(e.Set) != 1 || len(e.Set[key.kid].AllowedIPs) != 1 || len(e.Limits) != 1 || e.Limits[0].On != jwks.OnTotal {
		t.Errorf("the snapshot is %s", a.body)
	}
	version, print := a.header.Get("Burnkey-Version"), a.header.Get("Burnkey-Fingerprint")
	if version != "4" || !strings.HasPrefix(a.header.Get("Etag"), `"4.`+print[:16]) {
		t.Errorf("the header is %v", a.header)
	}
	if public := s.do("GET", jwksPath, nil).want(200); public.header.Get("Burnkey-Fingerprint") == print {
		t.Error("the fingerprint does not cover the attributes")
	}
	s.do("GET", feedOfOne, nil, gateway, header("If-None-Match", a.header.Get("Etag"))).want(304)
	if z := s.do("GET", feedOfOne, nil, gateway, header("Accept-Encoding", "gzip")).want(200); z.header.Get("Content-Encoding") != "gzip" ||
		gunzip(t, z.body) != string(a.body) {
		t.Errorf("gzip: %v", z.header)
	}
}

func gunzip(t *testing.T, text []byte) string {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(text))
	must(t, err)
	plain, err := io.ReadAll(r)
	must(t, err)
	return string(plain)
}
