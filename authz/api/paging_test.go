package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
)

// While a client reads page by page, keys are issued and revoked. The client gets every key that existed the
// whole time exactly once.
func TestPagingThroughChanges(t *testing.T) {
	s := newServer(t)
	s.minter.set(func(m *quickMinter) { m.unsigned = true })
	const count = 250
	ids := make([]string, count)
	for i := range ids {
		ids[i] = s.issue("acme", map[string]any{"owner": fmt.Sprintf("cust_%d", i)}).id
	}
	stop, idle := make(chan struct{}), make(chan struct{})
	turns := make(chan int)
	go func() {
		defer close(idle)
		for {
			select {
			case <-stop:
				return
			case i := <-turns:
				_, err1 := s.try("POST", keysPath, `{"owner":"late"}`)
				_, err2 := s.try("DELETE", keysPath+"/"+ids[i], nil)
				if err1 != nil || err2 != nil {
					t.Error(err1, err2)
				}
			}
		}
	}()
	var got []string
	for cursor, page := "", 0; ; page++ {
		list := s.do("GET", keysPath+"?limit=7&cursor="+cursor, nil).want(200).object()
		for _, key := range list["keys"].([]any) {
			got = append(got, key.(map[string]any)["id"].(string))
		}
		next, more := list["next_cursor"].(string)
		if !more {
			break
		}
		cursor = next
		turns <- count - 1 - page*5 // just before or after the reader's position
	}
	close(stop)
	<-idle
	slices.Reverse(ids)
	if !slices.Equal(got, ids) {
		t.Errorf("got %d keys, want the %d that were there, the newest first", len(got), count)
	}
}

func TestCursorCarriesNoAuthority(t *testing.T) {
	s := newServer(t)
	for range 3 {
		s.issue("acme", map[string]any{})
	}
	page := s.do("GET", keysPath+"?limit=1", nil).want(200)
	cursor := page.text("next_cursor")
	for _, tie := range []string{"other", "acme"} {
		reader := s.manager(tie, "keys:read")
		if tie == "other" {
			s.do("GET", keysPath+"?cursor="+cursor, nil, as(reader)).want(403)
		}
		list := s.do("GET", "/v1/workspaces/"+tie+"/keys?cursor="+cursor, nil, as(reader)).want(200).object()["keys"].([]any)
		if want := map[string]int{"other": 0, "acme": 2}[tie]; len(list) != want {
			t.Errorf("%s: %d keys, want %d", tie, len(list), want)
		}
	}
}

