package burnkey_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Some programs must not link these packages, or any below them, even indirectly.
var (
	servers = []string{
		"github.com/labstack/echo", "github.com/danielgtaylor/huma", module + "/store", module + "/authz", module + "/publish",
	}
	protocols = []string{"google.golang.org", "github.com/envoyproxy"}
	databases = []string{"github.com/jackc/pgx", "modernc.org/sqlite"}
	metrics   = []string{"github.com/prometheus"}
	otel      = []string{"go.opentelemetry.io"}
	jwx       = []string{"github.com/lestrrat-go"}
)

// TestLinks checks what is linked by programs that verify tokens, that decide about requests within Envoy, or
// that manage a server.
func TestLinks(t *testing.T) {
	for program, test := range map[string]struct {
		uses      string
		forbidden []string
	}{
		"jwks/testdata/verify": {
			"jwks", slices.Concat(servers, protocols, databases, metrics, otel, jwx, []string{module + "/gateway", module + "/client"}),
		},
		"gateway": {"gateway", slices.Concat(servers, protocols, databases, metrics, otel, jwx)},
		"client":  {"client", slices.Concat(servers, protocols, databases, metrics, otel, jwx)},
	} {
		text, err := exec.Command("go", "list", "-deps", "./"+program).CombinedOutput()
		linked := strings.Fields(string(text))
		if err != nil || !slices.Contains(linked, module+"/"+test.uses) {
			t.Errorf("%s: not a list of its packages: %v\n%.1000s", program, err, text)
		}
		for _, path := range linked {
			for _, forbidden := range test.forbidden {
				if path == forbidden || strings.HasPrefix(path, forbidden+"/") {
					t.Errorf("%s links %s", program, path)
				}
			}
		}
	}
}
