package deploy_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
	"github.com/burnkey/burnkey/internal/testkit"
)

// find returns the object of a kind and name.
func find(t *testing.T, objects []object, kind, name string) object {
	t.Helper()
	for _, o := range objects {
		if o["kind"] == kind && at(o, "metadata", "name") == name {
			return o
		}
	}
	t.Fatalf("no %s %s", kind, name)
	return nil
}

func texts(value any) (all []string) {
	for _, item := range list(value) {
		text, _ := item.(string)
		all = append(all, text)
	}
	return all
}

// mount creates the folders that a container sees, below a folder of the test, and returns a function that
// replaces their paths in a text.
func mount(t *testing.T, objects []object, pod any, container any) func(string) string {
	t.Helper()
	root := t.TempDir()
	var pairs []string
	for _, m := range list(at(container, "volumeMounts")) {
		path, _ := at(m, "mountPath").(string)
		folder := filepath.Join(root, path)
		pairs = append(pairs, path+"/", folder+"/")
		testkit.Check(t, os.MkdirAll(folder, 0o700))
		for _, volume := range list(at(pod, "spec", "volumes")) {
			if at(volume, "name") != at(m, "name") {
				continue
			}
			if name, ok := at(volume, "configMap", "name").(string); ok {
				for file, content := range at(find(t, objects, "ConfigMap", name), "data").(object) {
					testkit.Check(t, os.WriteFile(filepath.Join(folder, file), []byte(content.(string)), 0o600))
				}
			}
			if at(volume, "secret") != nil {
				writeSecrets(t, folder)
			}
		}
	}
	return strings.NewReplacer(pairs...).Replace
}

// writeSecrets writes a certificate, its private key and a management key, with the names that the chart expects.
func writeSecrets(t *testing.T, folder string) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	private, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	testkit.Check(t, err)
	token := testkit.Sign(testkit.PrivateKey(), testkit.Header(strings.Repeat("k", 43)),
		`{"iss":"https://keys.example.com/v1/auth/oauth/burnkey","sub":"gateway","aud":["burnkey"],"jti":"1","iat":1,"scope":"gateway"}`)
	for name, content := range map[string]string{
		"tls.crt": string(certificate), "ca.crt": string(certificate), "key": token, "pepper": strings.Repeat("p", 32),
		"tls.key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
	} {
		testkit.Check(t, os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600))
	}
}

// withBurnkey returns an environment in which the program is called burnkey, as in the image.
func withBurnkey(t *testing.T) []string {
	t.Helper()
	folder := t.TempDir()
	testkit.Check(t, os.Symlink(burnkey(t), folder+"/burnkey"))
	return []string{"PATH=" + folder + ":" + os.Getenv("PATH")}
}

// rendered runs the init container of Envoy's pods and returns the configuration that Envoy gets.
func rendered(t *testing.T, objects []object) string {
	t.Helper()
	pod := at(find(t, objects, "Deployment", "burnkey-envoy"), "spec", "template")
	container := list(at(pod, "spec", "initContainers"))[0]
	here := mount(t, objects, pod, container)
	// The files of the other container are the same, and their paths are in the arguments.
	other := mount(t, objects, pod, list(at(pod, "spec", "containers"))[0])
	command := append(texts(at(container, "command")), texts(at(container, "args"))...)
	for i, text := range command {
		if command[i] = here(text); command[i] == text {
			command[i] = other(text)
		}
	}
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Env = withBurnkey(t)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%q: %v\n%s", command, err, out)
	}
	text, err := os.ReadFile(here("/etc/envoy/envoy.yaml"))
	testkit.Check(t, err)
	return string(text)
}

// TestChartConfiguresEnvoy runs the command of the init container with the arguments that the chart renders, and has
// Envoy check the result.
func TestChartConfiguresEnvoy(t *testing.T) {
	for file, want := range map[string][]string{
		"all": {`address: "burnkey.default.svc", port_value: 8080`, `address: "api.default.svc", port_value: 9000`, "acme-company"},
		"gateway": {
			`address: "burnkey-gateway.default.svc", port_value: 9002`, "retry_host_predicate", "/v1/tiles", "https://app.example.com",
			"X-API-Key", "oauth-protected-resource", "xff_num_trusted_hops: 1", "max_request_bytes: 1048576", "access_log",
		},
		"pull": {
			`address: "burnkey-gateway.default.svc", port_value: 9002`, `"https://keys.example.com/auth/v1/auth/oauth/acme-test"`,
			"acme-live-", "https://login.example.com", "grpc_web",
		},
		"openapi": {"/v1/tiles", "maps:read", "/healthz", "local_ratelimit"},
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			config := rendered(t, render(t, chart+"/ci/"+file+".yaml"))
			for _, text := range want {
				if !strings.Contains(config, text) {
					t.Errorf("%q is missing in\n%s", text, config)
				}
			}
			envoytest.Validate(t, config)
		})
	}
}

