package deploy_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
)

const chart = "helm/burnkey"

func render(t *testing.T, values string, more ...string) []object {
	t.Helper()
	args := append([]string{"template", "burnkey", chart, "--kube-version", "1.34.0", "--values", values}, more...)
	return documents(t, run(t, tool(t, "helm"), args...))
}

func TestChart(t *testing.T) {
	files, err := filepath.Glob(chart + "/ci/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d files of values: %v", len(files), err)
	}
	for _, values := range files {
		t.Run(filepath.Base(values), func(t *testing.T) {
			run(t, tool(t, "helm"), "lint", "--strict", "--kube-version", "1.34.0", "--values", values, chart)
			objects := render(t, values)
			pods := map[string]object{}
			for _, o := range objects {
				checkObject(t, o)
				if template, ok := at(o, "spec", "template").(object); ok {
					name, _ := at(o, "metadata", "name").(string)
					pods[name] = template
					checkPod(t, name, template)
				}
			}
			checkSelectors(t, objects, pods)
			server := list(at(pods["burnkey"], "spec", "containers"))[0]
			if path := at(server, "readinessProbe", "httpGet", "path"); path != "/readyz?exclude=database" {
				t.Errorf("the readiness probe is %v", path)
			}
		})
	}
}

func checkObject(t *testing.T, o object) {
	t.Helper()
	kind, _ := o["kind"].(string)
	version, _ := o["apiVersion"].(string)
	if kind == "ServiceMonitor" { // the operator's, whose schema is not here
		return
	}
	group, name := "", version
	if before, after, ok := strings.Cut(version, "/"); ok {
		group, _, _ = strings.Cut(before, ".")
		group, name = group+"-", after
	}
	if err := schema(t, "kubernetes/"+strings.ToLower(kind)+"-"+group+name+".json").Validate(o); err != nil {
		t.Errorf("%s: %v", kind, err)
	}
	if kind == "Secret" {
		t.Error("the chart contains a Secret, so its content is in the release")
	}
	if kind == "ConfigMap" {
		for file, value := range at(o, "data").(object) {
			if text, _ := value.(string); strings.Contains(text, "password") || strings.Contains(text, "PRIVATE KEY") {
				t.Errorf("a secret in the ConfigMap's %s", file)
			} else if file == "envoy.yaml" {
				envoytest.Validate(t, text)
			}
		}
	}
}

// checkPod checks a pod against the "restricted" Pod Security Standard and stricter rules.
func checkPod(t *testing.T, name string, template object) {
	t.Helper()
	spec, _ := template["spec"].(object)
	security := spec["securityContext"]
	user, _ := at(security, "runAsUser").(float64)
	if at(security, "runAsNonRoot") != true || user < 1 || at(security, "seccompProfile", "type") != "RuntimeDefault" {
		t.Errorf("%s: the pod is not restricted: %v", name, security)
	}
	if spec["automountServiceAccountToken"] != false || spec["hostNetwork"] != nil || spec["hostPID"] != nil || spec["hostIPC"] != nil {
		t.Errorf("%s: the pod has rights that it does not need", name)
	}
	for _, volume := range list(spec["volumes"]) {
		if at(volume, "hostPath") != nil {
			t.Errorf("%s: a volume of the host", name)
		}
	}
	containers := append(list(spec["containers"]), list(spec["initContainers"])...)
	if len(list(spec["containers"])) == 0 {
		t.Errorf("%s has no container", name)
	}
	for _, c := range list(spec["containers"]) {
		for _, probe := range []string{"startupProbe", "livenessProbe", "readinessProbe"} {
			if at(c, probe) == nil {
				t.Errorf("%s has no %s", name, probe)
			}
		}
	}
	for _, c := range containers {
		security := at(c, "securityContext")
		drop := list(at(security, "capabilities", "drop"))
		if at(security, "allowPrivilegeEscalation") != false || at(security, "readOnlyRootFilesystem") != true ||
			at(security, "privileged") == true || len(drop) != 1 || drop[0] != "ALL" || at(security, "capabilities", "add") != nil {
			t.Errorf("%s: a container is not restricted: %v", name, security)
		}
		if at(c, "resources", "requests", "memory") == nil || at(c, "resources", "limits", "memory") == nil {
			t.Errorf("%s: no memory limit", name)
		}
		if image, _ := at(c, "image").(string); !pinned.MatchString(image) {
			t.Errorf("%s: image %q is not pinned", name, image)
		}
	}
}

// checkSelectors checks that each Service, budget and policy selects exactly the pods of its workload.
func checkSelectors(t *testing.T, objects []object, pods map[string]object) {
	t.Helper()
	for _, o := range objects {
		kind, _ := o["kind"].(string)
		name, _ := at(o, "metadata", "name").(string)
		var selector object
		switch kind {
		case "Service":
			selector, _ = at(o, "spec", "selector").(object)
		case "PodDisruptionBudget":
			selector, _ = at(o, "spec", "selector", "matchLabels").(object)
		case "NetworkPolicy":
			selector, _ = at(o, "spec", "podSelector", "matchLabels").(object)
		default:
			continue
		}
		for pod, template := range pods {
			if matches(selector, at(template, "metadata", "labels")) != (pod == name) {
				t.Errorf("%s %s and the pods of %s: %v", kind, name, pod, selector)
			}
		}
	}
	for pod := range pods {
		if pod != "burnkey-postgresql" { // has one pod
			find(t, objects, "PodDisruptionBudget", pod)
		}
	}
}

func matches(selector object, labels any) bool {
	for key, value := range selector {
		if at(labels, key) != value {
			return false
		}
	}
	return len(selector) > 0
}

