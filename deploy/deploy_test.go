// Package deploy_test checks the chart, the compose file and the configuration of the Patroni cluster with the
// tools that read these files. It also checks that nothing runs with more rights than needed.
package deploy_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
)

// An object is a YAML mapping.
type object = map[string]any

// TestMain opens every file that the tools read, so that Go repeats cached tests after a file changes.
func TestMain(m *testing.M) {
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		return file.Close()
	})
	if err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// missing skips the test because a tool is missing. With CI=true it fails the test.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

func tool(t *testing.T, name string) string {
	t.Helper()
	if path, err := filepath.Abs("../.tools/bin/" + name); err == nil {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, "no "+name+": run tools/go-tools.sh or tools/patroni.sh")
	}
	return path
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return string(out)
}

// documents parses a YAML stream and converts it to JSON types, which the schemas require.
func documents(t *testing.T, text string) []object {
	t.Helper()
	var all []object
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for {
		var document any
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if document == nil {
			continue
		}
		encoded, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		var plain object
		if err := json.Unmarshal(encoded, &plain); err != nil {
			t.Fatal(err)
		}
		all = append(all, plain)
	}
}

// at returns the value under nested keys, or nil.
func at(value any, keys ...string) any {
	for _, key := range keys {
		m, _ := value.(object)
		value = m[key]
	}
	return value
}

func list(value any) []any {
	l, _ := value.([]any)
	return l
}

// schemas are the compiled schemas, of which some take a second to compile.
var schemas = map[string]*jsonschema.Schema{}

// schema compiles a file of .tools/schemas. The Kubernetes schemas refer to /api/_definitions.json.
func schema(t *testing.T, file string) *jsonschema.Schema {
	t.Helper()
	if compiled := schemas[file]; compiled != nil {
		return compiled
	}
	compiler := jsonschema.NewCompiler()
	for _, name := range []string{file, "kubernetes/_definitions.json"} {
		encoded, err := os.ReadFile("../.tools/schemas/" + name)
		if errors.Is(err, os.ErrNotExist) {
			missing(t, "no "+name+": run tools/schemas.sh")
		}
		if err != nil {
			t.Fatal(err)
		}
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(encoded))
		if err != nil {
			t.Fatal(err)
		}
		// The Kubernetes schemas refer to this URL.
		if err := compiler.AddResource("https://kubernetes.io/api/"+filepath.Base(name), document); err != nil {
			t.Fatal(err)
		}
	}
	compiled, err := compiler.Compile("https://kubernetes.io/api/" + filepath.Base(file))
	if err != nil {
		t.Fatal(err)
	}
	schemas[file] = compiled
	return compiled
}

// pinned matches an image whose tag contains a number.
var pinned = regexp.MustCompile(`^[a-z0-9./-]+:[A-Za-z0-9_.-]*[0-9][A-Za-z0-9_.-]*$`)