// TestChartRunsTheGateway starts burnkey gateway with the arguments and variables that the chart renders.
func TestChartRunsTheGateway(t *testing.T) {
	binary := burnkey(t)
	for _, file := range []string{"gateway", "pull"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			objects := render(t, chart+"/ci/"+file+".yaml")
			pod := at(find(t, objects, "StatefulSet", "burnkey-gateway"), "spec", "template")
			container := list(at(pod, "spec", "containers"))[0]
			here := mount(t, objects, pod, container)
			args := texts(at(container, "args"))
			for i := range args {
				args[i] = regexp.MustCompile(`0\.0\.0\.0:\d+`).ReplaceAllString(here(args[i]), "127.0.0.1:0")
			}
			cmd := exec.CommandContext(t.Context(), binary, args...)
			cmd.Env = []string{}
			for _, variable := range list(at(container, "env")) {
				name, _ := at(variable, "name").(string)
				value, _ := at(variable, "value").(string)
				if at(variable, "valueFrom") != nil {
					value = "redis://127.0.0.1:1"
				}
				isFlag(t, "gateway", name)
				cmd.Env = append(cmd.Env, name+"="+here(value))
			}
			serveOnce(t, cmd)
		})
	}
}

// serveOnce runs a server until it serves, and then stops it.
func serveOnce(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	log, exited := new(testkit.Log), make(chan error, 1)
	cmd.Stderr = log
	testkit.Check(t, cmd.Start())
	go func() { exited <- cmd.Wait() }()
	testkit.Within(t, time.Minute, "it serves", func() bool {
		select {
		case err := <-exited:
			t.Fatalf("%q: %v\n%s", cmd.Args, err, log)
		default:
		}
		return strings.Contains(log.String(), `"msg":"serving"`)
	})
	testkit.Check(t, cmd.Process.Signal(syscall.SIGTERM))
	if err := <-exited; err != nil {
		t.Errorf("%v\n%s", err, log)
	}
}

// ownFlags are flags that the chart sets itself or that have no place in it. Every other flag can be set by values.
var ownFlags = map[string]string{
	"gateway": "audience drain-timeout help insecure-management-keys key-file listen listen-http log-format log-level metrics-listen " +
		"pepper-file public-url redis server state-dir usage-key-file workspace",
	"envoy": "admin audience ca-file format gateway help insecure-management-keys listen mode namespace public-url routes server " +
		"service-name target tls-cert tls-key upstream upstream-ca workspace",
}

// TestChartKnowsTheFlags checks that values.schema.json has the flags that exist, and that the files of values use each.
func TestChartKnowsTheFlags(t *testing.T) {
	binary := burnkey(t)
	encoded, err := os.ReadFile(chart + "/values.schema.json")
	testkit.Check(t, err)
	var root object
	testkit.Check(t, json.Unmarshal(encoded, &root))
	used := map[string][]string{}
	files, _ := filepath.Glob(chart + "/ci/*.yaml")
	for _, file := range files {
		text, err := os.ReadFile(file)
		testkit.Check(t, err)
		for _, part := range []string{"gateway", "envoy"} {
			flags, _ := at(documents(t, string(text))[0], part, "flags").(object)
			for name := range flags {
				used[part] = append(used[part], name)
			}
		}
	}
	for part, command := range map[string][]string{"gateway": {"gateway"}, "envoy": {"envoy", "config"}} {
		help := run(t, binary, append(command, "--help")...)
		flags, _ := at(root, "properties", part, "properties", "flags", "properties").(object)
		if len(flags) < 10 {
			t.Errorf("%s: %d flags", part, len(flags))
		}
		for name := range flags {
			if !slices.Contains(used[part], name) {
				t.Errorf("no file of values sets %s.flags.%s", part, name)
			}
		}
		own := strings.Fields(ownFlags[part])
		for _, match := range regexp.MustCompile(`(?m)^ +(?:-[a-z], +)?--([a-z0-9-]+) `).FindAllStringSubmatch(help, -1) {
			if flags[match[1]] == nil && !slices.Contains(own, match[1]) {
				t.Errorf("%s.flags has no %s, and the chart does not set it", part, match[1])
			}
			delete(flags, match[1])
		}
		if len(flags) > 0 {
			t.Errorf("burnkey %s has no flags %v", strings.Join(command, " "), slices.Collect(maps.Keys(flags)))
		}
	}
}
