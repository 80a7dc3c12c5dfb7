package burnkey_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/burnkey/burnkey"

// An arrow lists what one package can import. Paths within this module are relative to the module; "*" stands
// for all of them. The package's tests can also import tests and the test kit. Neither can import external
// packages in forbidden, or packages below those.
type arrow struct {
	imports   []string
	tests     []string
	forbidden []string
}

// These packages would tie the domain to one kind of caller, such as HTTP.
var http = []string{"net/http", "github.com/labstack/echo", "github.com/danielgtaylor/huma"}

// The gateway's decision is independent of the protocols that these packages implement or link.
var protobuf = []string{"google.golang.org/grpc", "google.golang.org/protobuf", "github.com/envoyproxy", "github.com/prometheus"}

// arrows is the layout: jwks ← store ← publish ← authz ← authz/{api,portal} ← cmd. It must list every package.
// Before you add one, consider which packages should import it.
var arrows = map[string]arrow{
	".":    {},
	"jwks": {imports: []string{"jwks/internal/slots", "jwks/internal/sse"}, tests: []string{"publish"}},

	"jwks/internal/slots": {forbidden: http},
	"jwks/internal/sse":   {forbidden: http},

	"publish": {
		imports: []string{"jwks", "store", "internal/logs", "internal/loop"}, tests: []string{"store/sqlite", "store/storetest"},
	},
	"store": {imports: []string{"jwks"}},
	"authz": {
		imports: []string{
			"jwks", "store", "publish", "authz/mint", "authz/sign", "authz/sign/shift", "authz/turns", "internal/logs", "internal/loop",
			"internal/pace", "internal/spans",
		},
		tests: []string{"store/sqlite", "store/storetest"}, forbidden: http,
	},
	"cmd/burnkey": {imports: []string{"*"}},
	"e2e":         {tests: []string{"*"}},

	"store/internal/rows": {imports: []string{"jwks", "store"}, forbidden: []string{"github.com/jackc", "modernc.org"}},
	"store/storetest":     {imports: []string{"jwks", "store", "store/internal/rows"}},
	"store/sqlite": {
		imports: []string{"jwks", "store", "store/internal/rows", "internal/loop", "internal/spans"},
		tests:   []string{"store/storetest"},
	},
	"store/postgres": {
		imports: []string{"jwks", "store", "store/internal/rows", "internal/loop", "internal/spans"},
		tests:   []string{"store/storetest", "store/postgres/pgtest"},
	},

	"store/postgres/pgtest": {imports: []string{"internal/testkit"}},

	"authz/api/reference": {},
	"docs/reference":      {forbidden: http},

	"authz/turns": {forbidden: append(http, "github.com/prometheus")},
	"authz/mint": {
		imports: []string{"jwks", "authz/mint/burn", "authz/turns", "internal/confined", "internal/logs", "internal/spans"}, forbidden: http,
	},
	"authz/mint/burn":  {imports: []string{"internal/hardened"}, forbidden: append(http, "github.com/prometheus", "os/exec")},
	"authz/sign":       {imports: []string{"jwks", "authz/sign/shift", "internal/confined"}, forbidden: http},
	"authz/sign/shift": {imports: []string{"internal/hardened"}, forbidden: append(http, "github.com/prometheus", "os/exec")},
	"authz/api": {
		imports: []string{
			"jwks", "store", "publish", "authz", "authz/api/reference", "docs/reference", "internal/clientaddr", "internal/logs",
			"internal/traces",
		},
		tests: []string{"authz/mint", "authz/portal/portaltest", "store/sqlite", "store/storetest"},
	},
	"authz/portal": {
		imports: []string{
			"jwks", "store", "publish", "authz", "authz/portal/language", "authz/portal/oidc", "internal/clientaddr",
			"internal/logs", "internal/loop", "internal/outbound", "internal/pace",
		},
		tests: []string{"authz/mint", "authz/api", "authz/portal/portaltest", "store/sqlite", "store/storetest"},
	},

	"authz/portal/language":   {forbidden: http},
	"authz/portal/oidc":       {imports: []string{"jwks", "store", "internal/outbound"}},
	"authz/portal/portaltest": {},

	"client": {
		imports: []string{"jwks", "internal/loop"}, tests: []string{"publish", "authz", "authz/api", "authz/mint", "store/sqlite"},
		forbidden: []string{"github.com/labstack/echo", "github.com/danielgtaylor/huma"},
	},
	"doctor": {imports: []string{"client", "jwks", "store", "internal/networks", "internal/outbound"}},
	"gateway": {
		imports:   []string{"jwks", "client", "gateway/limits", "internal/atomicfile", "internal/logs", "internal/loop"},
		tests:     []string{"gateway/gatewaytest", "gateway/limits/redis", "gateway/limits/redis/redistest"},
		forbidden: protobuf,
	},
	"gateway/extauthz": {
		imports: []string{"jwks", "gateway", "internal/spans", "internal/traces"},
		tests:   []string{"gateway/gatewaytest", "deploy/envoy", "deploy/envoy/envoytest", "authz/portal/portaltest"},
	},
	"gateway/httpauth": {
		imports: []string{"jwks", "gateway", "internal/spans", "internal/traces"},
		tests:   []string{"gateway/gatewaytest", "gateway/extauthz"},
	},
	"gateway/limits":      {imports: []string{"jwks", "internal/atomicfile", "internal/loop"}, forbidden: append(http, protobuf...)},
	"gateway/gatewaytest": {imports: []string{"internal/testkit", "jwks", "publish", "store"}},

	"gateway/limits/redis": {
		imports:   []string{"jwks", "gateway/limits", "internal/loop"},
		tests:     []string{"gateway/limits/redis/redistest"},
		forbidden: append(http, protobuf...),
	},
	"gateway/limits/redis/redistest": {imports: []string{"internal/testkit"}},

	"internal/networks":         {forbidden: http},
	"internal/clientaddr":       {imports: []string{"internal/networks"}},
	"internal/outbound":         {imports: []string{"internal/networks"}},
	"internal/atomicfile":       {forbidden: http},
	"internal/traces":           {imports: []string{"internal/logs", "internal/spans"}},
	"internal/logs":             {forbidden: http},
	"internal/loop":             {imports: []string{"internal/logs"}, forbidden: http},
	"internal/pace":             {forbidden: http},
	"internal/testkit":          {},
	"internal/spans":            {forbidden: http},
	"internal/confined":         {imports: []string{"internal/hardened"}, forbidden: http},
	"internal/hardened":         {imports: []string{"internal/undumpable"}, forbidden: append(http, "github.com/prometheus", "os/exec")},
	"internal/undumpable":       {forbidden: append(http, "golang.org/x")},
	"internal/undumpable/early": {imports: []string{"internal/undumpable"}},

	"authz/notice": {imports: []string{"store", "internal/logs", "internal/loop"}, tests: []string{
		"store/sqlite", "store/storetest", "authz/webhook", "internal/outbound",
	}},
	"authz/webhook": {imports: []string{"internal/outbound"}},

	"deploy":                 {tests: []string{"deploy/envoy/envoytest", "internal/testkit"}},
	"deploy/envoy":           {imports: []string{"jwks"}, tests: []string{"deploy/envoy/envoytest"}},
	"deploy/envoy/envoytest": {imports: []string{"internal/testkit"}},
	"benchmarks":             {imports: []string{"*"}},
	"tools/clients/go":       {},
	"tools/clients/k8s":      {},
	"tools/words":            {},
}

