package gateway

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/gateway/gatewaytest"
	"github.com/burnkey/burnkey/jwks"
)

// followAll runs a Gateway that follows all workspaces of o.
func followAll(tb testing.TB, o *gatewaytest.Origin, dir string) (*Gateway, func()) {
	tb.Helper()
	with := options(o)
	with.Key, with.StateDir, with.ListEvery = keyOf(gatewaytest.ManagementKey), dir, 20*time.Millisecond
	return start(tb, with)
}

func TestEveryWorkspace(t *testing.T) {
	o := gatewaytest.NewOrigin(t, "acme", "beta", "burnkey", "c", "d") // of two on a page
	for _, id := range []string{"acme", "burnkey", "d"} {
		o.Publish(id, own())
	}
	g, _ := followAll(t, o, "")
	wait(t, g, own().Bearer("acme"), 200)
	wait(t, g, own().Bearer("d"), 200)
	if code := codeOf(g, own().Bearer("burnkey")); code != 401 {
		t.Errorf("a management key gets %d", code)
	}
	eventually(t, "it is ready", func() bool { return g.Ready() == nil })

	o.Create("new")
	o.Publish("new", other())
	wait(t, g, other().Bearer("new"), 200)

	acme := g.all()["acme"]
	o.Drop("acme")
	wait(t, g, own().Bearer("acme"), 401)
	if g.all()["acme"] != nil || acme.stop == nil {
		t.Error("what is gone is followed")
	}
	o.Create("acme")
	o.Publish("acme", other())
	wait(t, g, other().Bearer("acme"), 200)
	if code := codeOf(g, own().Bearer("acme")); code != 401 {
		t.Errorf("a key of the workspace that was before: %d", code)
	}
}

// A new workspace whose set cannot be fetched does not delay others.
func TestNewWorkspaceIsSlow(t *testing.T) {
	o := gatewaytest.NewOrigin(t, "acme")
	o.Publish("acme", own())
	g, _ := followAll(t, o, "")
	eventually(t, "it is ready", func() bool { return g.Ready() == nil })
	o.SetHook(func(w http.ResponseWriter, r *http.Request) bool {
		return strings.Contains(r.URL.Path, "/slow/") && gatewaytest.Outage(w, r)
	})
	o.Create("slow")
	wait(t, g, own().Bearer("slow"), 503)
	if code := codeOf(g, own().Bearer("acme")); code != 200 || g.Ready() != nil {
		t.Errorf("another workspace: %d, %v", code, g.Ready())
	}
}

func TestBadListKeepsTheLast(t *testing.T) {
	o := gatewaytest.NewOrigin(t, "acme", "beta")
	o.Publish("acme", own())
	g, _ := followAll(t, o, "")
	wait(t, g, own().Bearer("acme"), 200)
	for _, test := range []struct {
		name   string
		status int
		body   string
	}{
		{"an gatewaytest.Outage", 503, listing()},
		{"not allowed", 403, listing()},
		{"a redirect", 302, listing()},
		{"no JSON", 200, "x"},
		{"cut off", 200, `{"workspaces":[`},
		{"another object", 200, `{}`},
		{"null", 200, `{"workspaces":null,"next_cursor":null}`},
		{"a bad id", 200, listing("x", "../y")},
		{"an id of nothing", 200, `{"workspaces":[{"issuer":"i"}],"next_cursor":null}`},
		{"a number", 200, `{"workspaces":[{"id":1,"issuer":"i"}],"next_cursor":null}`},
		{"without end", 200, `{"workspaces":[{"id":"x","issuer":"i"}],"next_cursor":"x"}`},
		{"a second page that fails", 200, `{"workspaces":[{"id":"x","issuer":"i"}],"next_cursor":"fail"}`},
		{"too long", 200, listing(strings.Repeat("x", 32<<20))},
	} {
		o.SetHook(func(w http.ResponseWriter, r *http.Request) bool {
			if !gatewaytest.IsList(r) {
				return false
			}
			w.Header().Set("Location", "/v1/elsewhere")
			if r.FormValue("cursor") == "fail" {
				w.WriteHeader(500)
				return true
			}
			w.WriteHeader(test.status)
			_, _ = io.WriteString(w, test.body)
			return true
		})
		if list, err := g.fetchList(t.Context()); err == nil {
			t.Errorf("%s: reads as %q", test.name, list)
		}
		if code := codeOf(g, own().Bearer("acme")); code != 200 || len(g.all()) != 2 {
			t.Errorf("%s: %d, and %d workspaces", test.name, code, len(g.all()))
		}
	}
	o.SetHook(nil)
	o.Create("after")
	o.Publish("after", own())
	wait(t, g, own().Bearer("after"), 200)
}

