package gateway

import (
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/burnkey/burnkey/jwks"
)

func bearerOf(p pair, workspace string) string { return "Bearer " + p.token(payload(workspace)) }

func codeOf(tb testing.TB, g *Gateway, authorization string) int {
	tb.Helper()
	return ask(tb, g, request("GET", authorization)).status
}

// wait polls until a token gets a status.
func wait(tb testing.TB, g *Gateway, authorization string, want int) {
	tb.Helper()
	eventually(tb, http.StatusText(want), func() bool { return codeOf(tb, g, authorization) == want })
}

func TestRevoke(t *testing.T) {
	g, o := follow(t, nil)
	acme, beta := bearerOf(own(), "acme"), bearerOf(other(), "beta")
	wait(t, g, acme, 200)
	o.change("acme", nil, own().kid())
	wait(t, g, acme, 401)
	if code := codeOf(t, g, beta); code != 200 {
		t.Errorf("another workspace's: %d", code)
	}
	// The key of one workspace, published by another, opens neither.
	o.publish("beta", own())
	wait(t, g, bearerOf(own(), "beta"), 200)
	if code := codeOf(t, g, acme); code != 401 {
		t.Errorf("a revoked key that another workspace publishes: %d", code)
	}
}

func TestNotReady(t *testing.T) {
	o := newOrigin(t, "acme")
	o.publish("acme", own())
	o.setHook(outage)
	g, _ := start(t, options(o, "acme"))
	if !errors.Is(g.Ready(), jwks.ErrNotReady) {
		t.Errorf("Ready: %v", g.Ready())
	}
	v := ask(t, g, request("GET", bearerOf(own(), "acme")))
	if v.status != 503 || v.headers.Get("Retry-After") != "1" || v.headers.Get("WWW-Authenticate") != "" {
		t.Errorf("%+v", v)
	}
	wantProblem(t, "503", v)
	if code := codeOf(t, g, ""); code != 401 {
		t.Errorf("without a token: %d", code)
	}
	o.setHook(nil)
	wait(t, g, bearerOf(own(), "acme"), 200)
	eventually(t, "it is ready", func() bool { return g.Ready() == nil })
}

// A workspace that the server does not have is named, and told of once.
func TestNoSuchWorkspace(t *testing.T) {
	log := new(lockedBuffer)
	o := newOrigin(t, "acme")
	o.publish("acme", own())
	with := options(o, "acme", "nosuch")
	with.Log = slog.New(slog.NewTextHandler(log, nil))
	g, _ := start(t, with)
	wait(t, g, bearerOf(own(), "acme"), 200)
	const want = `the server has no workspace "nosuch"`
	eventually(t, "it says so", func() bool { return g.Ready() != nil && strings.Contains(g.Ready().Error(), want) })
	if !errors.Is(g.Ready(), jwks.ErrNotReady) || !errors.Is(g.Ready(), jwks.ErrNoWorkspace) {
		t.Errorf("Ready: %v", g.Ready())
	}
	said := func() int { return strings.Count(log.String(), strings.ReplaceAll(want, `"`, `\"`)) }
	eventually(t, "it is logged", func() bool { return said() > 0 })
	asked := o.askedFor("nosuch")
	eventually(t, "it is asked for again", func() bool { return o.askedFor("nosuch") > asked+2 })
	if said() != 1 {
		t.Errorf("logged %d times:\n%s", said(), log)
	}
	o.create("nosuch")
	eventually(t, "it is ready", func() bool { return g.Ready() == nil })
}

