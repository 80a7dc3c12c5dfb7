package gateway

import (
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/burnkey/burnkey/jwks"
)

// TestDocumented holds the operator's page to the words of refusals, and to the
// metrics that there are.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../deploy/envoy/README.md")
	check(t, err)
	page := string(text)
	refusals := []*jwks.Refusal{jwks.NoToken, jwks.BadToken, jwks.TooNarrow, jwks.NotNow, misconfigured, otherWorkspace, neverExpires}
	for _, err := range []error{jwks.ErrMalformed, jwks.ErrUnknown, jwks.ErrSignature, jwks.ErrClaims, jwks.ErrIssuer, jwks.ErrAudience, jwks.ErrExpired} {
		refusals = append(refusals, jwks.InvalidToken(err))
	}
	for _, no := range refusals {
		if !strings.Contains(page, "`"+no.Reason+"`") {
			t.Errorf("the page does not say what %s means", no.Reason)
		}
	}

	metrics := prometheus.NewRegistry()
	g, _ := follow(t, func(o *Options) { o.Metrics = metrics })
	ask(t, g, request("GET"))
	families, err := metrics.Gather()
	check(t, err)
	known := map[string]bool{}
	for _, family := range families {
		known[family.GetName()] = true
	}
	for _, part := range strings.Split(page, "`burnkey_gateway")[1:] {
		name := "burnkey_gateway" + part[:strings.IndexAny(part, "`{")]
		if name != "burnkey_gateway" && !known[name] {
			t.Errorf("there is no metric %s", name)
		}
	}
}
