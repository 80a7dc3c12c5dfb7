package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/postgres"
	"github.com/burnkey/burnkey/store/postgres/pgtest"
	"github.com/burnkey/burnkey/store/sqlite"
	"github.com/burnkey/burnkey/store/storetest"
)

// TestE2ECrowdOfReaders checks that one tenant cannot crowd out another. With one tenant's key, 30 clients
// search and 40 read big lists, over the largest metadata that an earlier version accepted. Another tenant's
// lists, searches and revocations must still work, and the server's memory must stay bounded.
func TestE2ECrowdOfReaders(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		s := startServer(t)
		st, err := sqlite.Open(t.Context(), s.databaseFile())
		if err != nil {
			t.Fatal(err)
		}
		crowd(t, s, st)
	})
	t.Run("postgres", func(t *testing.T) {
		database := pgtest.Start(t, nil).Database(t)
		s := startServer(t, "--database", database)
		st, err := postgres.Open(t.Context(), database, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		crowd(t, s, st)
	})
}

func crowd(t *testing.T, s *server, st store.Store) {
	defer st.Close()
	admin := s.admin()
	admin.mustCreate(t, "acme")
	admin.mustCreate(t, "other")
	fill(t, st, "acme", scale(t, "BURNKEY_E2E_CROWD_KEYS", 600, 300), `{"a":`+strings.Repeat("[", 8000)+strings.Repeat("]", 8000)+`}`)
	fill(t, st, "other", 300, `{}`)
	tied := func(workspace string) *client {
		k := admin.mustIssue(t, "burnkey", "owner", "who reads "+workspace, "scopes", []string{"keys:read", "keys:write", "audit:read"},
			"claims", map[string]string{"workspace": workspace})
		return &client{s.url, k.Token}
	}
	crowded, others := tied("acme"), tied("other")

	end := time.Now().Add(time.Duration(scale(t, "BURNKEY_E2E_CROWD_SECONDS", 4, 2)) * time.Second)
	var (
		all     sync.WaitGroup
		mu      sync.Mutex
		answers = map[int]int{}
		longest int64
	)
	ask := func(c *client, path string) {
		for time.Now().Before(end) {
			code, n := read(c, path)
			mu.Lock()
			answers[code]++
			longest = max(longest, n)
			mu.Unlock()
		}
	}
	for i := range 30 {
		all.Go(func() {
			ask(crowded, []string{"keys?q=nothing&limit=500", "audit?action=session.start&limit=500"}[i%2])
		})
	}
	for range 40 {
		all.Go(func() { ask(crowded, "keys?limit=500") })
	}
	heap := 0.0
	all.Go(func() {
		for time.Now().Before(end) {
			if n, ok := s.metric("process_resident_memory_bytes"); ok {
				heap = max(heap, n)
			}
		}
	})
	took := map[string]spread{}
	for i := 0; time.Now().Before(end); i++ {
		for name, call := range map[string]func() error{
			"list":   func() error { return others.call("GET", "/v1/workspaces/other/keys?limit=100", nil, nil) },
			"search": func() error { return others.call("GET", "/v1/workspaces/other/keys?q=OF+CUST_1", nil, nil) },
			"revoke": func() error {
				return others.call("POST", "/v1/workspaces/other/revocations", map[string]string{"owner": fmt.Sprint("cust_", i)}, nil)
			},
		} {
			start := time.Now()
			if err := call(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			took[name] = append(took[name], time.Since(start))
		}
	}
	all.Wait()
	for name, each := range took {
		t.Logf("another tenant's %s: %s", name, each)
		slices.Sort(each)
		if p99 := each[(len(each)-1)*99/100]; p99 > patience {
			t.Errorf("another tenant's %s takes %s", name, p99)
		}
	}
	t.Logf("the crowd was answered %v, with %d bytes at most; the server has had %.0f MB", answers, longest, heap/1e6)
	if heap > 400e6 || longest > 4<<20 || answers[http.StatusOK] == 0 || answers[http.StatusTooManyRequests] == 0 {
		t.Error("the crowd is not bounded")
	}
	if !strings.Contains(s.log(), "lists and searches are refused") {
		t.Error("the log does not say that somebody was turned away")
	}
}

// fill writes keys directly to the database, in a form that an earlier version could have left.
func fill(t *testing.T, st store.Store, workspace string, n int, metadata string) {
	t.Helper()
	for i := range n {
		k := storetest.NewRecord(workspace, fmt.Sprint("cust_", i))
		k.CreatedAt, k.UpdatedAt, k.ExpiresAt = time.Now(), time.Now(), time.Time{}
		k.Metadata = json.RawMessage(metadata)
		if _, err := st.Issue(t.Context(), k, storetest.NewKey(t), nil); err != nil {
			t.Fatal(err)
		}
	}
}

// read sends a GET for a path below the client's workspace, and returns the status and the body's length.
func read(c *client, path string) (code int, n int64) {
	request, err := http.NewRequest(http.MethodGet, c.url+"/v1/workspaces/acme/"+path, nil)
	if err != nil {
		return 0, 0
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, 0
	}
	defer answer.Body.Close()
	n, _ = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, n
}