func TestStale(t *testing.T) {
	for _, serve := range []bool{false, true} {
		log, now, metrics := new(lockedBuffer), new(clock), prometheus.NewRegistry()
		g, o := follow(t, func(o *Options) {
			o.MaxStaleness, o.ServeStale, o.Now, o.Metrics = time.Minute, serve, now.now, metrics
			o.Log = slog.New(slog.NewTextHandler(log, nil))
		})
		token := bearerOf(own(), "acme")
		wait(t, g, token, 200)
		o.stop()
		now.advance(2 * time.Minute)
		want, logged := 503, "refused with 503"
		if serve {
			want, logged = 200, "stay in use"
		}
		if code := codeOf(t, g, token); code != want {
			t.Errorf("serve %t: %d", serve, code)
		}
		eventually(t, "it is told", func() bool { return strings.Contains(log.String(), logged) })
		if ready := g.Ready(); serve != (ready == nil) || !serve && !errors.Is(ready, jwks.ErrStale) {
			t.Errorf("serve %t: Ready says %v", serve, ready)
		}
		want2 := "burnkey_gateway_workspaces_stale 2\n"
		if err := testutil.GatherAndCompare(metrics, strings.NewReader("# HELP burnkey_gateway_workspaces_stale Those whose keys are older than --max-staleness.\n# TYPE burnkey_gateway_workspaces_stale gauge\n"+want2), "burnkey_gateway_workspaces_stale"); err != nil {
			t.Error(err)
		}
	}
}

func TestStartsFromDisk(t *testing.T) {
	o := newOrigin(t, "acme")
	o.publish("acme", own())
	token, dir := bearerOf(own(), "acme"), t.TempDir()
	with := options(o, "acme")
	with.StateDir = dir
	g, stop := start(t, with)
	wait(t, g, token, 200)
	if _, err := New(with); !errors.Is(err, jwks.ErrStateInUse) {
		t.Errorf("a second one on its folder: %v", err)
	}
	stop()
	o.stop()
	g, _ = start(t, with)
	if code := codeOf(t, g, token); code != 200 {
		t.Errorf("at once, with the server down: %d", code)
	}
	if files, err := filepath.Glob(filepath.Join(dir, "acme.jwks*")); err != nil || len(files) == 0 {
		t.Errorf("%v, %v", files, err)
	}
}

// One workspace whose set the server can't give takes no other out of service.
func TestOneWorkspaceHoldsUpNoOther(t *testing.T) {
	o := newOrigin(t, "acme", "beta")
	o.publish("acme", own())
	o.publish("beta", other())
	isBeta := func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/beta/") }
	damaged := func(w http.ResponseWriter, r *http.Request) bool { return isBeta(r) && outage(w, r) }
	o.setHook(damaged)
	now, with := new(clock), options(o, "acme", "beta")
	with.MaxStaleness, with.Now = time.Minute, now.now
	g, err := New(with)
	check(t, err)
	g.patience = 100 * time.Millisecond
	run(t, g)
	wait(t, g, bearerOf(other(), "beta"), 503)
	eventually(t, "it is ready without the one that can't be had", func() bool { return g.Ready() == nil })

	o.setHook(func(w http.ResponseWriter, r *http.Request) bool { // and can't be followed at once
		return isBeta(r) && strings.HasSuffix(r.URL.Path, "/changes") && damaged(w, r)
	})
	wait(t, g, bearerOf(other(), "beta"), 200)
	o.setHook(damaged)
	now.advance(2 * time.Minute)
	g.look(t.Context())
	wait(t, g, bearerOf(other(), "beta"), 503)
	wait(t, g, bearerOf(own(), "acme"), 200)
	eventually(t, "it is ready with one that is stale", func() bool { return g.Ready() == nil })
}

// Keys of disk from a time to come, by a clock that was set back, are of unknown age.
func TestAgeIsUnknown(t *testing.T) {
	o := newOrigin(t, "acme")
	with := options(o, "acme")
	with.StateDir = t.TempDir()
	g, stop := start(t, with)
	eventually(t, "it is ready", func() bool { return g.Ready() == nil })
	stop()
	o.stop()
	metrics, back := prometheus.NewRegistry(), new(clock)
	back.advance(-time.Hour)
	with.Metrics, with.Now = metrics, back.now
	start(t, with)
	const want = `
# HELP burnkey_gateway_age_seconds_max How long ago the keys of the workspace that lags most were known to be current; -1 where none are known, +Inf where that is not known of some.
# TYPE burnkey_gateway_age_seconds_max gauge
burnkey_gateway_age_seconds_max +Inf
`
	if err := testutil.GatherAndCompare(metrics, strings.NewReader(want), "burnkey_gateway_age_seconds_max"); err != nil {
		t.Error(err)
	}
}

