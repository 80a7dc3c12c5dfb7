package gateway

import (
	"bytes"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/gateway/gatewaytest"
	"github.com/burnkey/burnkey/jwks"
)

// A key in the query is removed from the path, counted and logged, but not quoted.
func TestKeyInTheQuery(t *testing.T) {
	places, err := jwks.ParsePlaces("header:X-API-Key", "bearer", "query:k")
	check(t, err)
	var log bytes.Buffer
	o := gatewaytest.NewOrigin(t, "acme")
	o.Publish("acme", own())
	with := options(o, "acme")
	with.Places, with.StripAuthorization, with.Log = places, true, slog.New(slog.NewTextHandler(&log, nil))
	g, stop := start(t, with)
	eventually(t, "the keys are known", func() bool { return g.Ready() == nil })
	token := own().Token(payload("acme"))
	r := Request{Path: "/v1?a=1&k=" + token, Headers: []jwks.HeaderField{{Name: "authorization", Value: "Bearer " + token}}}
	for range 2 {
		d := g.Decide(t.Context(), r)
		if d.Refusal != nil || d.Path != "/v1?a=1" || !slices.Equal(d.Remove, []string{headerIssuer, "authorization"}) {
			t.Errorf("%v, %q, %v", d.Refusal, d.Path, d.Remove)
		}
	}
	r = Request{Path: "/v1?a=1", Headers: []jwks.HeaderField{{Name: "x-api-key", Value: token}}}
	if d := g.Decide(t.Context(), r); d.Refusal != nil || d.Path != "" || !slices.Equal(d.Remove, []string{headerIssuer, "x-api-key"}) {
		t.Errorf("%v, %q, %v", d.Refusal, d.Path, d.Remove)
	}
	if got := g.Stats().Credentials; !maps.Equal(got, map[string]uint64{"header:X-API-Key": 1, "bearer": 2, "query:k": 2}) {
		t.Errorf("counts %v", got)
	}
	stop() // nothing logs any more
	text := log.String()
	warned := strings.Count(text, "a client sent its key in the query")
	if warned != 1 || !strings.Contains(text, "key_id=key-1") || strings.Contains(text, "eyJ") {
		t.Errorf("log: %s", text)
	}
	if names := g.HeaderNames(); !slices.Equal(names, []string{"x-api-key", "authorization"}) {
		t.Errorf("headers %v", names)
	}
}