// A listing is what one package and its tests import on any platform.
type listing struct {
	path    string
	imports []string
	tests   []string
}

func TestArrows(t *testing.T) {
	packages, err := list(".")
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) < 2 {
		t.Fatalf("found %d packages: nothing was checked", len(packages))
	}
	for _, p := range packages {
		for _, violation := range violations(p) {
			t.Error(violation)
		}
	}
}

// TestArrowsCanFail checks that violations reports each kind of forbidden import, and nothing for allowed
// imports.
func TestArrowsCanFail(t *testing.T) {
	for _, test := range []struct {
		name string
		p    listing
		want string // in the only violation; none if empty
	}{
		{"allowed", listing{"store", []string{"context", "jwks"}, nil}, ""},
		{"allowed in a test", listing{"store/sqlite", []string{"store"}, []string{"store/storetest", "store/sqlite"}}, ""},
		{"allowed by the star", listing{"cmd/burnkey", []string{"authz/api", "net/http"}, nil}, ""},
		{"another package's namesake", listing{"authz", []string{"net/http_not", "net"}, nil}, ""},
		{"upwards", listing{"jwks", []string{"store"}, nil}, "jwks must not import store"},
		{"sideways", listing{"store/sqlite", []string{"store/postgres"}, nil}, "store/sqlite must not import store/postgres"},
		{"the test kit", listing{"store/sqlite", nil, []string{"internal/testkit"}}, ""},
		{"the test kit outside a test", listing{"store/sqlite", []string{"internal/testkit"}, nil}, "must not import internal/testkit"},
		{"a test's import outside a test", listing{"store/sqlite", []string{"store/storetest"}, nil}, "must not import store/storetest"},
		{"upwards in a test", listing{"jwks", nil, []string{"store"}}, "jwks must not import store in its tests"},
		{"HTTP in the domain", listing{"authz", []string{"net/http"}, nil}, "authz must not import net/http"},
		{
			"HTTP below a forbidden path",
			listing{"authz", []string{"github.com/labstack/echo/v4"}, nil},
			"must not import github.com/labstack/echo/v4",
		},
		{"HTTP in the domain's tests", listing{"authz", nil, []string{"net/http/httptest"}}, "must not import net/http/httptest in its tests"},
		{"unknown", listing{"util", nil, nil}, "add it to the table"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := violations(test.p.qualified())
			switch {
			case test.want == "" && len(got) > 0:
				t.Errorf("got %q, want no violation", got)
			case test.want != "" && (len(got) != 1 || !strings.Contains(got[0], test.want)):
				t.Errorf("got %q, want one violation that says %q", got, test.want)
			}
		})
	}
}

