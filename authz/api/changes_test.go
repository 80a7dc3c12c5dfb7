package api_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/publish"
)

const changesPath = issuer + "/changes"

// stream opens a change stream. It ends with the test, or earlier by cancel.
func (s *server) stream(path string) (lines *bufio.Scanner, cancel func()) {
	s.t.Helper()
	ctx, stop := context.WithTimeout(s.t.Context(), time.Minute)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+path, nil)
	must(s.t, err)
	resp, err := s.Client().Do(req) // without the check of the body, which does not end
	must(s.t, err)
	s.t.Cleanup(func() {
		stop()
		resp.Body.Close()
	})
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || kind != "text/event-stream" {
		s.t.Fatalf("%d %s", resp.StatusCode, kind)
	}
	return bufio.NewScanner(resp.Body), stop
}

// want reads lines until one has the given prefix.
func want(t *testing.T, lines *bufio.Scanner, begin string) {
	t.Helper()
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, begin) {
			return
		}
		if line != "" && line[0] != ':' {
			t.Fatalf("got %q, want %q", line, begin)
		}
	}
	t.Fatalf("the stream ended before %q: %v", begin, lines.Err())
}

func TestChanges(t *testing.T) {
	s := newServer(t)
	first := s.issue("acme", map[string]any{})
	lines, _ := s.stream(changesPath + "?after=0")
	want(t, lines, "id: 1")
	want(t, lines, "event: change")
	want(t, lines, `data: {"version":1,"add":[{"kty":"RSA"`) // the tombstone
	want(t, lines, "id: 2")
	want(t, lines, "event: change")
	want(t, lines, `data: {"version":2,"add":[{"kty":"RSA","use":"sig","alg":"RS256","kid":"`+first.kid+`"`)
	s.issue("other", map[string]any{}) // is no news here
	s.do("DELETE", keysPath+"/"+first.id, nil).want(200)
	want(t, lines, "id: 3")
	want(t, lines, "event: change")
	want(t, lines, `data: {"version":3,"add":[],"remove":["`+first.kid+`"]}`)
	if text := string(s.do("GET", "/metrics", nil).want(200).body); !strings.Contains(text, "burnkey_change_stream_readers 1") {
		t.Error("the metrics show no reader")
	}
}

func TestChangesAreReset(t *testing.T) {
	s := newServer(t)
	for range 3 {
		s.issue("acme", map[string]any{})
	}
	_, err := s.store.Compact(t.Context(), "acme", 2)
	must(t, err)
	lines, _ := s.stream(changesPath + "?after=1")
	want(t, lines, "event: reset")
	want(t, lines, `data: {"version":4}`)
	s.issue("acme", map[string]any{})
	want(t, lines, "id: 5")
}

func TestChangesRefused(t *testing.T) {
	s := newServer(t)
	for _, bad := range []string{"-1", "x", "1.5", "", "99999999999999999999"} {
		a := s.do("GET", changesPath+"?after="+bad, nil).want(400)
		if f := a.problem().Errors; len(f) != 1 || f[0].Field != "after" {
			t.Errorf("after=%s: %+v", bad, f)
		}
	}
	s.do("GET", changesPath, nil, header("Last-Event-ID", "x")).want(400)
	s.do("GET", "/v1/auth/oauth/nobody/changes", nil).want(404)
	for _, method := range []string{"POST", "PUT", "DELETE", "HEAD"} {
		s.do(method, changesPath, nil).want(405)
	}
	s.mayBreak.Store(true)
	s.issue("acme", map[string]any{})
	s.store.fail(func() error { return errors.New(marker) })
	defer s.store.fail(nil)
	if a := s.do("GET", changesPath+"?after=1", nil).want(503); a.header.Get("Retry-After") == "" ||
		a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("a broken log: %v", a.header)
	}
	// To serve a reader that is up to date, the server needs no database.
	lines, _ := s.stream(changesPath + "?after=2")
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), ": age=") {
		t.Errorf("got %q", lines.Text())
	}
}

// A server that shuts down ends its streams.
func TestChangesClose(t *testing.T) {
	s := newServer(t)
	lines, _ := s.stream(changesPath + "?after=1")
	s.closeStreams()
	for lines.Scan() {
		if line := lines.Text(); line != "" && line[0] != ':' {
			t.Errorf("got %q", line)
		}
	}
	if err := lines.Err(); err != nil {
		t.Errorf("it was broken off: %v", err)
	}
}

func TestReadyExcept(t *testing.T) {
	s := newServer(t)
	s.do("GET", "/readyz", nil).want(200)
	s.store.fail(func() error { return errors.New(marker) })
	s.do("GET", "/readyz", nil).want(503)
	s.do("GET", "/readyz?exclude=database", nil).want(200)
	s.unready.Store(true)
	s.do("GET", "/readyz?exclude=database", nil).want(503)
	s.do("GET", "/readyz?exclude=database&exclude=shutdown", nil).want(200)
	if p := s.do("GET", "/readyz?exclude=x", nil).want(400).problem(); len(p.Errors) != 1 || p.Errors[0].Field != "exclude" {
		t.Errorf("got %+v", p)
	}
}

// limitReaders sets the limits of the change stream's readers.
func limitReaders(l publish.StreamLimits) func(*server, *authz.Options, *http.Server) {
	return func(s *server, _ *authz.Options, _ *http.Server) { s.readers = &l }
}

// openStream requests the change stream from an address, with a management key if one is given.
func (s *server) openStream(path, key string) (resp *http.Response, cancel func()) {
	s.t.Helper()
	ctx, stop := context.WithTimeout(s.t.Context(), time.Minute)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+path, nil)
	must(s.t, err)
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err = s.Client().Do(req)
	must(s.t, err)
	s.t.Cleanup(func() { stop(); resp.Body.Close() })
	return resp, stop
}

