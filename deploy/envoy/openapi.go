package envoy

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// openAPI is the part of an OpenAPI 3 document that says what requests require.
type openAPI struct {
	Servers    []apiServer         `yaml:"servers"`
	Security   security            `yaml:"security"`
	Paths      map[string]pathItem `yaml:"paths"`
	Components struct {
		SecuritySchemes map[string]yaml.Node `yaml:"securitySchemes"`
	} `yaml:"components"`
}

type apiServer struct {
	URL string `yaml:"url"`
}

// security has alternatives, each with schemes that are all required, and their scopes.
type security []map[string][]string

type pathItem struct {
	Ref     string      `yaml:"$ref"`
	Servers []apiServer `yaml:"servers"`
	Get     *operation  `yaml:"get"`
	Put     *operation  `yaml:"put"`
	Post    *operation  `yaml:"post"`
	Delete  *operation  `yaml:"delete"`
	Options *operation  `yaml:"options"`
	Head    *operation  `yaml:"head"`
	Patch   *operation  `yaml:"patch"`
	Trace   *operation  `yaml:"trace"`
	Query   *operation  `yaml:"query"`

	Additional map[string]*operation `yaml:"additionalOperations"`
}

func (p pathItem) operations() map[string]*operation {
	all := map[string]*operation{
		"GET": p.Get, "PUT": p.Put, "POST": p.Post, "DELETE": p.Delete, "OPTIONS": p.Options,
		"HEAD": p.Head, "PATCH": p.Patch, "TRACE": p.Trace, "QUERY": p.Query,
	}
	maps.Copy(all, p.Additional)
	maps.DeleteFunc(all, func(_ string, o *operation) bool { return o == nil })
	return all
}

type operation struct {
	Servers  []apiServer `yaml:"servers"`
	Security *security   `yaml:"security"`
}

// readOpenAPI returns the routes of a document. A requirement that Envoy cannot hold is an error.
func readOpenAPI(text []byte, version, scheme string) ([]Route, error) {
	if !strings.HasPrefix(version, "3.") {
		return nil, fmt.Errorf("openapi: must be 3, not %s", version)
	}
	var doc openAPI
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, inPlainWords(err)
	}
	scheme, err := doc.scheme(scheme)
	if err != nil {
		return nil, err
	}
	bases, err := doc.bases()
	if err != nil {
		return nil, err
	}
	var routes []Route
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		if strings.HasPrefix(path, "x-") {
			continue
		}
		of, err := doc.routes(path, scheme)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		for _, base := range bases {
			for _, r := range of {
				r.setPath(base + path)
				routes = append(routes, r)
			}
		}
	}
	if len(routes) == 0 {
		return nil, errors.New("paths: must have an operation")
	}
	return routes, nil
}

func (r *Route) setPath(path string) {
	if strings.Contains(path, "{") {
		r.Template = path
		return
	}
	r.Path = path
}

// scheme returns the name of the security scheme of keys.
func (d *openAPI) scheme(name string) (string, error) {
	all := slices.Sorted(maps.Keys(d.Components.SecuritySchemes))
	switch {
	case len(all) == 0:
		return "", errors.New("components.securitySchemes: must have the scheme of keys")
	case name == "" && len(all) == 1:
		return all[0], nil
	case name == "":
		return "", fmt.Errorf("has the security schemes %s: --openapi-scheme must name that of keys", strings.Join(all, ", "))
	case !slices.Contains(all, name):
		return "", fmt.Errorf("has no security scheme %q; it has %s", name, strings.Join(all, ", "))
	}
	return name, nil
}

// bases returns the paths of the servers.
func (d *openAPI) bases() (bases []string, err error) {
	for _, s := range d.Servers {
		u, err := url.Parse(s.URL)
		if err != nil || strings.Contains(s.URL, "{") {
			return nil, fmt.Errorf("servers: must have URLs without variables, not %q", s.URL)
		}
		if base := strings.TrimRight(u.Path, "/"); !slices.Contains(bases, base) {
			bases = append(bases, base)
		}
	}
	if len(bases) == 0 {
		bases = []string{""}
	}
	return bases, nil
}

// routes returns those of a path. Methods with the same requirements share one.
func (d *openAPI) routes(path, scheme string) (routes []Route, err error) {
	item := d.Paths[path]
	if item.Ref != "" || len(item.Servers) > 0 {
		return nil, errors.New("$ref and servers of a path are not supported")
	}
	all := item.operations()
	for _, method := range slices.Sorted(maps.Keys(all)) {
		if len(all[method].Servers) > 0 {
			return nil, errors.New(method + ": servers of an operation are not supported")
		}
		r, err := d.requirement(all[method], scheme)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", method, err)
		}
		i := slices.IndexFunc(routes, func(o Route) bool { return o.Open == r.Open && slices.Equal(o.Scopes, r.Scopes) })
		if i < 0 {
			i, routes = len(routes), append(routes, r)
		}
		routes[i].Methods = append(routes[i].Methods, method)
	}
	return routes, nil
}

// requirement returns what an operation requires. An operation without any security of its own or of the document requires
// a valid key, although OpenAPI means none: only security: [] opens it.
func (d *openAPI) requirement(o *operation, scheme string) (r Route, err error) {
	alternatives := d.Security
	if o.Security != nil {
		if alternatives = *o.Security; len(alternatives) == 0 {
			return Route{Open: true}, nil
		}
	}
	for i, a := range alternatives {
		scopes, ok := a[scheme]
		if !ok {
			return r, fmt.Errorf("security: every alternative must require %s", scheme)
		}
		scopes = slices.Sorted(slices.Values(scopes))
		if i > 0 && !slices.Equal(scopes, r.Scopes) {
			return r, fmt.Errorf("security: all alternatives must require the same scopes of %s", scheme)
		}
		r.Scopes = scopes
	}
	return r, nil
}
