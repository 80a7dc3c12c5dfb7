package gateway

import (
	"bytes"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/gateway/gatewaytest"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
)

func importedKey(i int, digest jwks.Digest, a jwks.Attributes) jwks.ImportedKey {
	return jwks.ImportedKey{
		ID: fmt.Sprintf("018f0000-0000-7000-8000-%012d", i), Owner: "cust_1", Digest: digest, Audience: []string{"maps"},
		ImportedAt: 1, Attributes: a,
	}
}

func importing(keys ...jwks.ImportedKey) jwks.Change {
	return jwks.Change{Unsigned: jwks.Unsigned{Imported: keys}}
}

// An imported key has the answers, headers, limits and usage of a burned one. It never reaches the public set.
func TestImportedKeys(t *testing.T) {
	t.Parallel()
	o := gatewaytest.NewOrigin(t, "acme", "beta")
	o.Publish("beta", other())
	clock, pepper, dir := testkit.NewClock(time.Now()), bytes.Repeat([]byte("p"), MinPepperLen), t.TempDir()
	begin := func() (*Gateway, func()) {
		with := options(o)
		with.Key, with.StateDir, with.Pepper, with.Now = keyOf(gatewaytest.ManagementKey), dir, pepper, clock.Now
		with.UsageEvery = time.Hour
		return start(t, with)
	}
	g, stop := begin()
	wait(t, g, other().Bearer("beta"), 200)
	wait(t, g, "Bearer old-key", 401)
	forever := jwks.Attributes{NeverExpires: true, Scopes: []string{"maps:read"}}
	once := forever
	once.Limits = []jwks.Limit{{Name: "once", Requests: 1, Seconds: 3600}}
	here := forever
	here.AllowedIPs = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
	o.Apply("acme", importing(
		importedKey(1, jwks.SHA256Digest("old-key"), forever), importedKey(2, jwks.HMACDigest(pepper, "peppered"), forever),
		importedKey(3, jwks.SHA256Digest("once"), once), importedKey(4, jwks.SHA256Digest("here"), here),
		importedKey(5, jwks.SHA256Digest("short"), jwks.Attributes{ExpiresAt: clock.Now().Add(time.Minute), Scopes: []string{}}),
	))
	wait(t, g, "Bearer old-key", 200)
	check := func(g *Gateway) {
		t.Helper()
		d := g.Decide(t.Context(), request("Bearer old-key"))
		if fields := fmt.Sprint(d.Fields()); d.Refusal != nil ||
			fields != "[{x-burnkey-key-id key_id 018f0000-0000-7000-8000-000000000001} {x-burnkey-owner owner cust_1} "+
				"{x-burnkey-workspace workspace acme} {x-burnkey-scopes scopes maps:read}]" {
			t.Errorf("%v %v", d.Refusal, fields)
		}
		for credential, want := range map[string]string{
			"peppered": "", "here": "address", "short": "", "never seen": "bad_request", "never-seen": "unknown",
			jwks.SHA256Digest("old-key").String()[7:]: "unknown", own().Token(payload("acme")): "unknown",
		} {
			d := g.Decide(t.Context(), request("Bearer "+credential))
			if d.Refusal == nil && want != "" || d.Refusal != nil && d.Refusal.Code() != want {
				t.Errorf("%s: %v, want %q", credential, d.Refusal, want)
			}
		}
		lacks := with(request("Bearer old-key"), map[string]string{"scopes": "admin"})
		if d := g.Decide(t.Context(), lacks); d.Refusal != jwks.TooNarrow {
			t.Errorf("a scope that the key lacks: %v", d.Refusal)
		}
	}
	check(g)
	for i, want := range []*jwks.Refusal{nil, jwks.OverLimit} {
		if d := g.Decide(t.Context(), request("Bearer once")); d.Refusal != want || len(d.headers) == 0 {
			t.Errorf("request %d: %v %v", i, d.Refusal, d.headers)
		}
	}
	if uses := g.all()["acme"].uses; uses.pending.Load() != 4 {
		t.Errorf("%d uses are recorded", uses.pending.Load())
	}
	if n := g.all()["acme"].follower.Len(); n != 1 {
		t.Errorf("%d keys are published", n)
	}
	stop()
	o.SetHook(gatewaytest.Outage)
	g, _ = begin() // from disk
	eventually(t, "it is ready", func() bool { return g.Ready() == nil })
	check(g)
	o.SetHook(nil)
	o.Apply("acme", jwks.Change{Unsigned: jwks.Unsigned{Dropped: []jwks.KID{jwks.ImportedKID("018f0000-0000-7000-8000-000000000001")}}})
	wait(t, g, "Bearer old-key", 401)
	clock.Advance(time.Hour)
	if d := g.Decide(t.Context(), request("Bearer short")); d.Refusal == nil || d.Refusal.Code() != "expired" {
		t.Errorf("after its end: %v", d.Refusal)
	}
}

// A gateway that starts does not refuse keys of which it can't know yet: clients would give up after a 401.
func TestImportedKeysAtTheStart(t *testing.T) {
	t.Parallel()
	o := gatewaytest.NewOrigin(t, "acme", "beta")
	forever := jwks.Attributes{NeverExpires: true, Scopes: []string{"maps:read"}}
	o.Apply("acme", importing(importedKey(1, jwks.SHA256Digest("old-key"), forever)))
	o.Apply("beta", importing(importedKey(2, jwks.SHA256Digest("another"), forever)))
	big := make([]jwks.ImportedKey, 2000) // too many for the stream: the set is fetched
	for i := range big {
		big[i] = importedKey(i+10, jwks.SHA256Digest(fmt.Sprint("beta ", i)), forever)
	}
	o.Apply("beta", importing(big...))
	o.SetHook(gatewaytest.Outage)
	g, _ := followAll(t, o, "")
	for _, key := range []string{"old-key", "another"} {
		if code := codeOf(g, "Bearer "+key); code != 503 {
			t.Errorf("%s, before anything is known: %d", key, code)
		}
	}
	o.SetHook(func(w http.ResponseWriter, r *http.Request) bool {
		return strings.Contains(r.URL.String(), "beta") && gatewaytest.Outage(w, r)
	})
	wait(t, g, "Bearer old-key", 200)
	if code := codeOf(g, "Bearer another"); code != 503 {
		t.Errorf("while the set of a workspace is not known: %d", code)
	}
	o.SetHook(nil)
	wait(t, g, "Bearer another", 200)
	eventually(t, "it is ready", func() bool { return g.Ready() == nil })
	if code := codeOf(g, "Bearer no-such-key"); code != 401 {
		t.Errorf("an unknown key: %d", code)
	}
}

// BenchmarkImported compares the decision about one of 100,000 imported keys with the repeated one about a burned key.
func BenchmarkImported(b *testing.B) {
	o := gatewaytest.NewOrigin(b, "acme")
	o.Publish("acme", own())
	var keys []jwks.ImportedKey
	for i := range 100_000 {
		keys = append(keys, importedKey(i, jwks.SHA256Digest(fmt.Sprint("old-key-", i)), jwks.Attributes{
			NeverExpires: true, Scopes: []string{"maps:read"}, Plan: "gold",
		}))
	}
	o.Apply("acme", importing(keys...))
	g, _ := followAll(b, o, "")
	wait(b, g, "Bearer old-key-77777", 200)
	wait(b, g, own().Bearer("acme"), 200)
	decide(b, "burned", g, request(own().Bearer("acme")))
	decide(b, "imported", g, request("Bearer old-key-77777"))
	decide(b, "no such key", g, request("Bearer no-such-key"))
}
