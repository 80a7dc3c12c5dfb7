package envoy_test

import (
	"errors"
	"io"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/deploy/envoy"
	"github.com/burnkey/burnkey/jwks"
)

// validEnvoyGateway is in mode pull, and serviceEnvoyGateway in mode gateway.
func validEnvoyGateway() envoy.Config {
	return envoy.Config{
		Server: "http://burnkey.burnkey:8080", PublicURL: "https://keys.example.com", Workspaces: []string{"acme"},
		Audiences: []string{"acme-company"}, Targets: []string{"Gateway/eg", "HTTPRoute/api"},
	}
}

func serviceEnvoyGateway() envoy.Config {
	return envoy.Config{Gateways: []string{"burnkey-gateway.burnkey:9002"}, Targets: []string{"Gateway/eg", "HTTPRoute/api"}}
}

// everyEnvoyGateway has all that can be rendered in each mode.
func everyEnvoyGateway(t *testing.T) map[string]envoy.Config {
	edge := envoy.Edge{
		Origins: []string{"https://app.example.com:8443", "https://b.example.com"}, OriginHeaders: []string{"X-Trace"},
		Timeout: time.Minute, IdleTimeout: time.Hour, MaxBody: "1MiB",
	}
	pull := validEnvoyGateway()
	pull.Edge, pull.Server, pull.Workspaces, pull.Audiences = edge, "https://keys.example.com", []string{"acme", "beta-"}, nil
	pull.AnyAudience, pull.RequireExpiration, pull.TrustedHops, pull.Cache = true, true, 2, time.Minute
	pull.TokenPrefix, pull.Namespace, pull.Targets = "acme-live-", "apis", []string{"HTTPRoute/api/tiles", "Gateway/eg/https", "GRPCRoute/rpc"}
	pull.Routes = readRoutes(t, fileText(t, "testdata/envoy-gateway-routes.yaml"), "")
	pull.Places, _ = jwks.ParsePlaces("header:X-API-Key")
	service := serviceEnvoyGateway()
	service.Edge, service.Gateways, service.Targets = edge, []string{"a:9002", "b.other.svc.cluster.local:9003"}, []string{"Gateway/eg"}
	service.Origins = []string{envoy.AnyOrigin}
	service.Routes = readRoutes(t, `{"routes": [{"prefix": "/", "scopes": "maps:read", "audience": "maps", "route": "tiles"}]}`, "")
	service.Places, _ = jwks.ParsePlaces("bearer", "basic", "header:X-API-Key", "query:key")
	return map[string]envoy.Config{
		"pull": validEnvoyGateway(), "all of pull": pull, "gateway": serviceEnvoyGateway(), "all of gateway": service,
	}
}

// TestEnvoyGatewayKeepsItsSchemas validates the resources by the definitions of Envoy Gateway.
func TestEnvoyGatewayKeepsItsSchemas(t *testing.T) {
	t.Parallel()
	definitions := customResources(t)
	for name, c := range everyEnvoyGateway(t) {
		kinds := map[string]int{}
		for _, o := range documents(t, render(t, envoy.EnvoyGateway, c)) {
			kind, _ := o["kind"].(string)
			kinds[kind]++
			if err := definitions.validate(o); err != nil {
				t.Errorf("%s: %s: %v", name, kind, err)
			}
		}
		if kinds["SecurityPolicy"] != 1 || kinds["ClientTrafficPolicy"] != 1 {
			t.Errorf("%s: %v", name, kinds)
		}
		if name == "all of pull" && (kinds["Backend"] != 1 || kinds["BackendTrafficPolicy"] != 1) ||
			name == "all of gateway" && (kinds["ReferenceGrant"] != 1 || kinds["BackendTrafficPolicy"] != 1) {
			t.Errorf("%s: %v", name, kinds)
		}
	}
	findMistakes(t, definitions)
}

// findMistakes shows that the test above can fail.
func findMistakes(t *testing.T, definitions resources) {
	t.Helper()
	for _, tt := range []struct {
		c        envoy.Config
		from, to string
	}{
		{validEnvoyGateway(), "issuer:", "issuers:"},
		{validEnvoyGateway(), "cacheDuration: 5s", "cacheDuration: 5 s"},
		{validEnvoyGateway(), "action: Allow", "action: Permit"},
		{validEnvoyGateway(), "extractFrom:", "extractfrom:"},
		{validEnvoyGateway(), "escapedSlashesAction: RejectRequest", "escapedSlashesAction: Reject"},
		{serviceEnvoyGateway(), "failOpen: false", "failOpen: maybe"},
		{serviceEnvoyGateway(), "statusOnError: 503", "statusOnError: 200"},
		{serviceEnvoyGateway(), "type: GRPC", "type: Grpc"},
		{serviceEnvoyGateway(), "port: 9002", "port: x"},
	} {
		text := replaceOnce(t, tt.from, tt.to)(render(t, envoy.EnvoyGateway, tt.c))
		failed := false
		for _, o := range documents(t, text) {
			failed = failed || definitions.validate(o) != nil
		}
		if !failed {
			t.Errorf("%q instead of %q is valid", tt.to, tt.from)
		}
	}
}

