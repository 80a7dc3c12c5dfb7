package gateway

import (
	"errors"
	"math"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/gateway/gatewaytest"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
)

func TestRevoke(t *testing.T) {
	g, o := follow(t, nil)
	acme, beta := own().Bearer("acme"), other().Bearer("beta")
	wait(t, g, acme, 200)
	o.Change("acme", nil, own().KID())
	wait(t, g, acme, 401)
	if code := codeOf(g, beta); code != 200 {
		t.Errorf("another workspace's: %d", code)
	}
	// The workspace beta publishes the key of acme, too. The key's token remains valid only for acme.
	o.Publish("beta", own())
	wait(t, g, own().Bearer("beta"), 200)
	if code := codeOf(g, acme); code != 401 {
		t.Errorf("a revoked key that another workspace publishes: %d", code)
	}
}

func TestNotReady(t *testing.T) {
	o := gatewaytest.NewOrigin(t, "acme")
	o.Publish("acme", own())
	o.SetHook(gatewaytest.Outage)
	g, _ := start(t, options(o, "acme"))
	if !errors.Is(g.Ready(), jwks.ErrNotReady) {
		t.Errorf("Ready: %v", g.Ready())
	}
	v := ask(g, request(own().Bearer("acme")))
	if v.status != 503 || v.headers.Get("Retry-After") != "1" || v.headers.Get("WWW-Authenticate") != "" {
		t.Errorf("%+v", v)
	}
	wantProblem(t, "503", v)
	if code := codeOf(g, ""); code != 401 {
		t.Errorf("without a token: %d", code)
	}
	o.SetHook(nil)
	wait(t, g, own().Bearer("acme"), 200)
	eventually(t, "it is ready", func() bool { return g.Ready() == nil })
}

// A workspace that does not exist on the server is named in the error, and logged once.
func TestNoSuchWorkspace(t *testing.T) {
	log := new(testkit.Log)
	o := gatewaytest.NewOrigin(t, "acme")
	o.Publish("acme", own())
	with := options(o, "acme", "nosuch")
	with.Log = log.Logger()
	g, _ := start(t, with)
	wait(t, g, own().Bearer("acme"), 200)
	const want = `the server has no workspace "nosuch"`
	eventually(t, "it says so", func() bool { return g.Ready() != nil && strings.Contains(g.Ready().Error(), want) })
	if !errors.Is(g.Ready(), jwks.ErrNotReady) || !errors.Is(g.Ready(), jwks.ErrNoWorkspace) {
		t.Errorf("Ready: %v", g.Ready())
	}
	said := func() int { return strings.Count(log.String(), strings.ReplaceAll(want, `"`, `\"`)) }
	eventually(t, "it is logged", func() bool { return said() > 0 })
	asked := o.AskedFor("nosuch")
	eventually(t, "it is asked for again", func() bool { return o.AskedFor("nosuch") > asked+2 })
	if said() != 1 {
		t.Errorf("logged %d times:\n%s", said(), log)
	}
	o.Create("nosuch")
	eventually(t, "it is ready", func() bool { return g.Ready() == nil })
}

func TestStale(t *testing.T) {
	for _, serve := range []bool{false, true} {
		log, now := new(testkit.Log), new(testkit.Clock)
		g, o := follow(t, func(o *Options) {
			o.MaxStaleness, o.ServeStale, o.Now = time.Minute, serve, now.Now
			o.Log = log.Logger()
		})
		token := own().Bearer("acme")
		wait(t, g, token, 200)
		o.Stop()
		// Or a heartbeat that was sent before could be read once the clock has moved.
		eventually(t, "no stream is left", func() bool { s := g.Stats(); return s.Polling == s.Workspaces })
		now.Advance(2 * time.Minute)
		want, logged := 503, "refused with 503"
		if serve {
			want, logged = 200, "stay in use"
		}
		if code := codeOf(g, token); code != want {
			t.Errorf("serve %t: %d", serve, code)
		}
		eventually(t, "it is logged", func() bool { return strings.Contains(log.String(), logged) })
		if ready := g.Ready(); serve != (ready == nil) || !serve && !errors.Is(ready, jwks.ErrStale) {
			t.Errorf("serve %t: Ready says %v", serve, ready)
		}
		if n := g.Stats().Stale; n != 2 {
			t.Errorf("serve %t: %d workspaces are stale", serve, n)
		}
	}
}

func TestStartsFromDisk(t *testing.T) {
	o := gatewaytest.NewOrigin(t, "acme")
	o.Publish("acme", own())
	token, dir := own().Bearer("acme"), t.TempDir()
	with := options(o, "acme")
	with.StateDir = dir
	g, stop := start(t, with)
	wait(t, g, token, 200)
	if _, err := New(with); !errors.Is(err, jwks.ErrStateInUse) {
		t.Errorf("a second one on its folder: %v", err)
	}
	stop()
	o.Stop()
	g, _ = start(t, with)
	if code := codeOf(g, token); code != 200 {
		t.Errorf("at once, with the server down: %d", code)
	}
	if files, err := filepath.Glob(filepath.Join(dir, "acme.jwks*")); err != nil || len(files) == 0 {
		t.Errorf("%v, %v", files, err)
	}
}

// One workspace whose set cannot be fetched does not take others out of service.
func TestOneWorkspaceHoldsUpNoOther(t *testing.T) {
	o := gatewaytest.NewOrigin(t, "acme", "beta")
	o.Publish("acme", own())
	o.Publish("beta", other())
	isBeta := func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/beta/") }
	damaged := func(w http.ResponseWriter, r *http.Request) bool { return isBeta(r) && gatewaytest.Outage(w, r) }
	o.SetHook(damaged)
	now, with := new(testkit.Clock), options(o, "acme", "beta")
	with.MaxStaleness, with.Now = time.Minute, now.Now
	g, err := New(with)
	check(t, err)
	g.patience = 100 * time.Millisecond
	run(t, g)
	wait(t, g, other().Bearer("beta"), 503)
	eventually(t, "it is ready without the one that cannot be fetched", func() bool { return g.Ready() == nil })

	o.SetHook(func(w http.ResponseWriter, r *http.Request) bool { // so it cannot be followed at once
		return isBeta(r) && strings.HasSuffix(r.URL.Path, "/changes") && damaged(w, r)
	})
	wait(t, g, other().Bearer("beta"), 200)
	o.SetHook(damaged)
	now.Advance(2 * time.Minute)
	g.updateReadiness(t.Context())
	wait(t, g, other().Bearer("beta"), 503)
	wait(t, g, own().Bearer("acme"), 200)
	eventually(t, "it is ready with one that is stale", func() bool { return g.Ready() == nil })
}

// After the clock was set back, stored keys are dated in the future. Their age is unknown.
func TestAgeIsUnknown(t *testing.T) {
	o := gatewaytest.NewOrigin(t, "acme")
	with := options(o, "acme")
	with.StateDir = t.TempDir()
	g, stop := start(t, with)
	eventually(t, "it is ready", func() bool { return g.Ready() == nil })
	stop()
	o.Stop()
	back := new(testkit.Clock)
	back.Advance(-time.Hour)
	with.Now = back.Now
	g, _ = start(t, with)
	if age := g.Stats().MaxAge; age != math.MaxInt64 {
		t.Errorf("the maximum age is %s", age)
	}
}
