package burnkey_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Packages, with all below them, that some programs must not link, not even by way of other packages.
var (
	servers = []string{
		"github.com/labstack/echo", "github.com/danielgtaylor/huma", module + "/store", module + "/authz", module + "/publish",
	}
	protocols = []string{"google.golang.org", "github.com/envoyproxy"}
	databases = []string{"github.com/jackc/pgx", "modernc.org/sqlite"}
	metrics   = []string{"github.com/prometheus"}
	jwx       = []string{"github.com/lestrrat-go"}
)

// TestLinks lists the packages of programs that check tokens, that decide on requests like a module inside Envoy, and that
// manage a server.
func TestLinks(t *testing.T) {
	for program, test := range map[string]struct {
		uses      string
		forbidden []string
	}{
		"jwks/testdata/verify": {
			"jwks", slices.Concat(servers, protocols, databases, metrics, jwx, []string{module + "/gateway", module + "/client"}),
		},
		"gateway": {"gateway", slices.Concat(servers, protocols, databases, metrics, jwx)},
		"client":  {"client", slices.Concat(servers, protocols, databases, metrics, jwx)},
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