// TestChartRefuses renders with invalid values. The error must name the value and say what is wrong.
func TestChartRefuses(t *testing.T) {
	const pull, gateway = "envoy.enabled=true,envoy.upstream=api:9000,", "gateway.enabled=true,gateway.audience=a,"
	const both = gateway + "gateway.workspace=acme,envoy.mode=gateway," + pull
	for set, want := range map[string]string{
		"publicURL=":                             "publicURL",
		"publicURL=https://keys.example.com?x=1": "publicURL",
		"image.tag=latest":                       "tag",
		"replica=5":                              "replica",
		"networkPolicy.enabled=true,serviceMonitor.enabled=true":                       "networkPolicy.from: must name Prometheus",
		"envoy.image=envoyproxy/envoy":                                                 "image",
		"envoy.enabled=true":                                                           "envoy.upstream: must be HOST:PORT",
		"envoy.workspace=burnkey":                                                      "envoy.workspace: must not be burnkey",
		pull + "envoy.workspace=acme":                                                  "envoy.audience: must be",
		pull + "envoy.audience=a":                                                      "envoy.workspace: must be",
		pull + "envoy.audience=a,envoy.workspace={acme,burnkey}":                       "envoy.workspace: must not be burnkey",
		pull + `envoy.workspace=acme,envoy.audience=a"b`:                               "audience",
		pull + "envoy.workspace=acme,envoy.audience=a,envoy.flags.any-audience=true":   "envoy.flags.any-audience: cannot be combined",
		pull + "envoy.workspace=acme,envoy.audience=a,envoy.flags.limits=service":      "gateway.enabled: must be true with envoy.flags.limits",
		pull + "envoy.workspace=acme,envoy.audience=a,envoy.upstreamCASecretName=x":    "envoy.upstreamCASecretName: has no effect without",
		pull + "envoy.workspace=acme,envoy.audience=a,envoy.userCASecretName=x":        "envoy.userCASecretName: has no effect without",
		pull + "envoy.mode=gateway":                                                    "gateway.enabled: must be true with envoy.mode",
		pull + "envoy.mode=both":                                                       "mode",
		"envoy.enabled=true,envoy.config=x,envoy.routes=x":                             "envoy.routes: has no effect with envoy.config",
		"envoy.flags.max-bodies=1MiB":                                                  "max-bodies",
		"envoy.flags.max-body=1":                                                       "max-body",
		pull + "envoy.flags.imported=true,envoy.workspace=acme,envoy.audience=x":       "envoy.flags.imported: is for envoy.mode: gateway",
		"envoy.flags.grpc=yes":                                                         "grpc",
		"envoy.flags.open=/healthz":                                                    "open",
		both + "envoy.workspace=acme":                                                  "envoy.workspace: has no effect with envoy.mode",
		both + "envoy.flags.credential={basic}":                                        "envoy.flags.credential: has no effect with",
		both + "envoy.flags.cache=3s":                                                  "envoy.flags.cache: is for envoy.mode: pull",
		"gateway.enabled=true,gateway.workspace=acme":                                  "gateway.audience: must be",
		gateway + "gateway.replicas=2":                                                 "gateway.workspace: must be the workspaces",
		gateway + "gateway.workspace={acme,burnkey}":                                   "gateway.workspace: must not be burnkey",
		gateway + "gateway.workspace=acme,gateway.flags.any-audience=true":             "gateway.flags.any-audience: cannot be combined",
		gateway + "gateway.workspace=acme,gateway.redisSecretName=x":                   "gateway.redisSecretName: has no effect without",
		gateway + "gateway.workspace=acme,gateway.pepperSecretName=x":                  "gateway.pepperSecretName: has no effect without",
		gateway + "gateway.workspace=acme,gateway.flags.environment=live":              "gateway.flags.environment: has no effect without",
		gateway + "gateway.keySecretName=x,gateway.usageKeySecretName=x":               "gateway.usageKeySecretName: is for gateway.workspace",
		gateway + "gateway.keySecretName=x,gateway.flags.redis-down=local":             "gateway.flags.redis-down: has no effect without",
		gateway + "gateway.keySecretName=x,gateway.flags.when-stale=serve":             "gateway.flags.when-stale: has no effect without",
		gateway + "gateway.keySecretName=x,gateway.flags.http-client-address-header=X": "has no effect without gateway.http",
		"gateway.replicas=0":                                                           "replicas",
	} {
		args := []string{"template", "burnkey", chart, "--kube-version", "1.34.0", "--values", chart + "/ci/plain.yaml", "--set", set}
		out, err := exec.CommandContext(t.Context(), tool(t, "helm"), args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("with %q: %v, want %q\n%s", set, err, want, out)
		}
	}
	if exec.CommandContext(t.Context(), tool(t, "helm"), "template", "burnkey", chart).Run() == nil {
		t.Error("helm renders without any value")
	}
}

// TestChartTrimsThePublicURL checks that the trailing slash is removed. The server signs iss without it, and
// Envoy compares iss as a string.
func TestChartTrimsThePublicURL(t *testing.T) {
	helm := tool(t, "helm")
	rendered := func(url string) string {
		return run(t, helm, "template", "burnkey", chart, "--kube-version", "1.34.0", "--values", chart+"/ci/all.yaml", "--set", "publicURL="+url)
	}
	want := rendered("https://keys.example.com/a")
	if !strings.Contains(want, `"--public-url=https://keys.example.com/a"`) {
		t.Fatal("Envoy's public URL is another")
	}
	for _, slashes := range []string{"/", "//"} {
		if rendered("https://keys.example.com/a"+slashes) != want {
			t.Errorf("with %q it is another", slashes)
		}
	}
}
