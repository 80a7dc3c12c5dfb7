package doctor

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/burnkey/burnkey/internal/testkit"
)

// TestEachCodeHasItsSection checks that the page has a section for each code, with its severity, in the same order.
func TestEachCodeHasItsSection(t *testing.T) {
	text, err := os.ReadFile("../docs/operate/doctor.md")
	testkit.Check(t, err)
	var sections, want []string
	for _, found := range regexp.MustCompile(`(?m)^### (\w+)\n\n(\w+)\. `).FindAllStringSubmatch(string(text), -1) {
		sections = append(sections, found[1]+" "+found[2])
	}
	for _, k := range list {
		severity := map[Severity]string{Error: "Error", Warning: "Warning", Note: "Note"}[k.severity]
		want = append(want, k.code+" "+severity)
		if k.why == "" || k.do == "" {
			t.Errorf("%s: no advice", k.code)
		}
	}
	if !slices.Equal(sections, want) {
		t.Errorf("the sections are %q, want %q", sections, want)
	}
}

func TestIntervals(t *testing.T) {
	for duration, found := range map[string]bool{
		"5s": false, "1s": false, "10s": false, "0.5s": true, "6s": true, "8s": true, "9s": true, "11s": true, "60s": true, "": true,
	} {
		v := &envoyExam{exam: &exam{}, seen: map[string]bool{}}
		v.checkInterval("acme", duration)
		if (len(v.findings) == 1) != found {
			t.Errorf("%q: %+v", duration, v.findings)
		}
	}
}

func TestPlainHTTP(t *testing.T) {
	for address, found := range map[string]bool{
		"http://127.0.0.1:1": false, "http://[::1]:1": false, "http://localhost": false, "https://x.example": false, "http://10.0.0.1": true,
	} {
		e := &exam{}
		if e.checkPlain(Warning, "server", address); (len(e.findings) == 1) != found {
			t.Errorf("%s: %+v", address, e.findings)
		}
	}
}

func TestVersionsThatDiffer(t *testing.T) {
	e := &exam{Options: Options{Version: "1.2"}, versions: []versionOf{{"server", "1.2"}, {"gateway", "1.1"}}}
	e.compareVersions()
	if len(e.findings) != 1 || e.findings[0].Target != "gateway" || e.findings[0].Code != "version_differs" {
		t.Errorf("%+v", e.findings)
	}
}

func TestClocks(t *testing.T) {
	for ahead, found := range map[time.Duration]bool{0: false, 5 * time.Second: false, time.Minute: true, -time.Minute: true} {
		e := &exam{}
		if e.reportClock("server", ahead); (len(e.findings) == 1) != found {
			t.Errorf("%s: %+v", ahead, e.findings)
		}
	}
}

func TestHostileTexts(t *testing.T) {
	e := &exam{}
	e.add("polling", "gateway \u009b2J\u202ex", strings.Repeat("é\x1b", 10_000))
	e.add("unreachable", "database", "connect:\n\ta: refused\n\tb: refused")
	for _, f := range e.sorted() {
		if f.Code == "unreachable" && f.What != "connect: a: refused b: refused" {
			t.Errorf("%q", f.What)
		}
		if utf8.RuneCountInString(f.What) > maxText+1 || strings.ContainsAny(f.Target+f.What, "\x1b\u009b\u202e") {
			t.Errorf("%+q", f)
		}
	}
}

func TestManyFindings(t *testing.T) {
	e := &exam{}
	for i := range 1000 {
		e.add("jwt_issuer", "envoy", fmt.Sprintf("The provider %03d has no issuer.", i))
	}
	e.add("jwt_issuer", "another envoy", "The provider x has no issuer.")
	found := e.sorted()
	if len(found) != maxAlike+1 || !strings.HasSuffix(found[maxAlike].What, "And 980 more.") {
		t.Errorf("%+v", found)
	}
}
