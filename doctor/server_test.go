package doctor

import (
	"net/http"
	"net/http/httptest"
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
