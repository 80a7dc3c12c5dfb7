package gateway

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/burnkey/burnkey/gateway/gatewaytest"
	"github.com/burnkey/burnkey/jwks"
)

// prefixed returns a bearer token with a prefix.
func prefixed(prefix, bearer string) string {
	return "Bearer " + prefix + strings.TrimPrefix(bearer, "Bearer ")
}

// A gateway that follows the feed accepts the forms of tokens that each workspace has, by its own clock.
func TestPrefixFromTheFeed(t *testing.T) {
	t.Parallel()
	o := gatewaytest.NewOrigin(t, "acme", "beta")
	o.Publish("acme", own())
	o.Publish("beta", own())
	with := options(o)
	var now atomic.Int64
	now.Store(time.Now().UnixNano())
	with.Key, with.Now = keyOf(gatewaytest.ManagementKey), func() time.Time { return time.Unix(0, now.Load()) }
	g, _ := start(t, with)
	bare := own().Bearer("acme")
	wait(t, g, bare, 200)
	settle := func(workspace string, s jwks.Settings) {
		o.Apply(workspace, jwks.Change{Unsigned: jwks.Unsigned{Settings: &s}})
	}
	check := func(when, prefix string, want int) {
		t.Helper()
		v := ask(g, request(prefixed(prefix, bare)))
		if v.status != want || want == 401 && !strings.Contains(v.body, "the prefix of its workspace") {
			t.Errorf("%s: %d %s with the prefix %q, want %d", when, v.status, v.body, prefix, want)
		}
	}
	check("before", "acme-", 401)
	until := g.o.Now().Add(time.Minute)
	settle("beta", jwks.Settings{TokenPrefix: "beta-"})
	settle("acme", jwks.Settings{TokenPrefix: "acme-", BareUntil: until})
	wait(t, g, prefixed("acme-", bare), 200)
	check("meanwhile", "", 200)
	check("meanwhile", "beta-", 401) // of another workspace
	now.Store(until.UnixNano() - 1)
	check("at the last moment", "", 200)
	now.Store(until.UnixNano())
	check("after the time", "", 401)
	check("after the time", "acme-", 200)
	wait(t, g, prefixed("beta-", own().Bearer("beta")), 200)
	eventually(t, "it is ready", func() bool { return g.Ready() == nil })
	for _, prefix := range []string{"Acme-", "acme_", "-", "acme", strings.Repeat("a", 32) + "-"} {
		if v := ask(g, request(prefixed(prefix, bare))); v.status != 401 || !strings.Contains(v.body, "malformed") {
			t.Errorf("%q: %d %s", prefix, v.status, v.body)
		}
	}
}

// Without the feed, the settings are unknown: any well-formed prefix is ignored.
func TestPrefixWithoutTheFeed(t *testing.T) {
	t.Parallel()
	o := gatewaytest.NewOrigin(t, "acme")
	o.Publish("acme", own())
	o.Apply("acme", jwks.Change{Unsigned: jwks.Unsigned{Settings: &jwks.Settings{TokenPrefix: "acme-"}}})
	g, _ := start(t, options(o, "acme"))
	bare := own().Bearer("acme")
	wait(t, g, bare, 200)
	for _, prefix := range []string{"acme-", "other-"} {
		if code := codeOf(g, prefixed(prefix, bare)); code != 200 {
			t.Errorf("%d with the prefix %s", code, prefix)
		}
	}
}