func TestCompose(t *testing.T) {
	text, err := os.ReadFile("compose/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	compose := documents(t, string(text))[0]
	if err := schema(t, "compose-spec.json").Validate(compose); err != nil {
		t.Error(err)
	}
	services, _ := compose["services"].(object)
	if len(services) < 4 {
		t.Errorf("%d services", len(services))
	}
	for name, value := range services {
		service, _ := value.(object)
		if service["privileged"] != nil || service["cap_add"] != nil || service["network_mode"] != nil ||
			service["pid"] != nil || service["devices"] != nil {
			t.Errorf("%s has rights on the machine", name)
		}
		if service["read_only"] != true || len(list(service["cap_drop"])) != 1 || list(service["cap_drop"])[0] != "ALL" ||
			len(list(service["security_opt"])) != 1 || list(service["security_opt"])[0] != "no-new-privileges:true" {
			t.Errorf("%s is not restricted", name)
		}
		if user, _ := service["user"].(string); user == "" || user[0] == '0' {
			t.Errorf("%s runs as root", name)
		}
		if image, _ := service["image"].(string); !pinned.MatchString(image) && at(service, "build") == nil {
			t.Errorf("%s: image %q is not pinned", name, image)
		}
		if name != "api" && at(service, "healthcheck", "test") == nil {
			t.Errorf("%s has no health check", name)
		}
	}
}

func burnkey(t *testing.T) string {
	t.Helper()
	binary := os.Getenv("BURNKEY_BIN")
	if binary == "" {
		binary = "../bin/burnkey"
	}
	if _, err := os.Stat(binary); err != nil {
		missing(t, "no bin/burnkey: run make build")
	}
	binary, err := filepath.Abs(binary)
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// isFlag checks that an environment variable corresponds to a flag of a subcommand.
func isFlag(t *testing.T, subcommand, variable string) {
	t.Helper()
	name, ok := strings.CutPrefix(variable, "BURNKEY_")
	flag := "--" + strings.ToLower(strings.ReplaceAll(name, "_", "-")) + " "
	if ok && !strings.Contains(run(t, burnkey(t), subcommand, "--help"), flag) {
		t.Errorf("%s sets no flag of burnkey %s", variable, subcommand)
	}
}

func TestComposeSetsFlags(t *testing.T) {
	text, err := os.ReadFile("compose/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	services := at(documents(t, string(text))[0], "services")
	for service, subcommand := range map[string]string{"burnkey": "serve", "gateway": "gateway"} {
		variables, _ := at(services, service, "environment").(object)
		if len(variables) < 5 {
			t.Errorf("%s has the variables %v", service, variables)
		}
		for variable := range variables {
			isFlag(t, subcommand, variable)
		}
	}
}

func TestEnvoyFilesAreCurrent(t *testing.T) {
	binary := burnkey(t)
	for file, flags := range map[string]string{
		"compose/envoy.yaml":         "--server http://burnkey:8080 --workspace acme --audience acme-company --upstream api:9000",
		"compose/envoy-gateway.yaml": "--mode gateway --gateway gateway:9002 --upstream api:9000",
	} {
		args := append([]string{"envoy", "config", "--listen", "0.0.0.0:10000"}, strings.Fields(flags)...)
		want := run(t, binary, args...)
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s is not what burnkey %s prints", file, strings.Join(args, " "))
		}
		envoytest.Validate(t, string(got))
	}
}

// TestPatroniFiles checks the files that cluster.sh renders with the programs that read them.
func TestPatroniFiles(t *testing.T) {
	haproxy, patroni := tool(t, "haproxy"), tool(t, "patroni")
	run(t, "bash", "-n", "patroni/cluster.sh")
	dir := t.TempDir()
	run(t, "patroni/cluster.sh", "render", dir)
	run(t, haproxy, "-c", "-f", dir+"/haproxy.cfg")
	for _, node := range []string{"pg1", "pg2", "pg3"} {
		file := filepath.Join(dir, node, "patroni.yml")
		validatePatroni(t, patroni, file)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		config := documents(t, string(text))[0]
		dcs := at(config, "bootstrap", "dcs")
		for _, want := range []string{"synchronous_mode", "synchronous_mode_strict"} {
			if at(dcs, want) != true {
				t.Errorf("%s: %s is not on: acknowledged writes could be lost", node, want)
			}
		}
		if at(dcs, "postgresql", "parameters", "synchronous_commit") != "on" {
			t.Errorf("%s: synchronous_commit is not on", node)
		}
		if config["name"] != node || regexp.MustCompile(`10\.0\.0\.\d+[:/]`).Match(text) {
			t.Errorf("%s: not rendered:\n%s", node, text)
		}
	}
}

// excused matches complaints of Patroni that do not matter here: the cluster is on one machine and not running.
var excused = regexp.MustCompile(`must not contain "127\.0\.0\.1"|is not reachable|unix_socket_directories  didn't pass`)

func validatePatroni(t *testing.T, patroni, file string) {
	t.Helper()
	// The exit status is ignored, since excused complaints also cause a failure.
	out, err := exec.CommandContext(t.Context(), patroni, "--validate-config", file).CombinedOutput()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if !excused.MatchString(line) && strings.TrimSpace(line) != "" {
			t.Errorf("%s: %s", file, line)
		}
	}
}
