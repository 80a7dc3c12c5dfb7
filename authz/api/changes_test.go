package api_test

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

const changesPath = issuer + "/changes"

// stream opens a change stream, which ends with the test or by cancel.
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

// want reads up to a line that begins so.
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
	if a := s.do("GET", changesPath+"?after=1", nil).want(503); a.header.Get("Retry-After") == "" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("a broken log: %v", a.header)
	}
	// Who is up to date needs no database.
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
