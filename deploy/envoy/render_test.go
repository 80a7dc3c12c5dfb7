package envoy_test

import (
	"flag"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/burnkey/burnkey/deploy/envoy"
	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
	"github.com/burnkey/burnkey/jwks"
)

var update = flag.Bool("update", false, "update the ready files")

// The example files in this folder are identical to the output of the command line.
func TestReadyFiles(t *testing.T) {
	for file, f := range map[string]func(io.Writer, envoy.Config) error{
		"pull.yaml":           envoy.Bootstrap,
		"pull-filter.yaml":    envoy.Filter,
		"espv2.yaml":          envoy.ESPv2,
		"gateway.yaml":        envoy.Bootstrap,
		"gateway-filter.yaml": envoy.Filter,
	} {
		c := valid()
		if strings.HasPrefix(file, "gateway") {
			c = validGateway()
		}
		want := render(t, f, c)
		if *update {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s is not what is rendered; run: go test ./deploy/envoy -update", file)
		}
	}
}

func variants(t testing.TB) map[string]envoy.Config {
	several := valid()
	several.Workspaces = []string{"acme", "globex", "initech"}
	named := valid()
	named.Server, named.Upstream, named.PublicURL = "https://keys.example.com", "api.internal:80", "https://login.example.com/x"
	v6 := valid()
	v6.Server, v6.Upstream, v6.Listen, v6.Admin = "https://[2001:db8::1]:8443", "[::1]:9000", "[::]:10000", "[::1]:9901"
	strict := valid()
	strict.Audiences, strict.RequireExpiration, strict.Cache = []string{`a"b\c`, "#x", "é"}, true, time.Minute
	many := valid()
	many.Workspaces = nil
	for i := range envoy.MaxWorkspaces {
		many.Workspaces = append(many.Workspaces, fmt.Sprintf("w-%d", i))
	}
	odd := valid()
	odd.Workspaces = []string{"1", "null", "true", "0-0"} // that YAML would read otherwise
	gatewayNamed := validGateway()
	gatewayNamed.Gateways = []string{"gateway.internal:9002"}
	gatewayV6 := validGateway()
	gatewayV6.Gateways = []string{"[::1]:9002"}
	two := validGateway()
	two.Gateways = []string{"127.0.0.1:9002", "127.0.0.1:9003"}
	hop, hops := valid(), validGateway()
	hop.TrustedHops, hops.TrustedHops = 1, 2
	signed, service := valid(), valid()
	signed.SignedLimits = []string{"100/minute", "1/second", "4294967295/day", "60/minute", "1000/hour"}
	service.LimitServices = []string{"127.0.0.1:9002", "gateway.internal:9002"}
	strictService := several
	strictService.LimitServices, strictService.RefuseWithoutLimits = []string{"127.0.0.1:9002"}, true
	mixed := validGateway()
	mixed.Gateways = []string{"gateway.internal:9002", "127.0.0.1:9002", "[::1]:9002"}
	routed, gatewayRouted := several, validGateway()
	routed.Routes = readRoutes(t, fileText(t, "testdata/routes.yaml"), "")
	routed.Open, routed.Origins = []string{"/ready"}, []string{"https://app.example.com"}
	routed.WebSockets, routed.MaxBody, routed.Timeout = []string{"/ws"}, "1MiB", time.Hour
	routed.GRPC, routed.AccessLog, routed.OTLPEndpoint = true, true, "https://collector.example.com/x"
	gatewayRouted.Edge = routed.Edge
	scripted, elsewhere := strictService, two
	scripted.Places, _ = jwks.ParsePlaces("bearer", "apikey", "basic", "header:X-API-Key", "query:api.key")
	elsewhere.Places = scripted.Places
	onlyRoute := valid()
	onlyRoute.Routes = []envoy.Route{{Path: "/upload", MaxBody: "2MiB"}, {Path: "/events", Stream: true, IdleTimeout: envoy.Span(time.Hour)}}
	return map[string]envoy.Config{
		"a route's body": onlyRoute, "routes": routed, "routes and gateway": gatewayRouted,
		"every place": scripted, "every place, at a gateway": elsewhere,
		"gateway": validGateway(), "gateway by name": gatewayNamed, "gateway by IPv6": gatewayV6,
		"signed limits": signed, "limits by services": service, "limits by a service, or none": strictService,
		"after a proxy": hop, "after two proxies": hops, "two gateways": two, "gateways by name and IP": mixed,
		"one workspace": valid(), "three workspaces": several, "names": named, "IPv6": v6,
		"strict": strict, "1000 workspaces": many, "odd names": odd,
	}
}