// issueManagement issues a management key, tied to the workspace tie unless that is empty.
func (s *server) issueManagement(scopes []string, tie string) issued {
	s.t.Helper()
	body := map[string]any{"owner": "operator", "scopes": scopes}
	if tie != "" {
		body["claims"] = map[string]any{authz.TieClaim: tie}
	}
	return s.issue(authz.Home, body)
}

func (s *server) wantReaders(all, reserved int) {
	s.t.Helper()
	want := fmt.Sprintf("burnkey_change_stream_readers %d\nburnkey_change_stream_reserved_readers %d\n", all, reserved)
	testkit.Eventually(s.t, "the metrics have "+want, func() bool {
		var got string
		for line := range strings.Lines(string(s.do("GET", "/metrics", nil).want(200).body)) {
			if strings.HasPrefix(line, "burnkey_change_stream_re") && strings.Contains(line, "readers ") {
				got += line
			}
		}
		return got == want
	})
}

func TestChangesHavePlaces(t *testing.T) {
	s := newServer(t, limitReaders(publish.StreamLimits{Public: 4, PerSet: 3, PerAddress: 3, Reserved: 2, PerKey: 2}))
	var ends []func()
	opens := func(path, key string, status int) *http.Response {
		t.Helper()
		resp, cancel := s.openStream(path, key)
		if resp.StatusCode != status {
			t.Fatalf("%s: %d, want %d", path, resp.StatusCode, status)
		}
		ends = append(ends, cancel)
		return resp
	}
	other := issuerPrefix + "other/changes?after=1"
	for range 3 {
		opens(changesPath+"?after=1", "", 200)
	}
	away := opens(other, "", 429) // the address is full
	if away.Header.Get("Retry-After") == "" || away.Header.Get("Access-Control-Allow-Origin") != "*" || !away.Close {
		t.Errorf("turned away: %v", away.Header)
	}
	s.wantReaders(3, 0)

	// A reader without a valid key with the scope gateway takes a public place.
	gatewayKey := s.issueManagement([]string{"gateway"}, "")
	revoked := s.issueManagement([]string{"gateway"}, "")
	s.do("DELETE", "/v1/workspaces/burnkey/keys/"+revoked.id, nil).want(200)
	for name, key := range map[string]string{
		"no key": "x", "revoked": revoked.token, "of another scope": s.issueManagement([]string{"keys:read"}, "").token,
		"tied elsewhere": s.issueManagement([]string{"gateway"}, "acme").token, "altered": gatewayKey.token[:len(gatewayKey.token)-4] + "AAAA",
	} {
		if resp := opens(other, key, 429); resp.StatusCode != 429 {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
	ends[0]()
	s.wantReaders(2, 0)
	opens(other, revoked.token, 200) // nor does an invalid key lock anybody out
	s.wantReaders(3, 0)

	kept := opens(changesPath+"?after=1&heartbeat=0.5", gatewayKey.token, 200)
	opens(other, gatewayKey.token, 200)
	s.wantReaders(5, 2)
	opens(other, gatewayKey.token, 429) // the key's places and the address's are all taken

	// After its key is revoked, a reader needs a public place; here, no place is free.
	s.do("DELETE", "/v1/workspaces/burnkey/keys/"+gatewayKey.id, nil).want(200)
	for lines := bufio.NewScanner(kept.Body); lines.Scan(); {
	}
	s.wantReaders(3, 0)
	text := string(s.do("GET", "/metrics", nil).want(200).body)
	if !strings.Contains(text, `burnkey_change_stream_turned_away_total{full="address",workspace="other"} 7`) {
		t.Error("the metrics do not count who was turned away")
	}
	if n := strings.Count(s.log.String(), "readers of the change stream are turned away"); n != 1 { // once per workspace
		t.Errorf("it is logged %d times", n)
	}
}

// A reader whose key is revoked continues in a public place if one is free.
func TestChangesGoOnWithoutAKey(t *testing.T) {
	s := newServer(t)
	key := s.issueManagement([]string{"gateway"}, "acme")
	resp, _ := s.openStream(changesPath+"?after=1&heartbeat=0.5", key.token)
	s.wantReaders(1, 1)
	s.do("DELETE", "/v1/workspaces/burnkey/keys/"+key.id, nil).want(200)
	s.wantReaders(1, 0)
	s.issue("acme", map[string]any{})
	want(t, bufio.NewScanner(resp.Body), "id: 2")
}

func TestChangesBoundASet(t *testing.T) {
	s := newServer(t, limitReaders(publish.StreamLimits{Public: 3, PerSet: 2, PerAddress: 9, Reserved: 2, PerKey: 2}))
	other := issuerPrefix + "other/changes?after=1"
	for i, status := range []int{200, 200, 503} {
		if resp, _ := s.openStream(changesPath+"?after=1", ""); resp.StatusCode != status ||
			status == 503 && resp.Header.Get("Retry-After") == "" {
			t.Errorf("reader %d: %d", i, resp.StatusCode)
		}
	}
	for i, status := range []int{200, 503} {
		if resp, _ := s.openStream(other, ""); resp.StatusCode != status {
			t.Errorf("reader %d of another set: %d", i, resp.StatusCode)
		}
	}
	text := string(s.do("GET", "/metrics", nil).want(200).body)
	for _, line := range []string{`{full="workspace",workspace="acme"} 1`, `{full="server",workspace="other"} 1`} {
		if !strings.Contains(text, "burnkey_change_stream_turned_away_total"+line) {
			t.Error("the metrics lack " + line)
		}
	}
}
