package gateway

import (
	"os"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/jwks"
)

// TestDocumented checks that the operator's page and that of all refusals explain each one.
func TestDocumented(t *testing.T) {
	service, err := os.ReadFile("../docs/howto/gateways/gateway-service.md")
	check(t, err)
	all, err := os.ReadFile("../docs/reference/refusals.md")
	check(t, err)
	for _, c := range jwks.RefusalCodes() {
		if !strings.Contains(string(service), "`"+c.Code+"`") {
			t.Errorf("the page of the service does not explain %s", c.Code)
		}
		if !strings.Contains(string(all), "\n## "+c.Title+" {#"+c.Code+"}\n") {
			t.Errorf("the page of refusals has no heading %s {#%s}", c.Title, c.Code)
		}
	}
}