func TestEnvoyLoadsEveryRendering(t *testing.T) {
	for name, c := range variants(t) {
		t.Run(name, func(t *testing.T) {
			if log := envoytest.Validate(t, render(t, envoy.Bootstrap, c)); strings.Count(strings.TrimSpace(log), "\n") != 0 {
				t.Errorf("envoy warns:\n%s", log)
			}
		})
	}
}

func parse(t *testing.T, text string) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// dig follows map keys and list indexes.
func dig(t *testing.T, v any, path ...any) any {
	t.Helper()
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, ok := v.(map[string]any)
			if !ok || m[p] == nil {
				t.Fatalf("no %q in %v", p, v)
			}
			v = m[p]
		case int:
			l, ok := v.([]any)
			if !ok || len(l) <= p {
				t.Fatalf("no [%d] in %v", p, v)
			}
			v = l[p]
		}
	}
	return v
}

func connectionManager(t *testing.T, bootstrap map[string]any) map[string]any {
	t.Helper()
	return dig(t, bootstrap, "static_resources", "listeners", 0, "filter_chains", 0, "filters", 0, "typed_config").(map[string]any)
}

// The other tests use the bootstrap. Its filters must be the same as with --format filter, and its settings the
// same as those in the leading comment there.
func TestFilterIsPartOfBootstrap(t *testing.T) {
	for name, c := range variants(t) {
		t.Run(name, func(t *testing.T) {
			text := render(t, envoy.Filter, c)
			filter, bootstrap := parse(t, text), parse(t, render(t, envoy.Bootstrap, c))
			hcm := connectionManager(t, bootstrap)
			filters := hcm["http_filters"].([]any)
			if !reflect.DeepEqual(filter["http_filters"], filters[:len(filters)-1]) {
				t.Error("the filters differ")
			}
			if len(c.Routes) > 0 {
				hosts := dig(t, hcm, "route_config", "virtual_hosts", 0, "routes").([]any)
				if !reflect.DeepEqual(filter["routes"], hosts[:len(hosts)-1]) {
					t.Error("the routes differ")
				}
			}
			clusters := dig(t, bootstrap, "static_resources", "clusters").([]any)
			if !reflect.DeepEqual(filter["clusters"], clusters[:len(clusters)-1]) {
				t.Error("the cluster differs")
			}
			for _, setting := range commented(t, text) {
				for key, want := range setting {
					got := hcm[key]
					if key == "layered_runtime" {
						got = bootstrap[key]
					}
					if !reflect.DeepEqual(got, want) {
						t.Errorf("%s: the bootstrap has %v, the comment says %v", key, got, want)
					}
				}
			}
		})
	}
}

// commented returns the YAML documents in a rendering's leading comment. The indented lines are YAML.
func commented(t *testing.T, text string) (docs []map[string]any) {
	t.Helper()
	text, _, _ = strings.Cut(text, "\nhttp_filters:")
	var b strings.Builder
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "#   "); ok && !strings.HasPrefix(rest, "http") {
			b.WriteString(rest)
		}
	}
	docs = append(docs, parse(t, b.String()))
	if len(docs[0]) < 6 {
		t.Fatalf("the comment has only %v", docs)
	}
	return docs
}

func TestSafetySettings(t *testing.T) {
	for name, c := range variants(t) {
		for _, f := range []func(io.Writer, envoy.Config) error{envoy.Bootstrap, envoy.Filter} {
			text := render(t, f, c)
			for _, line := range strings.Split(text, "\n") {
				code, _, _ := strings.Cut(line, "#")
				for _, never := range []string{"jwt_cache_config:", "failure_mode_allow:", "from_params", "from_cookies"} {
					if strings.Contains(code, never) {
						t.Errorf("%s: %s", name, line)
					}
				}
			}
			for _, always := range []string{"from_headers:", "clock_skew_seconds: 1\n", "issuer: ", "async_fetch:"} {
				if strings.Count(text, always) != len(c.Workspaces) {
					t.Errorf("%s: %q is not in every provider", name, always)
				}
			}
		}
	}
}

func TestCacheDuration(t *testing.T) {
	for cache, want := range map[time.Duration]string{
		0: "5s", time.Second: "1s", 5 * time.Second: "5s", 6 * time.Second: "11s", 8 * time.Second: "13s", time.Hour: "3605s",
	} {
		c := valid()
		c.Cache = cache
		if text := render(t, envoy.Bootstrap, c); !strings.Contains(text, "cache_duration: "+want+"\n") {
			t.Errorf("--cache %s does not give cache_duration %s", cache, want)
		}
		if text := render(t, envoy.ESPv2, c); !strings.Contains(text, "--jwks_cache_duration_in_s="+strings.TrimSuffix(want, "s")+"\n") {
			t.Errorf("--cache %s does not give %s to ESPv2", cache, want)
		}
	}
}