func TestFilters(t *testing.T) {
	s := newServer(t)
	names := map[string]string{} // by id
	add := func(name, owner string, life int) issued {
		key := s.issue("acme", map[string]any{"name": name, "owner": owner, "expires_in": life})
		names[key.id] = name
		return key
	}
	add("Build 100%", "alice", 3600)
	b := add("build_b", "bob", 3600)
	add("short", "alice", 60)
	d := add("revoked", "alice", 60)
	s.do("DELETE", keysPath+"/"+d.id, nil).want(200)
	s.sleep(time.Minute)
	for query, want := range map[string]string{
		"":                            "revoked short build_b Build 100%",
		"owner=alice":                 "revoked short Build 100%",
		"owner=Alice":                 "",
		"status=active":               "build_b Build 100%",
		"status=expired":              "short",
		"status=revoked":              "revoked",
		"owner=alice&status=active":   "Build 100%",
		"q=BUILD":                     "build_b Build 100%",
		"q=" + url.QueryEscape("0%"):  "Build 100%",
		"q=_":                         "build_b",
		"q=lic":                       "revoked short Build 100%",
		"q=" + b.id:                   "build_b",
		"q=" + b.kid:                  "build_b",
		"q=" + strings.ToLower(b.kid): "",
		"q=" + b.id[:13] + "x":        "",
		"q=alice&status=revoked":      "revoked",
		"q=nobody":                    "",
		"limit=1000":                  "revoked short build_b Build 100%",
	} {
		var list struct {
			Keys []struct{ ID string }
			Next *string `json:"next_cursor"`
		}
		must(t, json.Unmarshal(s.do("GET", keysPath+"?"+query, nil).want(200).body, &list))
		var got []string
		for _, k := range list.Keys {
			got = append(got, names[k.ID])
		}
		if strings.Join(got, " ") != want || list.Next != nil {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
		options := append(strings.Split(query, "&"), "limit=1")
		if slices.Contains(options, "limit=1000") {
			continue
		}
		if paged := s.follow(keysPath, "keys", slices.DeleteFunc(options, func(o string) bool { return o == "" })); len(paged) != len(got) {
			t.Errorf("%s, one by one: %d, want %d", query, len(paged), len(got))
		}
	}
}

func TestIdempotency(t *testing.T) {
	s := newServer(t)
	repeat := header("Idempotency-Key", "order 17")
	first := s.do("POST", keysPath, `{"owner":"x"}`, repeat).want(201)
	for body, status := range map[string]int{
		`{"owner":"x"}`: 409, ` { "scopes":[], "owner":"x"}`: 409, `{"owner":"y"}`: 422,
		`{"owner":"x","name":"n"}`: 422,
	} {
		a := s.do("POST", keysPath, body, repeat).want(status)
		if p := a.problem(); p.KeyID != first.text("id") {
			t.Errorf("%d names %q", status, p.KeyID)
		}
		if says := strings.Contains(string(a.body), "evoke"); says != (status == 409) ||
			status == 422 && a.text("code") != "idempotency_key_reused" {
			t.Errorf("%s: %s", body, a.body)
		}
	}
	// Under the same Idempotency-Key, a repeated rotation must have the same key and grace.
	one := s.issue("acme", map[string]any{})
	again := header("Idempotency-Key", "rotate 1")
	s.do("POST", keysPath+"/"+one.id+"/rotate", `{"grace":"1h"}`, again).want(201)
	s.do("POST", keysPath+"/"+one.id+"/rotate", `{"grace":"60m"}`, again).want(409)
	s.do("POST", keysPath+"/"+one.id+"/rotate", `{"grace":"2h"}`, again).want(422)
	s.do("POST", keysPath+"/"+first.text("id")+"/rotate", `{"grace":"1h"}`, again).want(422)
	s.do("POST", keysPath, `{"owner":"x"}`, again).want(422)
	s.do("DELETE", keysPath+"/"+first.text("id"), nil).want(200)
	s.do("POST", keysPath, `{"owner":"x"}`, repeat).want(409)
	s.do("POST", "/v1/workspaces/other/keys", `{"owner":"x"}`, repeat).want(201)
	s.do("POST", keysPath, `{"owner":"x"}`, header("Idempotency-Key", "ORDER 17")).want(201)
	s.do("POST", keysPath, `{"owner":""}`, header("Idempotency-Key", "k")).want(422)
	s.do("POST", keysPath, `{"owner":"x"}`, header("Idempotency-Key", "k")).want(201)
	empty := header("Idempotency-Key", "")
	s.do("POST", keysPath, `{"owner":"x"}`, empty).want(201)
	s.do("POST", keysPath, `{"owner":"x"}`, empty).want(201)
}

func TestIdempotencyInParallel(t *testing.T) {
	s := newServer(t)
	answers := make([]answer, 8)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() {
			var err error
			answers[i], err = s.try("POST", keysPath, `{"owner":"x"}`, header("Idempotency-Key", "k"))
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	list := s.do("GET", keysPath, nil).want(200).object()["keys"].([]any)
	if len(list) != 1 {
		t.Fatalf("%d keys were issued", len(list))
	}
	id := list[0].(map[string]any)["id"]
	created := 0
	for _, a := range answers {
		switch {
		case a.status == 201 && a.text("id") == id:
			created++
		case a.status != 409 || a.problem().KeyID != id:
			t.Errorf("answered %d", a.status)
		}
	}
	if created != 1 {
		t.Errorf("%d answers show the key", created)
	}
}

// If a client disconnects while its key is made, no key is issued.
func TestClientGone(t *testing.T) {
	s := newServer(t)
	before := s.state()
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan struct{})
	s.minter.set(func(m *quickMinter) {
		m.before = func(ctx context.Context) error {
			defer close(done)
			leave()
			<-ctx.Done()
			return ctx.Err()
		}
	})
	if _, err := s.try("POST", keysPath, `{"owner":"x"}`, func(r *http.Request) { *r = *r.WithContext(ctx) }); err == nil {
		t.Error("an answer came")
	}
	<-done
	if s.state() != before {
		t.Error("a key was issued to nobody")
	}
	s.Close() // the log is whole then
	if !strings.Contains(s.log.String(), `"status":499`) {
		t.Error("the log does not show that the client left")
	}
}

// Pages are also limited in bytes, and together they are the complete list.
func TestPagesEndByBytes(t *testing.T) {
	s := newServer(t)
	const n = 80
	metadata := `{"x":"` + strings.Repeat("x", 16<<10-10) + `"}`
	for range n {
		s.do("POST", keysPath, `{"owner":"cust_1","metadata":`+metadata+`}`).want(201)
	}
	for _, path := range []string{keysPath + "?limit=1000", keysPath + "?limit=1000&q=cust_1"} {
		a := s.do("GET", path, nil).want(200)
		if len(a.body) > authz.PageBytes*5/4 || len(a.body) < authz.PageBytes*3/4 || a.object()["next_cursor"] == nil {
			t.Errorf("%s: %d bytes", path, len(a.body))
		}
	}
	if all := s.follow(keysPath, "keys", []string{"limit=1000"}); len(all) != n {
		t.Errorf("%d keys on all pages", len(all))
	}
	dry := s.do("POST", "/v1/workspaces/acme/revocations", `{"owner":"cust_1","dry_run":true}`).want(200)
	if got := dry.object(); got["more"] != true || len(dry.body) > authz.PageBytes*5/4 {
		t.Errorf("a dry run of %d bytes, more: %v", len(dry.body), got["more"])
	}
}
