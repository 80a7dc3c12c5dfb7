package gateway

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/gateway/gatewaytest"
	"github.com/burnkey/burnkey/jwks"
)

// followAll runs a Gateway that follows all workspaces of o.
func followAll(tb testing.TB, o *gatewaytest.Origin, dir string) (*Gateway, func()) {
	tb.Helper()
	with := options(o)
	with.Key, with.StateDir = keyOf(gatewaytest.ManagementKey), dir
	return start(tb, with)
}

func TestEveryWorkspace(t *testing.T) {
	o := gatewaytest.NewOrigin(t, "acme", "beta", "burnkey", "c", "d")
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
	if o.Feeds() != 1 {
		t.Errorf("%d connections", o.Feeds())
	}

	o.Drop("acme")
	wait(t, g, own().Bearer("acme"), 401)
	o.Create("acme")
	o.Publish("acme", other())
	wait(t, g, other().Bearer("acme"), 200)
	if code := codeOf(g, own().Bearer("acme")); code != 401 {
		t.Errorf("a key of the workspace that was before: %d", code)
	}
}

// A key is not accepted by a JWK alone: its attributes are those of the same version, also from disk.
func TestAttributesFromTheFeed(t *testing.T) {
	o := gatewaytest.NewOrigin(t, "acme")
	allowed := jwks.Attributes{AllowedIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Scopes: []string{"maps:read"}}
	o.Apply("acme", jwks.Change{
		Add: []jwks.Key{own().Key}, Unsigned: jwks.Unsigned{Set: []jwks.KeyAttributes{{KID: own().KID(), Attributes: allowed}}},
	})
	dir := t.TempDir()
	g, stop := followAll(t, o, dir)
	eventually(t, "it is ready", func() bool { return g.Ready() == nil })
	from := func(g *Gateway, address string) verdict {
		r := request(own().Bearer("acme"))
		r.Address = netip.MustParseAddr(address)
		return ask(g, r)
	}
	check := func(g *Gateway) {
		t.Helper()
		if v := from(g, "::ffff:192.0.2.9"); v.status != 200 || v.fields["scopes"] != "maps:read" {
			t.Errorf("from an allowed address: %d, %v", v.status, v.fields)
		}
		if v := from(g, "192.0.3.9"); v.status != 403 {
			t.Errorf("from another address: %d", v.status)
		}
	}
	check(g)
	stop()
	o.SetHook(gatewaytest.Outage)
	g, _ = followAll(t, o, dir)
	check(g)
	o.SetHook(nil)
	o.Apply("acme", jwks.Change{Unsigned: jwks.Unsigned{Set: []jwks.KeyAttributes{{KID: own().KID()}}}})
	eventually(t, "the key can be used from anywhere", func() bool { return from(g, "192.0.3.9").status == 200 })
}

// A workspace that is named is followed alone, also if it is made later.
func TestNamedWorkspacesOfTheFeed(t *testing.T) {
	o := gatewaytest.NewOrigin(t, "acme", "beta")
	o.Publish("acme", own())
	o.Publish("beta", own())
	with := options(o, "acme", "later")
	with.Key = keyOf(gatewaytest.ManagementKey)
	g, _ := start(t, with)
	wait(t, g, own().Bearer("acme"), 200)
	if code := codeOf(g, own().Bearer("beta")); code != 401 {
		t.Errorf("another workspace: %d", code)
	}
	eventually(t, "it reports what is missing", func() bool { return errors.Is(g.Ready(), jwks.ErrNoWorkspace) })
	o.Create("later")
	o.Publish("later", other())
	wait(t, g, other().Bearer("later"), 200)
	eventually(t, "it is ready", func() bool { return g.Ready() == nil })
}

