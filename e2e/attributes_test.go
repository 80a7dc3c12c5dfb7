package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/burnkey/burnkey/store/sqlite"
	"github.com/burnkey/burnkey/store/storetest"
)

// asker asks a gateway about requests, as Envoy does.
type asker struct{ client authv3.AuthorizationClient }

func (a *asked) asker(t testing.TB) *asker {
	t.Helper()
	conn, err := grpc.NewClient(a.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(t, err)
	t.Cleanup(func() { conn.Close() })
	return &asker{authv3.NewAuthorizationClient(conn)}
}

// from returns the status of a request from an address; 0: the gateway did not answer. The pairs are the route's
// requirements.
func (a *asker) from(ctx context.Context, address, token string, pairs ...string) int {
	extensions := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		extensions[pairs[i]] = pairs[i+1]
	}
	peer := &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{Address: address}}}
	answer, err := a.client.Check(ctx, &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source:            &authv3.AttributeContext_Peer{Address: peer},
		ContextExtensions: extensions,
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Method: http.MethodGet, Path: "/", Headers: map[string]string{"authorization": "Bearer " + token},
		}},
	}})
	switch {
	case err != nil:
		return 0
	case answer.GetOkResponse() != nil:
		return http.StatusOK
	}
	return int(answer.GetDeniedResponse().GetStatus().GetCode())
}

const here, elsewhere = "192.0.2.7", "198.51.100.9"

// attributeChange is a change of a key, or of its plan, and its effect on a request.
type attributeChange struct {
	name   string
	plan   bool
	change map[string]any
	want   int // the status from here, on a route that requires maps:read
	undo   map[string]any
}

var attributeChanges = []attributeChange{
	{name: "suspension", change: map[string]any{"enabled": false}, want: 401, undo: map[string]any{"enabled": true}},
	{
		name: "addresses", change: map[string]any{"allowed_ips": []string{"203.0.113.0/24"}}, want: 403,
		undo: map[string]any{"allowed_ips": nil},
	},
	{name: "scopes", change: map[string]any{"scopes": []string{}}, want: 403, undo: map[string]any{"scopes": []string{"maps:read"}}},
	{
		name: "limits", change: map[string]any{"limits": []any{map[string]any{"name": "none", "requests": 1, "seconds": 86400}}}, want: 429,
		undo: map[string]any{"limits": nil},
	},
	{
		name: "plan", change: map[string]any{"plan": "slow"}, want: 429, undo: map[string]any{"plan": "gold"},
	},
	{
		name: "limits of a plan", plan: true, want: 429,
		change: map[string]any{"limits": []any{map[string]any{"name": "few", "requests": 1, "seconds": 86400}}},
		undo:   map[string]any{"limits": []any{map[string]any{"name": "many", "requests": 1000000, "seconds": 1}}},
	},
}

