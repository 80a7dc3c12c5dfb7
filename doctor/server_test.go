package doctor

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// examine examines a target whose /metrics has the text.
func examine(t *testing.T, text string, o func(address string) Options) []Finding {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" {
			_, _ = w.Write([]byte(text))
		}
	}))
	defer s.Close()
	return Examine(t.Context(), o(s.URL))
}

func TestOtherPrograms(t *testing.T) {
	asGateway := func(address string) Options { return Options{Gateway: address} }
	asServer := func(address string) Options { return Options{Server: address} }
	const gateway, server = "burnkey_gateway_workspaces 1\n", "burnkey_publish_failures_total 0\n"
	for name, test := range map[string]struct {
		options func(string) Options
		metrics string
		other   string
	}{
		"gateway": {asGateway, gateway, ""}, "server as gateway": {asGateway, server, "is not a burnkey gateway"},
		"server": {asServer, server, ""}, "gateway as server": {asServer, gateway, "is not a burnkey server"},
	} {
		found := ""
		for _, f := range examine(t, test.metrics, test.options) {
			if strings.Contains(f.What, "is not a burnkey") && f.Code == "unreachable" {
				found += f.What
			}
		}
		if (found == "") != (test.other == "") || !strings.Contains(found, test.other) {
			t.Errorf("%s: %q, want %q", name, found, test.other)
		}
	}
}

func TestRedisAway(t *testing.T) {
	for metric, want := range map[string]bool{"": false, "burnkey_gateway_redis_up 1\n": false, "burnkey_gateway_redis_up 0\n": true} {
		findings := examine(t, "burnkey_gateway_workspaces 1\n"+metric, func(address string) Options { return Options{Gateway: address} })
		if got := slices.ContainsFunc(findings, func(f Finding) bool { return f.Code == "redis_away" }); got != want {
			t.Errorf("%q: found %t, want %t", metric, got, want)
		}
	}
}

func TestNotReady(t *testing.T) {
	for location, want := range map[string]string{
		"https://u:hidden@keys.example/readyz?t=hidden": "/readyz answers 302 and redirects to https://keys.example.",
		"/login": "/readyz answers 302: no", "": "/readyz answers 302: no",
	} {
		a := &answer{status: http.StatusFound, header: http.Header{"Location": {location}}, body: []byte("no")}
		if got := notReady(a); got != want {
			t.Errorf("%s: %s, want %s", location, got, want)
		}
	}
}

func TestVariables(t *testing.T) {
	e := &exam{Options: Options{Variables: []string{"X has no effect; did you mean Y?", "Z has no effect"}}}
	e.lookAtVariables()
	if e.findings[0].What != "X has no effect; did you mean Y?" || e.findings[1].What != "Z has no effect." {
		t.Errorf("%+v", e.findings)
	}
}