func TestMetrics(t *testing.T) {
	metrics := prometheus.NewPedanticRegistry()
	g, _ := follow(t, func(o *Options) { o.Metrics = metrics })
	ask(t, g, request("GET"))
	ask(t, g, request("GET", "Bearer x"))
	ask(t, g, with(request("GET"), map[string]string{"x": "y"}))
	for range 3 {
		ask(t, g, request("GET", bearerOf(own(), "acme")))
	}
	const want = `
# HELP burnkey_gateway_decisions_total Requests judged, by reason; ok passed.
# TYPE burnkey_gateway_decisions_total counter
burnkey_gateway_decisions_total{reason="configuration"} 1
burnkey_gateway_decisions_total{reason="malformed"} 1
burnkey_gateway_decisions_total{reason="no_token"} 1
burnkey_gateway_decisions_total{reason="ok"} 3
# HELP burnkey_gateway_keys Published keys known, of all workspaces.
# TYPE burnkey_gateway_keys gauge
burnkey_gateway_keys 4
# HELP burnkey_gateway_version_min The lowest version among the workspaces' sets.
# TYPE burnkey_gateway_version_min gauge
burnkey_gateway_version_min 2
# HELP burnkey_gateway_workspaces Workspaces whose tokens are judged.
# TYPE burnkey_gateway_workspaces gauge
burnkey_gateway_workspaces 2
`
	if err := testutil.GatherAndCompare(metrics, strings.NewReader(want), "burnkey_gateway_decisions_total",
		"burnkey_gateway_keys", "burnkey_gateway_version_min", "burnkey_gateway_workspaces"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(metrics, "burnkey_gateway_decision_seconds", "burnkey_gateway_age_seconds_max"); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func TestOptions(t *testing.T) {
	for _, test := range []struct {
		option string
		edit   func(*Options)
	}{
		{"Server", func(o *Options) { o.Server = "" }},
		{"Server", func(o *Options) { o.Server = "127.0.0.1:8080" }},
		{"Server", func(o *Options) { o.Server = "https://u:p@x" }},
		{"PublicURL", func(o *Options) { o.PublicURL = "x" }},
		{"PublicURL", func(o *Options) { o.PublicURL = "https://x/?" }},
		{"Workspaces", func(o *Options) { o.Workspaces = nil }},
		{"Workspaces", func(o *Options) { o.Key = keyOf("x") }},
		{"Workspaces", func(o *Options) { o.Workspaces = []string{"Acme"} }},
		{"Workspaces", func(o *Options) { o.Workspaces = []string{"a", "a"} }},
		{"Workspaces", func(o *Options) { o.Workspaces = make([]string, MaxWorkspaces+1) }},
		{"Workspaces", func(o *Options) { o.Workspaces = []string{"acme", "burnkey"} }},
		{"Audience", func(o *Options) { o.Audience = []string{""} }},
		{"Audience", func(o *Options) { o.Audience = nil }},
		{"Audience", func(o *Options) { o.AnyAudience = true }},
		{"MaxStaleness", func(o *Options) { o.MaxStaleness = time.Second }},
		{"MaxStaleness", func(o *Options) { o.MaxStaleness = -time.Second }},
		{"ServeStale", func(o *Options) { o.ServeStale = true }},
	} {
		o := Options{Server: "http://127.0.0.1:1", Workspaces: []string{"acme"}, Audience: []string{"maps"}}
		test.edit(&o)
		_, err := New(o)
		if bad := new(OptionError); !errors.As(err, &bad) || bad.Option != test.option {
			t.Errorf("%s: %v", test.option, err)
		}
	}
}