// A feed that ends, or says what is invalid, leaves the last keys in use.
func TestBadFeedKeepsTheLast(t *testing.T) {
	for name, answer := range map[string]struct {
		status int
		body   string
	}{
		"an outage": {503, ""}, "not allowed": {403, ""}, "an older server": {404, ""}, "no stream": {200, "{}"}, "a redirect": {302, ""},
		"an empty set":     {200, "event: set\ndata: {\"workspace\":\"acme\",\"version\":9,\"keys\":[]}\n\n"},
		"no JSON":          {200, "event: set\ndata: x\n\n"},
		"a wrong change":   {200, "event: change\ndata: {\"workspace\":\"acme\",\"version\":9,\"remove\":[\"x\"]}\n\n"},
		"without end":      {200, "event: set\ndata: " + strings.Repeat("x", 3<<20)},
		"an unknown event": {200, "event: more\ndata: {}\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := gatewaytest.NewOrigin(t, "acme", "beta")
			o.Publish("acme", own())
			g, _ := followAll(t, o, "")
			wait(t, g, own().Bearer("acme"), 200)
			asked := make(chan struct{}, 1000)
			o.SetHook(func(w http.ResponseWriter, r *http.Request) bool {
				if !gatewaytest.IsFeed(r) {
					return false
				}
				w.Header().Set("Location", "/v1/elsewhere")
				if answer.status == 200 && answer.body != "{}" {
					w.Header().Set("Content-Type", jwks.StreamType)
				}
				w.WriteHeader(answer.status)
				_, _ = io.WriteString(w, answer.body)
				asked <- struct{}{}
				return true
			})
			o.Drop("nothing") // ends the stream
			<-asked
			<-asked
			if code := codeOf(g, own().Bearer("acme")); code != 200 || len(g.all()) != 2 {
				t.Errorf("%d, and %d workspaces", code, len(g.all()))
			}
			o.SetHook(nil)
			o.Create("after")
			o.Publish("after", own())
			wait(t, g, own().Bearer("after"), 200)
		})
	}
}

func TestFeedFromDisk(t *testing.T) {
	o := gatewaytest.NewOrigin(t, "acme", "beta")
	o.Publish("acme", own())
	dir := t.TempDir()
	g, stop := followAll(t, o, dir)
	wait(t, g, own().Bearer("acme"), 200)
	eventually(t, "it is ready", func() bool { return g.Ready() == nil })
	stop()
	o.SetHook(gatewaytest.Outage)
	g, stop = followAll(t, o, dir)
	if code := codeOf(g, own().Bearer("acme")); code != 200 {
		t.Errorf("at once, with the server down: %d", code)
	}
	eventually(t, "it is ready", func() bool { return g.Ready() == nil })
	stop()
	files, err := os.ReadDir(dir)
	if err != nil || len(files) > 4 {
		t.Errorf("%d files, %v", len(files), err)
	}

	check(t, os.WriteFile(filepath.Join(dir, feedFile), []byte("burnkey-jwks/1\r\nof an older version"), 0o600))
	g, stop = followAll(t, o, dir)
	if code := codeOf(g, own().Bearer("acme")); code != 503 {
		t.Errorf("a file of an older version: %d", code)
	}
	stop()
	o.SetHook(nil)
	g, _ = followAll(t, o, dir)
	wait(t, g, own().Bearer("acme"), 200)
}

// Two Gateways cannot use a StateDir at the same time.
func TestStateDirInUse(t *testing.T) {
	o := gatewaytest.NewOrigin(t, "acme")
	dir := t.TempDir()
	_, stop := followAll(t, o, dir)
	with := options(o)
	with.Key, with.StateDir = keyOf(gatewaytest.ManagementKey), dir
	if _, err := New(with); !errors.Is(err, jwks.ErrStateInUse) {
		t.Errorf("the second: %v", err)
	}
	stop()
	second, err := New(with)
	check(t, err)
	second.close()
}

func TestKeyIsReadAnew(t *testing.T) {
	o := gatewaytest.NewOrigin(t, "acme")
	o.Publish("acme", own())
	keys := make(chan string, 1)
	with := options(o)
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
	eventually(t, "it is refused", func() bool { return o.Feeds() > 1 })
	if code := codeOf(g, own().Bearer("acme")); code != 503 {
		t.Errorf("without a feed: %d", code)
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
	o.SetHook(func(w http.ResponseWriter, r *http.Request) bool {
		return strings.Contains(r.URL.Path, "/w00") && gatewaytest.Outage(w, r)
	})
	last := ids[len(ids)-1]
	o.Publish(last, own())
	with := options(o, ids...)
	with.StateDir = t.TempDir()
	g, _ := start(t, with)
	wait(t, g, own().Bearer(last), 200)
	if code := codeOf(g, own().Bearer("w001")); code != 503 {
		t.Errorf("one that can't be fetched: %d", code)
	}
	o.SetHook(nil)
	eventually(t, "all are ready", func() bool { return g.Ready() == nil })
}
