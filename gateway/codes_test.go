package gateway

import (
	"encoding/json"
	"testing"

	"github.com/burnkey/burnkey/gateway/gatewaytest"
)

// Each answer to a refused request says its code, and leads to the page about it.
func TestCodes(t *testing.T) {
	g, _ := follow(t, func(o *Options) { o.RequireExpiration = true })
	for code, r := range map[string]Request{
		"missing":       request(),
		"bad_request":   request("Bearer"),
		"malformed":     request("Bearer x"),
		"issuer":        request(own().Bearer("gamma")),
		"unknown":       request(other().Bearer("acme")),
		"never_expires": request(own().Bearer("acme")),
		"configuration": {Requirements: map[string]string{"x": "y"}},
	} {
		d := g.Decide(t.Context(), r)
		var body struct{ Type, Code string }
		check(t, json.Unmarshal(d.Problem(), &body))
		if want := gatewaytest.PublicURL + "/docs/refusals#" + code; body.Code != code || body.Type != want {
			t.Errorf("%s: %+v", code, body)
		}
	}
}
