package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// promtool returns the path of promtool, which make promtool unpacks.
func promtool(t *testing.T) string {
	t.Helper()
	if path, err := exec.LookPath("promtool"); err == nil {
		return path
	}
	path, err := filepath.Abs("../.tools/promtool/promtool")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("no promtool: run make promtool")
		}
		t.Skip("no promtool: run make promtool")
	}
	return path
}

func TestAlertRules(t *testing.T) {
	for _, args := range [][]string{{"check", "config", "prometheus.yml"}, {"test", "rules", "alerts_test.yml"}} {
		cmd := exec.Command(promtool(t), args...)
		cmd.Dir = "monitoring"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// alert is a rule of alerts.yml.
type alert struct {
	Alert, Expr string
	Annotations map[string]string
}

func alerts(t *testing.T) (all []alert) {
	t.Helper()
	var file struct {
		Groups []struct{ Rules []alert }
	}
	if err := yaml.Unmarshal(read(t, "monitoring/alerts.yml"), &file); err != nil {
		t.Fatal(err)
	}
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	return all
}

// TestAlertsAreDocumentedAndTested checks that each alert has a section in the documentation, to which it links, and
// two tests.
func TestAlertsAreDocumentedAndTested(t *testing.T) {
	page, tests := string(read(t, "../docs/operate/alerts.md")), string(read(t, "monitoring/alerts_test.yml"))
	all := alerts(t)
	for _, a := range all {
		anchor := "docs/operate/alerts.md#" + strings.ToLower(a.Alert)
		if !strings.Contains(page, "\n## "+a.Alert+"\n") || !strings.HasSuffix(a.Annotations["runbook_url"], anchor) {
			t.Errorf("%s: no section in docs/operate/alerts.md, or no link to it", a.Alert)
		}
		for _, name := range []string{a.Alert + " fires\n", a.Alert + " is silent\n"} {
			if !strings.Contains(tests, name) {
				t.Errorf("alerts_test.yml: no test %q", name)
			}
		}
	}
	if sections := strings.Count(page, "\n## "); sections != len(all) {
		t.Errorf("docs/operate/alerts.md has %d sections, and there are %d alerts", sections, len(all))
	}
}

var (
	metricRow  = regexp.MustCompile("(?m)^\\| `(burnkey_[a-z_]+)` \\| ([a-z]+) \\| ([a-z, ]*) \\|")
	metricUse  = regexp.MustCompile(`(burnkey_[a-z_]+)(?:\{([^}]*)\})?`)
	labelUse   = regexp.MustCompile(`([a-z_]+)(?:=~?|!=|!~)`)
	groupedBy  = regexp.MustCompile(`by \(([^)]*)\)`)
	histograms = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// TestMonitoringUsesMetricsThatExist compares the metrics and labels in the rules and in the dashboard with the
// reference, which is written from the registries.
func TestMonitoringUsesMetricsThatExist(t *testing.T) {
	labels := make(map[string][]string)
	for _, row := range metricRow.FindAllStringSubmatch(string(read(t, "../docs/reference/metrics.md")), -1) {
		labels[row[1]] = append(strings.Split(row[3], ", "), "instance", "job")
		if row[2] == "histogram" {
			labels[row[1]] = append(labels[row[1]], "le")
		}
	}
	var uses []string
	for _, a := range alerts(t) {
		uses = append(uses, a.Expr)
	}
	for _, expr := range regexp.MustCompile(`"expr": "(.*)"`).FindAllStringSubmatch(string(read(t, "monitoring/dashboard.json")), -1) {
		uses = append(uses, strings.ReplaceAll(expr[1], `\"`, `"`))
	}
	if len(labels) < 40 || len(uses) < 50 {
		t.Fatalf("%d metrics and %d uses were found", len(labels), len(uses))
	}
	for _, expr := range uses {
		for _, use := range metricUse.FindAllStringSubmatch(expr, -1) {
			known, ok := labels[use[1]]
			if !ok {
				known, ok = labels[histograms.ReplaceAllString(use[1], "")]
			}
			if !ok {
				t.Errorf("%s: there is no metric %s", expr, use[1])
			}
			wanted := append(labelUse.FindAllStringSubmatch(use[2], -1), groupedBy.FindAllStringSubmatch(expr, -1)...)
			for _, label := range wanted {
				if !slices.Contains(known, label[1]) {
					t.Errorf("%s: %s has no label %s", expr, use[1], label[1])
				}
			}
		}
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
