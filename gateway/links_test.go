package gateway

import (
	"os/exec"
	"strings"
	"testing"
)

// TestLinks checks that a program that decides by itself, like a module inside Envoy, links
// neither gRPC nor protobuf.
func TestLinks(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	check(t, err)
	list := string(out)
	if !strings.Contains(list, "github.com/burnkey/burnkey/jwks\n") {
		t.Fatalf("not a list of packages:\n%s", list)
	}
	for _, path := range []string{"google.golang.org/grpc", "google.golang.org/protobuf", "github.com/envoyproxy"} {
		if strings.Contains(list, path) {
			t.Errorf("it links %s", path)
		}
	}
}