// TestEnvoyGatewayRefuses gives it what it cannot do.
func TestEnvoyGatewayRefuses(t *testing.T) {
	t.Parallel()
	routes := func(text string) func(*envoy.Config) {
		return func(c *envoy.Config) { c.Routes = readRoutes(t, text, "") }
	}
	places := func(list ...string) func(*envoy.Config) {
		return func(c *envoy.Config) { c.Places, _ = jwks.ParsePlaces(list...) }
	}
	both := map[string][]func(*envoy.Config){
		"listen":        {func(c *envoy.Config) { c.Listen = "127.0.0.1:1" }},
		"upstream":      {func(c *envoy.Config) { c.Upstream = "127.0.0.1:1" }},
		"admin":         {func(c *envoy.Config) { c.Admin = "127.0.0.1:1" }},
		"tls-cert":      {func(c *envoy.Config) { c.TLSCert, c.TLSKey = "/a", "/b" }},
		"upstream-tls":  {func(c *envoy.Config) { c.UpstreamTLS = true }},
		"grpc":          {func(c *envoy.Config) { c.GRPC = true }},
		"websocket":     {func(c *envoy.Config) { c.WebSockets = []string{"/ws"} }},
		"access-log":    {func(c *envoy.Config) { c.AccessLog = true }},
		"otlp-endpoint": {func(c *envoy.Config) { c.OTLPEndpoint = "http://x" }},
		"resource":      {func(c *envoy.Config) { c.Resource = "https://api.example.com" }},
		"open":          {func(c *envoy.Config) { c.Open = []string{"/healthz"} }},
		"user-issuer":   {func(c *envoy.Config) { c.UserIssuer = "https://x" }},
		"limits":        {func(c *envoy.Config) { c.LimitServices = []string{"a:1"} }},
		"ca-file":       {func(c *envoy.Config) { c.CAFile = "/ca.pem" }},
		"namespace":     {func(c *envoy.Config) { c.Namespace = "a.b" }},
		"cors-origin":   {func(c *envoy.Config) { c.Origins = []string{"http://[::1]:8080"} }},
		"target": {
			func(c *envoy.Config) { c.Targets = nil },
			func(c *envoy.Config) { c.Targets = []string{"HTTPRoute/api"} },
			func(c *envoy.Config) { c.Targets = []string{"Gateway/a", "Gateway/b"} },
			func(c *envoy.Config) { c.Targets = []string{"Gateway/a", "HTTPRoute/b", "HTTPRoute/b"} },
			func(c *envoy.Config) { c.Targets = []string{"Gateway/a", "TCPRoute/b"} },
			func(c *envoy.Config) { c.Targets = []string{"Gateway/A"} },
			func(c *envoy.Config) { c.Targets = []string{"Gateway/a/b/c"} },
			func(c *envoy.Config) { c.Targets = []string{"eg"} },
		},
		"routes": {
			routes(`{"routes": [{"path": "/x", "timeout": "5s"}]}`), routes(`{"routes": [{"path": "/x", "open": true}]}`),
			routes(`{"routes": [{"path": "/x", "stream": true}]}`), routes(`{"routes": [{"path": "/x", "max_body": "1MiB"}]}`),
		},
	}
	pull := map[string][]func(*envoy.Config){
		"workspace":           {func(c *envoy.Config) { c.Workspaces = strings.Fields(strings.Repeat("w ", 17)) }},
		"audience":            {func(c *envoy.Config) { c.Audiences = strings.Fields(strings.Repeat("a ", 9)) }},
		"strip-authorization": {func(c *envoy.Config) { c.StripAuthorization = true }},
		"server": {
			func(c *envoy.Config) { c.Server = "https://127.0.0.1" },
			func(c *envoy.Config) { c.Server = "https://x/" + strings.Repeat("a", 250) },
		},
		"credential": {places("bearer", "header:X-API-Key"), places("apikey"), places("basic"), places("query:key")},
		"routes": {
			routes(`{"routes": [{"path": "/x", "methods": "PROPFIND"}]}`),
			routes(`{"routes": [{"path": "/x", "scopes": "` + strings.Repeat("a ", 17) + `"}]}`),
			routes(`{"routes": [{"path": "/` + strings.Repeat("a", 1020) + `"}]}`),
		},
	}
	service := map[string][]func(*envoy.Config){
		"trusted-hops": {func(c *envoy.Config) { c.TrustedHops = 1 }},
		"gateway": {
			func(c *envoy.Config) { c.Gateways = []string{"127.0.0.1:9002"} },
			func(c *envoy.Config) { c.Gateways = []string{"a.b.c:1"} },
		},
		"routes": {routes(`{"routes": [{"path": "/x"}]}`), routes(`{"routes": [{"prefix": "/", "methods": "GET"}]}`)},
	}
	for _, mode := range []struct {
		config func() envoy.Config
		faults map[string][]func(*envoy.Config)
	}{{validEnvoyGateway, both}, {serviceEnvoyGateway, both}, {validEnvoyGateway, pull}, {serviceEnvoyGateway, service}} {
		for flag, faults := range mode.faults {
			for i, fault := range faults {
				c := mode.config()
				fault(&c)
				err := envoy.EnvoyGateway(io.Discard, c)
				var fe *envoy.FieldError
				if !errors.As(err, &fe) || fe.Flag != flag {
					t.Errorf("--%s, fault %d: %v", flag, i, err)
				}
			}
		}
	}
	for name, render := range map[string]func(io.Writer, envoy.Config) error{
		"bootstrap": envoy.Bootstrap, "filter": envoy.Filter, "espv2": envoy.ESPv2,
	} {
		for _, change := range []func(*envoy.Config){
			func(c *envoy.Config) { c.Targets = []string{"Gateway/eg"} }, func(c *envoy.Config) { c.Namespace = "x" },
		} {
			c := valid()
			change(&c)
			if render(io.Discard, c) == nil {
				t.Errorf("%s is rendered with a target", name)
			}
		}
	}
}

