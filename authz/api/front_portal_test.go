package api_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/burnkey/burnkey/authz/api"
	"github.com/burnkey/burnkey/internal/testkit"
)

// The portal serves its own paths, and no log line or metric contains such a path.
func TestThePortalIsBeside(t *testing.T) {
	s := newServer(t)
	pages := http.NewServeMux()
	pages.HandleFunc("GET /portal/{ws}/keys", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "keys") })
	pages.HandleFunc("GET /portal", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "door") })
	pages.HandleFunc("POST /portal/{ws}/keys", func(_ http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err != nil || len(body) != api.MaxBody+1 {
			t.Error("the body is not the portal's own to read:", len(body), err)
		}
		panic("secret")
	})
	portal := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/portal/link/") {
			r.Pattern = "/portal/link/{secret}"
			w.WriteHeader(http.StatusGone)
			return
		}
		pages.ServeHTTP(w, r)
	})
	var log testkit.Log
	metrics := prometheus.NewRegistry()
	h, err := api.New(api.Options{
		Service: s.service, Publisher: s.publisher, Metrics: metrics, Portal: portal, Log: log.Logger(),
	})
	must(t, err)
	ask := func(method, path, body string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
		return w
	}
	if w := ask("GET", "/portal/acme/keys", ""); w.Body.String() != "keys" || w.Header().Get("X-Request-Id") == "" {
		t.Errorf("answered %q, %v", w.Body, w.Header())
	}
	if w := ask("POST", "/portal/acme/keys", strings.Repeat("a", api.MaxBody+1)); w.Code != http.StatusInternalServerError {
		t.Errorf("a panic is answered %d", w.Code)
	}
	if w := ask("GET", "/portal/link/hush", ""); w.Code != http.StatusGone {
		t.Errorf("answered %d", w.Code)
	}
	for path, status := range map[string]int{"/portal": 200, "/portals/x": 404, "/healthz": 200} {
		if w := ask("GET", path, ""); w.Code != status {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	for _, want := range []string{"route=/portal/{ws}/keys workspace=acme status=200", "route=/portal/link/{secret}", "status=500"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %q:\n%s", want, log.String())
		}
	}
	if strings.Contains(log.String(), "hush") {
		t.Error("the log has a secret")
	}
	families, err := metrics.Gather()
	must(t, err)
	for _, family := range families {
		if family.GetName() == "burnkey_http_requests_total" && !strings.Contains(family.String(), "/portal/link/{secret}") {
			t.Error("not counted:", family)
		}
	}
}