// qualified turns short names of this module's packages into import paths.
func (p listing) qualified() listing {
	qualify := func(names []string) []string {
		var paths []string
		for _, name := range names {
			if _, isOurs := arrows[name]; isOurs {
				name = module + "/" + name
			}
			paths = append(paths, name)
		}
		return paths
	}
	return listing{module + "/" + p.path, qualify(p.imports), qualify(p.tests)}
}

// violations returns the imports of p that the table does not allow.
func violations(p listing) []string {
	name, _ := ours(p.path)
	allowed, known := arrows[name]
	if !known {
		return []string{name + " is a new package: add it to the table in arrows_test.go, with what it may import"}
	}
	found := disallowed(name, p.imports, allowed.imports, allowed.forbidden, "")
	mayInTests := slices.Concat(allowed.imports, allowed.tests, []string{name, "internal/testkit"})
	return append(found, disallowed(name, p.tests, mayInTests, allowed.forbidden, " in its tests")...)
}

func disallowed(name string, imports, allowed, forbidden []string, where string) []string {
	var found []string
	for _, path := range imports {
		if imported, isOurs := ours(path); isOurs {
			if !slices.Contains(allowed, imported) && !slices.Contains(allowed, "*") {
				found = append(found, fmt.Sprintf("%s must not import %s%s", name, imported, where))
			}
			continue
		}
		if slices.ContainsFunc(forbidden, func(f string) bool { return path == f || strings.HasPrefix(path, f+"/") }) {
			found = append(found, fmt.Sprintf("%s must not import %s%s", name, path, where))
		}
	}
	return found
}

// ours returns the table's name for a package of this module, and false for other packages.
func ours(path string) (string, bool) {
	if path == module {
		return ".", true
	}
	return strings.CutPrefix(path, module+"/")
}

// list reads the imports of every package below root. It parses the files, since `go list` would leave out
// files for other platforms. The go command also sees that the test reads these files, and repeats the test
// when they change.
func list(root string) ([]listing, error) {
	byDir := map[string]*listing{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (strings.ContainsAny(entry.Name()[:1], "._") || entry.Name() == "testdata"):
			return fs.SkipDir
		case entry.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		if byDir[dir] == nil {
			byDir[dir] = &listing{path: strings.TrimSuffix(module+"/"+dir, "/.")}
		}
		return byDir[dir].add(file, strings.HasSuffix(path, "_test.go"))
	})
	var packages []listing
	for _, dir := range slices.Sorted(maps.Keys(byDir)) {
		packages = append(packages, *byDir[dir])
	}
	return packages, err
}

func (p *listing) add(file *ast.File, isTest bool) error {
	to := &p.imports
	if isTest {
		to = &p.tests
	}
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		if !slices.Contains(*to, path) {
			*to = append(*to, path)
		}
	}
	return nil
}
