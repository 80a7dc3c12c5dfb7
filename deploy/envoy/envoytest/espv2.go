package envoytest

import (
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// ESPv2 returns a bootstrap with the same jwt_authn filter as ESPv2 2.55 generates from a rendered document and the flags in the
// document's comment. ESPv2's binary is not available as a package, but ESPv2 is Envoy with a generated configuration. The host and
// port of the JWKS is jwks.
func ESPv2(t testing.TB, rendered, listen, jwks string) string {
	t.Helper()
	var doc openAPI
	if err := yaml.Unmarshal([]byte(rendered), &doc); err != nil {
		t.Fatal(err)
	}
	return generate(t, doc, flagsOf(rendered), listen, FreeAddr(t), jwks)
}

// openAPI is the part of the document that configures authentication in ESPv2.
type openAPI struct {
	Allow       string `yaml:"x-google-allow"`
	Definitions map[string]struct {
		Issuer    string `yaml:"x-google-issuer"`
		JWKS      string `yaml:"x-google-jwks_uri"`
		Audiences string `yaml:"x-google-audiences"`
		Locations []struct {
			Header, Query string
			Prefix        string `yaml:"value_prefix"`
		} `yaml:"x-google-jwt-locations"`
	} `yaml:"securityDefinitions"`
	Security []map[string][]string
	Paths    map[string]map[string]any
	Backend  struct{ Address string } `yaml:"x-google-backend"`
}

// flagsOf returns ESPv2's default flags, overridden by the flags in the document's comment.
func flagsOf(doc string) map[string]string {
	flags := map[string]string{"jwt_cache_size": "1000", "jwks_cache_duration_in_s": "300", "jwks_fetch_num_retries": "0"}
	for _, m := range regexp.MustCompile(`(?m)^#   --(\w+)(?:=(\S+))?$`).FindAllStringSubmatch(doc, -1) {
		flags[m[1]] = m[2]
	}
	return flags
}

type object = map[string]any

func number(t testing.TB, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func provider(t testing.TB, doc openAPI, name string, flags map[string]string) object {
	t.Helper()
	d := doc.Definitions[name]
	remote := object{
		"http_uri":       object{"uri": d.JWKS, "cluster": clusterOf(t, d.JWKS), "timeout": "30s"},
		"cache_duration": flags["jwks_cache_duration_in_s"] + "s",
	}
	if _, off := flags["disable_jwks_async_fetch"]; !off {
		remote["async_fetch"] = object{}
	}
	if n := number(t, flags["jwks_fetch_num_retries"]); n > 0 {
		remote["retry_policy"] = object{
			"num_retries": n, "retry_back_off": object{"base_interval": "0.2s", "max_interval": "32s"},
		}
	}
	p := object{
		"issuer": d.Issuer, "remote_jwks": remote, "forward": true,
		"forward_payload_header": "X-Endpoint-API-UserInfo", "payload_in_metadata": "jwt_payloads",
	}
	var headers []object
	var params []string
	for _, l := range d.Locations {
		if l.Header != "" {
			headers = append(headers, object{"name": l.Header, "value_prefix": l.Prefix})
		} else {
			params = append(params, l.Query)
		}
	}
	if len(d.Locations) == 0 {
		headers = []object{{"name": "Authorization", "value_prefix": "Bearer "}, {"name": "X-Goog-Iap-Jwt-Assertion"}}
		params = []string{"access_token"}
	}
	p["from_headers"], p["from_params"] = headers, params
	if _, off := flags["disable_jwt_audience_service_name_check"]; d.Audiences != "" {
		p["audiences"] = strings.Split(d.Audiences, ",")
	} else if !off {
		p["audiences"] = []string{"https://api.example.com"}
	}
	if n := number(t, flags["jwt_cache_size"]); n > 0 {
		p["jwt_cache_config"] = object{"jwt_cache_size": n}
	}
	return p
}

func clusterOf(t testing.TB, uri string) string {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	return "jwt-provider-cluster-" + u.Host
}

func socket(t testing.TB, addr string) object {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return object{"socket_address": object{"address": host, "port_value": number(t, port)}}
}

func cluster(t testing.TB, name, addr string) object {
	t.Helper()
	return object{"name": name, "connect_timeout": "20s", "type": "STATIC", "load_assignment": object{
		"cluster_name": name,
		"endpoints":    []object{{"lb_endpoints": []object{{"endpoint": object{"address": socket(t, addr)}}}}},
	}}
}

// generate creates the configuration that ESPv2 would generate from the document: one route per method of the
// only path, each with a separate requirement.
func generate(t testing.TB, doc openAPI, flags map[string]string, listen, admin, jwks string) string {
	t.Helper()
	const extension = "type.googleapis.com/envoy.extensions.filters."
	if doc.Allow != "configured" {
		t.Fatal("the document lets unlisted calls in")
	}
	providers, requirements, routes := object{}, object{}, []object{}
	for name := range doc.Definitions {
		providers[name] = provider(t, doc, name, flags)
	}
	methods, ok := doc.Paths["/{path=**}"]
	if !ok {
		t.Fatal("no catch-all path")
	}
	for method := range methods {
		if method == "parameters" {
			continue
		}
		selector := "1.api_example_com." + method + "_any"
		requirements[selector] = requirement(doc.Security)
		routes = append(routes, object{
			"match": object{
				"safe_regex": object{"regex": `^/.*\/?$`},
				"headers":    []object{{"name": ":method", "string_match": object{"exact": strings.ToUpper(method)}}},
			},
			"route": object{"cluster": "backend"},
			"typed_per_filter_config": object{"envoy.filters.http.jwt_authn": object{
				"@type": extension + "http.jwt_authn.v3.PerRouteConfig", "requirement_name": selector,
			}},
		})
	}
	hcm := object{
		"@type": extension + "network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "ingress_http",
		"normalize_path": true, "merge_slashes": true, "path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT",
		"route_config": object{"virtual_hosts": []object{{"name": "backend", "domains": []string{"*"}, "routes": routes}}},
		"http_filters": []object{
			{"name": "envoy.filters.http.jwt_authn", "typed_config": object{
				"@type": extension + "http.jwt_authn.v3.JwtAuthentication", "providers": providers, "requirement_map": requirements,
			}},
			{"name": "envoy.filters.http.router", "typed_config": object{"@type": extension + "http.router.v3.Router"}},
		},
	}
	text, err := yaml.Marshal(object{
		"admin": object{"address": socket(t, admin)},
		"static_resources": object{
			"listeners": []object{{"name": "ingress", "address": socket(t, listen), "filter_chains": []object{
				{"filters": []object{{"name": "hcm", "typed_config": hcm}}},
			}}},
			"clusters": []object{
				cluster(t, "jwt-provider-cluster-"+jwks, jwks),
				cluster(t, "backend", strings.TrimPrefix(doc.Backend.Address, "http://")),
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func requirement(security []map[string][]string) object {
	var list []object
	for _, s := range security {
		for name := range s {
			list = append(list, object{"provider_name": name})
		}
	}
	if len(list) == 1 {
		return list[0]
	}
	return object{"requires_any": object{"requirements": list}}
}
