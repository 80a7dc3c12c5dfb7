package jwks_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestLinks checks what a program links that only verifies tokens.
func TestLinks(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "./testdata/verify").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, "github.com/burnkey/burnkey/jwks") {
		t.Fatalf("the program does not use jwks: %q", deps)
	}
	const ours = "github.com/burnkey/burnkey/"
	for _, dep := range deps {
		for _, forbidden := range []string{
			"github.com/lestrrat-go", "github.com/labstack", "github.com/danielgtaylor", "google.golang.org", "github.com/envoyproxy",
			"github.com/prometheus", ours + "publish", ours + "store", ours + "authz", ours + "gateway",
		} {
			if dep == forbidden || strings.HasPrefix(dep, forbidden+"/") {
				t.Errorf("it links %s", dep)
			}
		}
	}
}
