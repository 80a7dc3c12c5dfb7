package envoy_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/deploy/envoy"
	"github.com/burnkey/burnkey/jwks"
)

func places(t testing.TB, texts ...string) jwks.Places {
	t.Helper()
	p, err := jwks.ParsePlaces(texts...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// ESPv2 refuses the places that it cannot read like burnkey gateway, with the reason.
func TestPlacesOfESPv2(t *testing.T) {
	for text, reason := range map[string]string{
		"bearer": "", "header:X-API-Key": "", "apikey": "case", "basic": "base64", "query:key": "to the API",
		"bearer,header:X-API-Key": "two different keys",
	} {
		c := valid()
		c.Places = places(t, strings.Split(text, ",")...)
		err := envoy.ESPv2(io.Discard, c)
		bad := new(envoy.FieldError)
		if errors.As(err, &bad); bad.Flag == "credential" != (reason != "") || !strings.Contains(bad.Detail, reason) {
			t.Errorf("%s: %v", text, err)
		}
	}
	c := valid()
	c.Places = places(t, "header:X-API-Key")
	if text := render(t, envoy.ESPv2, c); !strings.Contains(text, "- header: X-API-Key\n") || strings.Contains(text, "value_prefix") {
		t.Error("ESPv2 does not read the key from X-API-Key alone")
	}
	c.StripAuthorization = true
	if err := envoy.ESPv2(io.Discard, c); err == nil || !strings.HasPrefix(err.Error(), "--strip-authorization") {
		t.Error(err)
	}
}

// Without other places, Envoy itself removes the token, and there is no script.
func TestStripBearer(t *testing.T) {
	t.Parallel()
	keys, k := newKeyServer(t), newKey(t)
	keys.publish("acme", k)
	c := oneSecond
	c.StripAuthorization = true
	if strings.Contains(render(t, envoy.Filter, valid()), "http.lua") {
		t.Error("the default has a script")
	}
	g := startGateway(t, c, keys)
	if code := g.code(t, k.token(t, claims(keys.url()+"/v1/auth/oauth/acme"))); code != 200 || g.api.last().Header.Get("Authorization") != "" {
		t.Errorf("%d, and the API receives %d bytes", code, len(g.api.last().Header.Get("Authorization")))
	}
}

// A page of another origin may send the header of the key.
func TestPlacesWithCORS(t *testing.T) {
	c := valid()
	c.Origins, c.Places = []string{"https://app.example.com"}, places(t, "header:X-API-Key")
	if !strings.Contains(render(t, envoy.Bootstrap, c), ", X-Api-Key") {
		t.Error("pages cannot send X-API-Key")
	}
}
