package gatewaytest

import (
	"encoding/json"
	"net/http"
	"testing"
)

// Problem checks that a refusal is a complete problem (RFC 9457) that no cache stores.
func Problem(tb testing.TB, name string, status int, headers http.Header, body string) {
	tb.Helper()
	var problem struct {
		Type, Title, Detail string
		Status              int
	}
	err := json.Unmarshal([]byte(body), &problem)
	if err != nil || problem.Status != status || problem.Title != http.StatusText(status) || problem.Type != "about:blank" ||
		problem.Detail == "" {
		tb.Errorf("%s: %s, %v", name, body, err)
	}
	if headers.Get("Content-Type") != "application/problem+json" || headers.Get("Cache-Control") != "no-store" {
		tb.Errorf("%s: %v", name, headers)
	}
}