// TestEnvoyGatewayIgnoresNothing sets one field after the other: each must change the policies or be refused.
func TestEnvoyGatewayIgnoresNothing(t *testing.T) {
	t.Parallel()
	base := func() envoy.Config {
		c := validEnvoyGateway()
		c.Origins = []string{"https://app.example.com"} // for OriginHeaders
		return c
	}
	before := render(t, envoy.EnvoyGateway, base())
	for _, field := range reflect.VisibleFields(reflect.TypeFor[envoy.Config]()) {
		c := base()
		v := reflect.ValueOf(&c).Elem().FieldByIndex(field.Index)
		switch v.Kind() {
		case reflect.String:
			v.SetString("changed" + v.String())
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Int, reflect.Int64:
			v.SetInt(int64(time.Minute))
		case reflect.Pointer:
			v.Set(reflect.New(v.Type().Elem()))
		case reflect.Slice:
			v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
		case reflect.Struct:
			if field.Name != "Edge" && field.Name != "Places" { // tested by its fields, and by TestEnvoyGatewayRefuses
				t.Errorf("what to do with %s?", field.Name)
			}
			continue
		}
		var b strings.Builder
		if err := envoy.EnvoyGateway(&b, c); err == nil && b.String() == before && field.Name != "InsecureManagementKeys" { // it permits
			t.Errorf("%s has no effect", field.Name)
		}
	}
}

// acceptedByEnvoyGateway are the refusals that Envoy Gateway does not make. To sign such a token takes a key's private half, which no
// longer exists: an empty kid, and an nbf less than 60 s ahead, which Burnkey never signs.
var acceptedByEnvoyGateway = []string{"empty kid within the length of a real one", "not yet valid"}