// TestE2EAttributes changes attributes of a key among many, under load, and measures when each change takes effect
// at the gateway. After a kill, a gateway without the server still holds them.
func TestE2EAttributes(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--log-level", "warn")
	admin := s.admin()
	admin.mustCreate(t, "acme")
	for name, requests := range map[string]int{"gold": 1000000, "slow": 1} {
		check(t, admin.call(http.MethodPost, "/v1/workspaces/acme/plans", map[string]any{
			"name": name, "limits": []any{map[string]any{"name": "many", "requests": requests, "seconds": 86400}},
		}, nil))
	}
	addKeys(t, s, scale(t, "BURNKEY_E2E_ATTRIBUTES_KEYS", 500, 300))
	gate := startAsked(t, s, "--key-file", gatewayKey(t, admin, map[string]any{}))
	var keys []key
	for range 4 {
		keys = append(keys, admin.mustIssue(t, "acme", "scopes", []string{"maps:read"}, "plan", "gold"))
	}
	ask := gate.asker(t)
	stop := ask.load(t, keys[1:])
	k := keys[0]
	eventually(t, "the key is accepted", func() bool { return ask.from(t.Context(), here, k.Token, "scopes", "maps:read") == 200 })
	apply := func(c attributeChange, change map[string]any) {
		path := "/v1/workspaces/acme/keys/" + k.ID
		if c.plan {
			path = "/v1/workspaces/acme/plans/gold"
		}
		check(t, admin.call(http.MethodPatch, path, change, nil))
	}
	var all spread
	for _, c := range attributeChanges {
		var took spread
		for range scale(t, "BURNKEY_E2E_ATTRIBUTES_CHANGES", 3, 2) {
			for _, step := range []struct {
				change map[string]any
				want   int
			}{{c.change, c.want}, {c.undo, 200}} {
				apply(c, step.change)
				since := time.Now()
				eventually(t, c.name, func() bool { return ask.from(t.Context(), here, k.Token, "scopes", "maps:read") == step.want })
				took = append(took, time.Since(since))
			}
		}
		t.Logf("%s: %s", c.name, took)
		all = append(all, took...)
	}
	took := expiries(t, admin, ask)
	t.Logf("expiry: %s", took)
	all = append(all, took...)
	t.Logf("all: %s, while %d requests passed", all, stop())

	check(t, admin.call(http.MethodPatch, "/v1/workspaces/acme/keys/"+keys[1].ID, map[string]any{"enabled": false}, nil))
	apply(attributeChange{}, map[string]any{"allowed_ips": []string{here}, "plan": "slow"})
	eventually(t, "the last change is in the folder", func() bool {
		text, err := os.ReadFile(filepath.Join(gate.stateDir(), "feed.jwks"))
		return err == nil && bytes.Contains(text, []byte(here+"/32"))
	})
	check(t, gate.cmd.Process.Kill())
	<-gate.done
	s.kill()
	gate.start()
	gate.ready()
	ask = gate.asker(t)
	for _, want := range []struct {
		what, from, token string
		code              int
	}{
		{"from elsewhere", elsewhere, k.Token, 403},
		{"suspended", here, keys[1].Token, 401},
		{"another key", here, keys[2].Token, 200},
		{"the only request of the plan", here, k.Token, 200},
		{"beyond the plan", here, k.Token, 429},
	} {
		if code := ask.from(t.Context(), want.from, want.token); code != want.code {
			t.Errorf("after a kill, without the server, %s: %d, want %d", want.what, code, want.code)
		}
	}
}

// expiries moves the expiry of some keys near and far, and that of others near. It measures how long after its time an expiry holds.
// The changes take milliseconds, or seconds on a busy machine.
func expiries(t *testing.T, admin *client, ask *asker) (took spread) {
	t.Helper()
	const soon = 15 * time.Second
	change := func(k key, in map[string]any) {
		t.Helper()
		check(t, admin.call(http.MethodPatch, "/v1/workspaces/acme/keys/"+k.ID, in, nil))
	}
	var moved, short []key
	for range scale(t, "BURNKEY_E2E_ATTRIBUTES_CHANGES", 3, 2) {
		moved, short = append(moved, admin.mustIssue(t, "acme")), append(short, admin.mustIssue(t, "acme"))
	}
	for _, k := range short {
		eventually(t, "a key is accepted", func() bool { return ask.from(t.Context(), here, k.Token) == 200 })
	}
	for _, k := range moved {
		change(k, map[string]any{"expires_at": time.Now().Add(soon).UTC()})
		change(k, map[string]any{"expires_at": time.Now().Add(time.Hour).UTC(), "allowed_ips": []string{"192.0.2.0/24"}})
	}
	for _, k := range moved {
		eventually(t, "the gateway has both changes", func() bool { return ask.from(t.Context(), elsewhere, k.Token) == 403 })
	}
	ends := time.Now().Add(soon).Truncate(time.Millisecond) // after the first expiry of the keys above
	for _, k := range short {
		change(k, map[string]any{"expires_at": ends.UTC()})
	}
	for i := 0; time.Now().Before(ends.Add(-20 * time.Millisecond)); i++ {
		if code := ask.from(t.Context(), here, short[i%len(short)].Token); code != http.StatusOK && time.Now().Before(ends) {
			t.Fatalf("before its expiry, a key is answered %d", code)
		}
	}
	for _, k := range short {
		eventually(t, "the key has expired", func() bool { return ask.from(t.Context(), here, k.Token) == 401 })
		took = append(took, max(0, time.Since(ends)))
	}
	for _, k := range moved {
		if code := ask.from(t.Context(), here, k.Token); code != http.StatusOK {
			t.Errorf("a key whose expiry was moved back is answered %d", code)
		}
	}
	return took
}

