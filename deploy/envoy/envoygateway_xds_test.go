package envoy_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/deploy/envoy"
	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
)

// envoyGatewayFile has what Envoy Gateway makes of our policies, as a static configuration. README.md says how to make it again.
const envoyGatewayFile = "testdata/envoy-gateway.json"

// translated is the content of envoyGatewayFile.
type translated struct {
	Of    string // checksum of the policies
	Envoy json.RawMessage
}

// translatedPolicies are the policies in envoyGatewayFile.
func translatedPolicies(t *testing.T) string {
	t.Helper()
	return render(t, envoy.EnvoyGateway, envoy.Config{
		Server: "http://127.0.0.1:8080", Workspaces: []string{"acme", "beta"}, Audiences: []string{"acme-company", "maps"},
		Targets: []string{"Gateway/eg", "HTTPRoute/api"},
		Edge: envoy.Edge{
			Routes:  readRoutes(t, fileText(t, "testdata/envoy-gateway-routes.yaml"), ""),
			Origins: []string{"https://app.example.com"},
		},
	})
}

// envoyOfGateway returns Envoy's configuration, in which the words LISTEN, API and KEYS stand for ports.
func envoyOfGateway(t *testing.T) string {
	t.Helper()
	policies := translatedPolicies(t)
	sum := checksum(t, policies)
	if egctl := os.Getenv("BURNKEY_EGCTL"); egctl != "" && *update {
		encoded, err := json.Marshal(translated{sum, translate(t, egctl, policies)})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(envoyGatewayFile, append(encoded, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var have translated
	if err := json.Unmarshal([]byte(fileText(t, envoyGatewayFile)), &have); err != nil {
		t.Fatal(err)
	}
	if have.Of != sum {
		t.Fatalf("%s is of other policies: translate them again, as README.md says", envoyGatewayFile)
	}
	return string(have.Envoy)
}

// checksum is that of the documents without their comments.
func checksum(t *testing.T, text string) string {
	t.Helper()
	encoded, err := json.Marshal(documents(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(encoded))
}

// documents decodes YAML into the types of JSON.
func documents(t *testing.T, text string) (all []map[string]any) {
	t.Helper()
	for _, part := range strings.Split(text, "\n---\n") {
		encoded, err := json.Marshal(parse(t, part))
		if err != nil {
			t.Fatal(err)
		}
		var plain map[string]any
		if err := json.Unmarshal(encoded, &plain); err != nil {
			t.Fatal(err)
		}
		all = append(all, plain)
	}
	return all
}

// translate runs egctl, and makes a static configuration of the listener that it prints.
func translate(t *testing.T, egctl, policies string) json.RawMessage {
	t.Helper()
	input := filepath.Join(t.TempDir(), "in.yaml")
	if err := os.WriteFile(input, []byte(fileText(t, "testdata/envoy-gateway-cluster.yaml")+"---\n"+policies), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), egctl, "x", "translate", "--from", "gateway-api", "--to", "xds", "-f", input).Output()
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string]map[string]any{}
	for _, part := range dig(t, parse(t, string(out)), "xds", "default/eg", "configs").([]any) {
		parts[dig(t, part, "@type").(string)] = part.(map[string]any)
	}
	const dump = "type.googleapis.com/envoy.admin.v3."
	endpoints := map[string]any{}
	for _, e := range dig(t, parts[dump+"EndpointsConfigDump"], "dynamicEndpointConfigs").([]any) {
		e := withoutType(dig(t, e, "endpointConfig"))
		endpoints[e["clusterName"].(string)] = e
	}
	var listeners, clusters []any
	for _, l := range dig(t, parts[dump+"ListenersConfigDump"], "dynamicListeners").([]any) {
		l := withoutType(dig(t, l, "activeState", "listener"))
		if l["name"] != "default/eg/http" { // the other one is for probes
			continue
		}
		l["address"] = address("LISTEN")
		manager := dig(t, l, "defaultFilterChain", "filters", 0, "typedConfig").(map[string]any)
		manager["routeConfig"] = withoutType(dig(t, parts[dump+"RoutesConfigDump"], "dynamicRouteConfigs", 0, "routeConfig"))
		for _, o := range []map[string]any{l, manager} {
			delete(o, "accessLog")
			delete(o, "rds")
		}
		listeners = append(listeners, l)
	}
	for _, c := range dig(t, parts[dump+"ClustersConfigDump"], "dynamicActiveClusters").([]any) {
		c := withoutType(dig(t, c, "cluster"))
		name, port := c["name"].(string), "KEYS"
		if strings.HasPrefix(name, "httproute/") {
			port = "API"
		}
		if c["edsClusterConfig"] != nil {
			delete(c, "edsClusterConfig")
			c["type"], c["loadAssignment"] = "STATIC", endpoints[name]
		}
		if load, ok := c["loadAssignment"].(map[string]any); ok {
			delete(load, "@type")
			dig(t, load, "endpoints", 0, "lbEndpoints", 0, "endpoint").(map[string]any)["address"] = address(port)
		}
		clusters = append(clusters, c)
	}
	encoded, err := json.Marshal(map[string]any{"listeners": listeners, "clusters": clusters})
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

func withoutType(o any) map[string]any {
	m := o.(map[string]any)
	delete(m, "@type")
	return m
}

func address(port string) any {
	return map[string]any{"socketAddress": map[string]any{"address": "127.0.0.1", "portValue": port}}
}

// startEnvoyOfGateway runs Envoy as Envoy Gateway would configure it.
func startEnvoyOfGateway(t *testing.T, keys *keyServer) *gateway {
	t.Helper()
	g := &gateway{addr: envoytest.FreeAddr(t), keys: keys, api: newAPI(t)}
	text := envoyOfGateway(t)
	for word, addr := range map[string]string{"LISTEN": g.addr, "API": g.api.addr, "KEYS": keys.addr} {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		text = strings.ReplaceAll(text, `"`+word+`"`, port)
	}
	text = strings.ReplaceAll(text, "http://127.0.0.1:8080", keys.url())
	_, port, _ := net.SplitHostPort(envoytest.FreeAddr(t))
	admin := `{"address": {"socket_address": {"address": "127.0.0.1", "port_value": ` + port + `}}}`
	g.Envoy = envoytest.Start(t, `{"admin": `+admin+`, "static_resources": `+text+`}`)
	return g
}
