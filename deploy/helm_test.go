package deploy_test

import (
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
				if strings.Contains(text, ".invalid") || strings.Contains(text, "the-workspace") || strings.Contains(text, "the-audience") {
					t.Errorf("a placeholder is left:\n%s", text)
				}
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
	if len(containers) == 0 {
		t.Errorf("%s has no container", name)
	}
	for _, c := range containers {
		security := at(c, "securityContext")
		drop := list(at(security, "capabilities", "drop"))
		if at(security, "allowPrivilegeEscalation") != false || at(security, "readOnlyRootFilesystem") != true ||
			at(security, "privileged") == true || len(drop) != 1 || drop[0] != "ALL" || at(security, "capabilities", "add") != nil {
			t.Errorf("%s: a container is not restricted: %v", name, security)
		}
		for _, probe := range []string{"startupProbe", "livenessProbe", "readinessProbe"} {
			if at(c, probe) == nil {
				t.Errorf("%s has no %s", name, probe)
			}
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
	kinds := map[string]int{}
	for _, o := range objects {
		kind, _ := o["kind"].(string)
		name, _ := at(o, "metadata", "name").(string)
		kinds[kind]++
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
	if kinds["Deployment"] == 0 || kinds["PodDisruptionBudget"] != kinds["Deployment"] {
		t.Errorf("%d budgets for %d deployments", kinds["PodDisruptionBudget"], kinds["Deployment"])
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

// TestChartRefuses renders with invalid values.
func TestChartRefuses(t *testing.T) {
	helm := tool(t, "helm")
	for _, flags := range [][]string{
		{},
		{"--set", "publicURL="},
		{"--set", "publicURL=https://keys.example.com?x=1"},
		{"--set", "image.tag=latest"},
		{"--set", "replica=5"},
		{"--set", "envoy.enabled=true"},
		{"--set", "networkPolicy.enabled=true,serviceMonitor.enabled=true"}, // would shut Prometheus out
		{"--set", "envoy.image=envoyproxy/envoy"},
		{"--set", "envoy.enabled=true,envoy.upstream=api:9000,envoy.workspace=acme"},
		{"--set", "envoy.enabled=true,envoy.upstream=api:9000,envoy.audience=a"},
		{"--set", "envoy.enabled=true,envoy.upstream=api:9000,envoy.audience=a,envoy.workspace=burnkey"},
		{"--set", "envoy.workspace=burnkey"},
		{"--set", `envoy.enabled=true,envoy.upstream=api:9000,envoy.workspace=acme,envoy.audience=a"b`},
	} {
		args := append([]string{"template", "burnkey", chart, "--kube-version", "1.34.0"}, flags...)
		if len(flags) > 0 { // --set takes precedence over --values
			args = append(args, "--values", chart+"/ci/plain.yaml")
		}
		if fails(t, helm, args...) == nil {
			t.Errorf("helm renders with %q", flags)
		}
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
	if !strings.Contains(want, `"https://keys.example.com/a/v1/auth/oauth/acme"`) {
		t.Fatal("Envoy's issuer is another")
	}
	for _, slashes := range []string{"/", "//"} {
		if rendered("https://keys.example.com/a"+slashes) != want {
			t.Errorf("with %q it is another", slashes)
		}
	}
}