// load asks about keys until the returned function is called, which returns how many requests passed.
func (a *asker) load(t *testing.T, keys []key) (stop func() int64) {
	ctx, cancel := context.WithCancel(context.Background())
	var passed atomic.Int64
	var asking sync.WaitGroup
	for i := range 4 {
		asking.Go(func() {
			for ctx.Err() == nil {
				if a.from(ctx, here, keys[i%len(keys)].Token) == http.StatusOK {
					passed.Add(1)
				}
			}
		})
	}
	stop = sync.OnceValue(func() int64 { cancel(); asking.Wait(); return passed.Load() })
	t.Cleanup(func() { stop() })
	return stop
}

// addKeys writes keys directly to the database, a tenth of them with the plan gold.
func addKeys(t *testing.T, s *server, n int) {
	t.Helper()
	st, err := sqlite.Open(t.Context(), s.databaseFile())
	check(t, err)
	defer st.Close()
	for i := range n {
		k := storetest.NewRecord("acme", fmt.Sprint("cust_", i))
		k.CreatedAt, k.UpdatedAt, k.ExpiresAt = time.Now(), time.Now(), time.Time{}
		if i%10 == 0 {
			k.Plan = "gold"
		}
		_, err := st.Issue(t.Context(), k, storetest.NewKey(t), nil)
		check(t, err)
	}
}

// TestE2EAllowlistFromTheFirstMoment issues keys that can be used from some addresses only, over a bad network between
// server and gateway, and asks from elsewhere all the time: no request passes.
func TestE2EAllowlistFromTheFirstMoment(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--log-level", "warn")
	admin := s.admin()
	admin.mustCreate(t, "acme")
	proxy := startToxiproxy(t)
	addr := proxy.between(strings.TrimPrefix(s.url, "http://"))
	gate := newAsked(t, "http://"+addr, "--key-file", gatewayKey(t, admin, map[string]any{}), "--public-url", s.url)
	gate.start()
	gate.ready()
	ask := gate.asker(t)
	bad, worsen := context.WithCancel(context.Background())
	var network sync.WaitGroup
	network.Go(func() {
		for i := 0; bad.Err() == nil; i++ { // late, in pieces, and cut off
			proxy.with(faults[[]int{0, 5, 1, 2}[i%4]], func() { during(500 * time.Millisecond) })
			during(200 * time.Millisecond)
		}
	})
	defer network.Wait()
	defer worsen()
	n := scale(t, "BURNKEY_E2E_ALLOWLIST_ISSUES", 8, 4)
	var asked, refused atomic.Int64
	parallel(4, n, func(int) {
		k := admin.mustIssue(t, "acme", "allowed_ips", []string{here + "/32"})
		for known := false; !known; {
			switch code := ask.from(t.Context(), elsewhere, k.Token); code {
			case http.StatusUnauthorized: // not known yet
			case http.StatusForbidden:
				known = true
				refused.Add(1)
			default:
				t.Errorf("a key is answered %d from elsewhere", code)
				return
			}
			asked.Add(1)
		}
		if code := ask.from(t.Context(), here, k.Token); code != http.StatusOK {
			t.Errorf("a key is answered %d from an allowed address", code)
		}
	})
	t.Logf("%d requests with %d keys from elsewhere: none passed", asked.Load(), refused.Load())
	if int(refused.Load()) != n {
		t.Errorf("%d of %d keys became known", refused.Load(), n)
	}
}