func TestListFromDisk(t *testing.T) {
	o := gatewaytest.NewOrigin(t, "acme", "beta")
	o.Publish("acme", own())
	dir := t.TempDir()
	g, stop := followAll(t, o, dir)
	wait(t, g, own().Bearer("acme"), 200)
	eventually(t, "it is ready", func() bool { return g.Ready() == nil })
	file := filepath.Join(dir, listFile)
	eventually(t, "the list is kept", func() bool { _, err := os.Stat(file); return err == nil })
	stop()
	o.SetHook(gatewaytest.Outage)
	g, stop = followAll(t, o, dir)
	if code := codeOf(g, own().Bearer("acme")); code != 200 {
		t.Errorf("at once, with the server down: %d", code)
	}
	eventually(t, "it is ready", func() bool { return g.Ready() == nil })
	stop()

	kept, err := os.ReadFile(file)
	check(t, err)
	for name, text := range map[string]string{
		"cut off": string(kept[:len(kept)-1]), "empty": "", "another server's": strings.Replace(string(kept), "http://", "https://", 1),
		"a bad id": strings.Replace(string(kept), "acme", "../acme", 1), "no list": `{"server":"` + o.URL + `"}`,
	} {
		check(t, os.WriteFile(file, []byte(text), 0o600))
		g, stop = followAll(t, o, dir)
		if code := codeOf(g, own().Bearer("acme")); code != 503 {
			t.Errorf("%s: %d", name, code)
		}
		stop()
	}
	o.SetHook(nil)
	g, _ = followAll(t, o, dir)
	wait(t, g, own().Bearer("acme"), 200)
}

// A page can be full of workspaces that each have the maximum number of audiences.
func TestLongestList(t *testing.T) {
	audiences := strings.Repeat(`,"`+strings.Repeat("北", 255)+`"`, 16)[1:]
	var ids []string
	for i := range 1000 {
		ids = append(ids, fmt.Sprintf("w%03d", i))
	}
	text := strings.ReplaceAll(listing(ids...), `"}`, `","audiences":[`+audiences+`]}`)
	o := gatewaytest.NewOrigin(t)
	o.SetHook(func(w http.ResponseWriter, _ *http.Request) bool { _, _ = io.WriteString(w, text); return true })
	with := options(o)
	with.Key = keyOf(gatewaytest.ManagementKey)
	g, err := New(with)
	check(t, err)
	if list, err := g.fetchList(t.Context()); err != nil || len(list) != len(ids) {
		t.Errorf("%d workspaces of a list of %d bytes: %v", len(list), len(text), err)
	}
	g.followers.CloseIdleConnections()
}

// Two Gateways cannot use a StateDir at the same time. The second has no keys and is not ready until the first
// ends.
func TestStateDirInUse(t *testing.T) {
	o := gatewaytest.NewOrigin(t, "acme")
	o.Publish("acme", own())
	dir, token := t.TempDir(), own().Bearer("acme")
	first, stop := followAll(t, o, dir)
	wait(t, first, token, 200)
	file := filepath.Join(dir, listFile)
	eventually(t, "the list is kept", func() bool { _, err := os.Stat(file); return err == nil })
	check(t, os.Remove(file)) // it would show that at once
	second, _ := followAll(t, o, dir)
	eventually(t, "it has the list", func() bool { return second.roster.Load() != nil })
	second.updateReadiness(t.Context())
	if code := codeOf(second, token); code != 503 || !errors.Is(second.Ready(), jwks.ErrNotReady) {
		t.Errorf("the second: %d, Ready says %v", code, second.Ready())
	}
	stop()
	wait(t, second, token, 200)
	eventually(t, "it is ready", func() bool { return second.Ready() == nil })
}

// If storing a list fails, it is stored later, even if the list has not changed.
func TestListIsKeptInTheEnd(t *testing.T) {
	o := gatewaytest.NewOrigin(t, "acme")
	o.SetHook(gatewaytest.Outage)
	dir := t.TempDir()
	file := filepath.Join(dir, listFile)
	g, _ := followAll(t, o, dir)
	check(t, os.MkdirAll(filepath.Join(file, "in the way"), 0o700))
	o.SetHook(nil)
	eventually(t, "it is followed", func() bool { return g.all()["acme"] != nil })
	before := o.Listed()
	eventually(t, "the same list comes again", func() bool { return o.Listed() > before+1 })
	check(t, os.RemoveAll(file))
	eventually(t, "it is kept", func() bool { _, err := os.Stat(file); return err == nil })
}

func TestKeyIsReadAnew(t *testing.T) {
	o := gatewaytest.NewOrigin(t, "acme")
	o.Publish("acme", own())
	keys := make(chan string, 1)
	with := options(o)
	with.ListEvery = 20 * time.Millisecond
	with.Key = func() (string, error) {
		select {
		case key := <-keys:
			keys <- key
			return key, nil
		default:
			return "", io.EOF
		}
	}
	g, _ := start(t, with)
	keys <- "not it"
	eventually(t, "it is refused", func() bool { return o.Listed() > 1 })
	if code := codeOf(g, own().Bearer("acme")); code != 503 {
		t.Errorf("without a list: %d", code)
	}
	<-keys
	keys <- gatewaytest.ManagementKey
	wait(t, g, own().Bearer("acme"), 200)
}

// There are more workspaces than can fetch their first set at the same time, and some of the fetches fail.
func TestManyWorkspaces(t *testing.T) {
	var ids []string
	for i := range 3 * maxStarting {
		ids = append(ids, fmt.Sprintf("w%03d", i))
	}
	o := gatewaytest.NewOrigin(t, ids...)
	o.PageSize = 50
	o.SetHook(func(w http.ResponseWriter, r *http.Request) bool {
		return strings.Contains(r.URL.Path, "/w00") && gatewaytest.Outage(w, r)
	})
	last := ids[len(ids)-1]
	o.Publish(last, own())
	g, _ := followAll(t, o, t.TempDir())
	wait(t, g, own().Bearer(last), 200)
	if code := codeOf(g, own().Bearer("w001")); code != 503 {
		t.Errorf("one that can't be fetched: %d", code)
	}
	o.SetHook(nil)
	eventually(t, "all are ready", func() bool { return g.Ready() == nil })
}
