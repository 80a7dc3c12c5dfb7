package httpauth

import (
	"net/http"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/gateway"
	"github.com/burnkey/burnkey/gateway/gatewaytest"
	"github.com/burnkey/burnkey/jwks"
)

// The door reads a key in the same places as Envoy with a gateway, and tells the proxy the path without the key.
func TestPlaces(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]func(gatewaytest.PlaceCase) int{
		gatewaytest.PlacesA: func(c gatewaytest.PlaceCase) int { return c.A },
		gatewaytest.PlacesB: func(c gatewaytest.PlaceCase) int { return c.B },
	} {
		d := open(t, func(o *gateway.Options) {
			places, err := jwks.ParsePlaces(strings.Split(text, ",")...)
			check(t, err)
			o.Places = places
		})
		for _, c := range gatewaytest.PlaceCases() {
			c = c.For(own().Token(payload("acme")), gatewaytest.Other().Token(payload("beta")))
			a := d.ask(t, http.MethodGet, PathCheck, asFields(c)...)
			if a.status != want(c) {
				t.Errorf("%s, %s: %d, want %d", text, c.Name, a.status, want(c))
			}
			path := ""
			if a.status == http.StatusOK && c.Received != c.Target {
				path = c.Received
			}
			if got := a.headers.Get(headerPath); got != path {
				t.Errorf("%s, %s: the path is %q, want %q", text, c.Name, got, path)
			}
		}
	}
}

// asFields returns a case in the form in which a proxy passes it on.
func asFields(c gatewaytest.PlaceCase) []jwks.HeaderField {
	fields := []jwks.HeaderField{{Name: "X-Forwarded-Uri", Value: c.Target}}
	for _, line := range c.Lines {
		name, value, _ := strings.Cut(line, ":")
		fields = append(fields, jwks.HeaderField{Name: name, Value: value})
	}
	return fields
}
