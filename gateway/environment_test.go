package gateway

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/burnkey/burnkey/gateway/gatewaytest"
	"github.com/burnkey/burnkey/jwks"
)

func settings(environment string) jwks.Change {
	return jwks.Change{Unsigned: jwks.Unsigned{Settings: &jwks.Settings{Environment: environment}}}
}

// A gateway for one environment refuses the tokens of all others, also with the keys that are on its disk.
func TestOneEnvironmentOfTheFeed(t *testing.T) {
	o := gatewaytest.NewOrigin(t, "acme", "acme-test", "other")
	o.Apply("acme-test", settings("test"))
	o.Apply("other", settings("production"))
	for _, id := range []string{"acme", "acme-test", "other"} {
		o.Publish(id, own())
	}
	folders := map[string]string{"": t.TempDir(), jwks.DefaultEnvironment: t.TempDir(), "test": t.TempDir()}
	accepts := map[string][3]int{"": {200, 200, 200}, jwks.DefaultEnvironment: {200, 401, 401}, "test": {401, 200, 401}}
	check := func(environment string, g *Gateway) {
		t.Helper()
		for i, id := range []string{"acme", "acme-test", "other"} {
			eventually(t, "it has the keys of "+id, func() bool { return g.all()[id] != nil && g.all()[id].follower.Usable(0) == nil })
			d := g.Decide(t.Context(), request(own().Bearer(id)))
			if status := statusOf(&d); status != accepts[environment][i] || status == 401 && d.Refusal != jwks.WrongEnvironment {
				t.Errorf("%q: a key of %s gets %d, %+v", environment, id, status, d.Refusal)
			}
		}
	}
	begin := func(environment string) (*Gateway, func()) {
		with := options(o)
		with.Key, with.StateDir, with.Environment = keyOf(gatewaytest.ManagementKey), folders[environment], environment
		return start(t, with)
	}
	for environment := range accepts {
		g, stop := begin(environment)
		check(environment, g)
		stop()
	}
	o.Stop()
	for environment := range accepts {
		g, stop := begin(environment)
		check(environment, g)
		stop()
	}
}

func statusOf(d *Decision) int {
	if d.Refusal == nil {
		return 200
	}
	return d.Refusal.Status
}

// The name of an environment can change.
func TestAnEnvironmentIsRenamed(t *testing.T) {
	o := gatewaytest.NewOrigin(t, "acme")
	o.Publish("acme", own())
	with := options(o)
	with.Key, with.Environment = keyOf(gatewaytest.ManagementKey), jwks.DefaultEnvironment
	g, _ := start(t, with)
	wait(t, g, own().Bearer("acme"), 200)
	o.Apply("acme", settings("test"))
	wait(t, g, own().Bearer("acme"), 401)
	d := g.Decide(t.Context(), request(own().Bearer("acme")))
	var body struct{ Code string }
	check(t, json.Unmarshal(d.Problem(), &body))
	if body.Code != "environment" {
		t.Errorf("the code is %s", body.Code)
	}
	o.Apply("acme", settings(""))
	wait(t, g, own().Bearer("acme"), 200)
}

// The public calls do not say which environment a workspace is.
func TestAnEnvironmentRequiresTheFeed(t *testing.T) {
	for _, name := range []string{"live", "Live"} {
		_, err := New(Options{Server: "http://127.0.0.1:1", Workspaces: []string{"acme"}, AnyAudience: true, Environment: name})
		if bad := new(OptionError); !errors.As(err, &bad) || bad.Option != "Environment" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