// TestEnvoyGatewayAtEnvoy runs Envoy as Envoy Gateway configures it.
func TestEnvoyGatewayAtEnvoy(t *testing.T) {
	t.Parallel()
	keys, k, beta := newKeyServer(t), newKey(t), newKey(t)
	keys.publish("acme", newKey(t), k)
	keys.publish("beta", newKey(t), beta)
	g := startEnvoyOfGateway(t, keys)
	c := envoy.Config{Server: keys.url()}
	issuer := c.Issuer("acme")
	good := k.token(t, claims(issuer, "scope", "maps:read"))
	g.until(t, http.StatusOK, good) // after the first fetch

	for _, tt := range refusals(t, k, issuer) {
		reached := g.api.requests()
		resp := g.get(t, "/x", tt.headers...)
		if passed := g.api.requests() > reached; passed != slices.Contains(acceptedByEnvoyGateway, tt.name) {
			t.Errorf("%s: %d, reaches the API: %t: %s", tt.name, resp.StatusCode, passed, resp.body)
		}
	}
	both := k.token(t, claims(issuer, "aud", []string{"maps", "acme-company"}))
	other := beta.token(t, claims(c.Issuer("beta"), "scope", "maps:read"))
	for _, tt := range []struct {
		method, target, token string
		want                  int
	}{
		{"GET", "/x", other, 200},
		{"GET", "/x", k.sign(t, accessHeader(k.kid), claims(issuer)), 200},
		{"GET", "/x", k.token(t, claims(c.Issuer("beta"))), 401},
		{"GET", "/x", k.token(t, claims(issuer, "aud", []string{"elsewhere"})), 403},
		{"GET", "/x", k.token(t, claims(issuer, "exp", nil)), 200},
		{"GET", "/x", k.token(t, claims(issuer, "exp", time.Now().Add(-30*time.Second).Unix())), 403},
		{"GET", "/x?access_token=" + good, "", 401},
		{"GET", "/a%2fb", good, 400},
		{"GET", "/tiles/1?a=/admin", good, 200},
		{"HEAD", "/tiles/1", good, 200},
		{"GET", "/tiles/1", other, 200},
		{"GET", "/tiles/1", k.token(t, claims(issuer, "scope", "maps:reader")), 403},
		{"GET", "//TILES/./1", k.token(t, claims(issuer, "scope", nil)), 403},
		{"PUT", "/tiles/1", both, 200},
		{"PUT", "/tiles/1", good, 403},
		{"DELETE", "/tiles/1", both, 403},
		{"GET", "/tiles/public", k.token(t, claims(issuer, "scope", nil)), 200},
		{"GET", "/tiles;x", both, 403},
		{"GET", "/admin/7/name", good, 200},
		{"GET", "/admin/7?/name", good, 403},
		{"GET", "/admin/7", good, 403},
	} {
		lines := []string{"X-Burnkey-Owner: root", "X-Burnkey-User-Sub: root", "X-HTTP-Method-Override: DELETE", "X-Envoy-Original-Path: /admin"}
		if tt.token != "" {
			lines = append(lines, bearer(tt.token))
		}
		reached := g.api.requests()
		resp := g.send(t, tt.method, tt.target, lines...)
		if passed := g.api.requests() > reached; resp.StatusCode != tt.want || passed != (tt.want == 200) {
			t.Errorf("%s %s: %d, want %d: %s", tt.method, tt.target, resp.StatusCode, tt.want, resp.body)
			continue
		}
		if tt.want == 200 {
			checkHeadersOfEnvoyGateway(t, g.api.last().Header)
		}
	}

	preflight := g.send(t, "OPTIONS", "/tiles/1", "Origin: https://app.example.com", "Access-Control-Request-Method: PUT")
	refused := g.get(t, "/tiles/1", "Origin: https://app.example.com")
	for _, resp := range []response{preflight, refused} {
		if resp.Header.Get("Access-Control-Allow-Origin") != "https://app.example.com" {
			t.Errorf("%d without CORS: %v", resp.StatusCode, resp.Header)
		}
	}
	if preflight.StatusCode != http.StatusOK || refused.StatusCode != http.StatusUnauthorized || refused.Header.Get("Vary") != "Origin" {
		t.Errorf("preflight %d, refusal %d %v", preflight.StatusCode, refused.StatusCode, refused.Header)
	}

	keys.publish("acme", newKey(t))
	g.until(t, http.StatusUnauthorized, good)
}

// checkHeadersOfEnvoyGateway checks that the API sees no header that the client made up.
func checkHeadersOfEnvoyGateway(t *testing.T, h http.Header) {
	t.Helper()
	if h.Get("X-Burnkey-Owner") != "cust_1" || h.Get("X-Burnkey-Key-Id") != "0190-key" || len(h.Values("X-Burnkey-Owner")) != 1 {
		t.Errorf("the API sees %q", burnkeyHeaders(h))
	}
	for _, name := range []string{"X-Burnkey-User-Sub", "X-Http-Method-Override", "X-Envoy-Original-Path"} {
		if h.Get(name) != "" {
			t.Errorf("the API sees the client's %s", name)
		}
	}
}

// Targets whose names are alike have policies of different names, so that one does not replace the other.
func TestEnvoyGatewayNamesOfPolicies(t *testing.T) {
	t.Parallel()
	names := map[string]string{}
	for _, target := range []string{"HTTPRoute/api", "HTTPRoute/api-admin", "HTTPRoute/api/admin", "GRPCRoute/api/admin"} {
		c := valid()
		c.Listen, c.Upstream, c.Admin, c.Targets = "", "", "", []string{"Gateway/eg", target}
		text := render(t, envoy.EnvoyGateway, c)
		name := regexp.MustCompile(`kind: SecurityPolicy\nmetadata: \{name: "([a-z0-9.-]+)"`).FindStringSubmatch(text)
		if name == nil {
			t.Fatalf("no name in\n%s", text)
		}
		if other := names[name[1]]; other != "" {
			t.Errorf("%s and %s have the same policy %s", other, target, name[1])
		}
		names[name[1]] = target
	}
}
