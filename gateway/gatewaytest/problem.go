package gatewaytest

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"github.com/burnkey/burnkey/jwks"
)

// Problem checks that a refusal is a complete problem (RFC 9457) that no cache stores.
func Problem(tb testing.TB, name string, status int, headers http.Header, body string) {
	tb.Helper()
	var problem struct {
		Type, Title, Detail, Code string
		Status                    int
	}
	err := json.Unmarshal([]byte(body), &problem)
	known := jwks.RefusalCode{Code: problem.Code, Status: status, Title: problem.Title}
	if err != nil || problem.Status != status || !slices.Contains(jwks.RefusalCodes(), known) || problem.Detail == "" ||
		problem.Type != PublicURL+jwks.RefusalsPath+"#"+problem.Code {
		tb.Errorf("%s: %s, %v", name, body, err)
	}
	if headers.Get("Content-Type") != "application/problem+json" || headers.Get("Cache-Control") != "no-store" {
		tb.Errorf("%s: %v", name, headers)
	}
}
