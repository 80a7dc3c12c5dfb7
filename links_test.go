package burnkey_test

import (
	"os/exec"
	"strings"
	"testing"
)

// unlinked names modules that must not get into programs which import a package, not even by way of other packages.
var unlinked = map[string][]string{
	"client": {
		"github.com/labstack/echo", "github.com/danielgtaylor/huma", "google.golang.org/grpc", "google.golang.org/protobuf",
		"github.com/jackc/pgx", "modernc.org/sqlite", "github.com/prometheus", "github.com/spf13/cobra",
	},
}

func TestLinks(t *testing.T) {
	for name, modules := range unlinked {
		linked, err := exec.Command("go", "list", "-deps", "./"+name).Output()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(linked), "\nnet/http\n") {
			t.Errorf("%s: the list of packages is incomplete", name)
		}
		for _, module := range modules {
			if strings.Contains("\n"+string(linked), "\n"+module) {
				t.Errorf("a program that imports %s links %s", name, module)
			}
		}
	}
}
