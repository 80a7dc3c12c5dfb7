package envoy

import (
	"cmp"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"text/template"
	"time"
)

//go:embed templates/*.tmpl
var templateFiles embed.FS

// templates are parsed on first use, since minting processes run the same program but need no templates.
var templates = sync.OnceValue(parseTemplates)

// untrusted lists request headers that override the method or path in some frameworks. The API could then act
// on another method or path than the gateway checked.
var untrusted = []string{
	"x-http-method", "x-http-method-override", "x-method-override",
	"x-original-url", "x-rewrite-url",
}

// refused is a CEL expression. It is true if one of Burnkey's two RBAC filters, identified by its policy,
// refused the request.
const refused = `response.code_details in ['rbac_access_denied_matched_policy[burnkey-no-token]', ` +
	`'rbac_access_denied_matched_policy[burnkey-unverified]']`

// Names of filters in both modes.
const (
	shapeFilter    = "envoy.filters.http.rbac"
	verifiedFilter = "burnkey.verified"
)

func parseTemplates() *template.Template {
	t := template.New("")
	t.Funcs(template.FuncMap{
		"q":       quote,
		"trim":    strings.TrimSpace,
		"indent":  indent,
		"comment": func(s string) string { return "#   " + strings.ReplaceAll(s, "\n", "\n#   ") },
		"join":    func(list []string) string { return strings.Join(list, ",") },
		"lower":   strings.ToLower,
		"render": func(name string, data any) (string, error) {
			var b strings.Builder
			err := t.ExecuteTemplate(&b, name, data)
			return strings.TrimRight(b.String(), "\n"), err
		},
	})
	return template.Must(t.ParseFS(templateFiles, "templates/*.tmpl"))
}

// quote returns a value as JSON, which is also valid YAML.
func quote(v any) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return strings.TrimSpace(b.String()), err
}

func indent(n int, s string) string {
	pad := strings.Repeat(" ", n)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if l != "" {
			lines[i] = pad + l
		}
	}
	return strings.Join(lines, "\n")
}

// view is the data for the templates: a Config with its defaults and parsed addresses.
type view struct {
	Config
	Providers     []provider
	ByIssuer      bool
	IssuerPrefix  string
	Interval      string
	CacheDuration string
	CacheSeconds  int

	Shapes    []keyShape
	ByScript  bool   // a Lua filter finds the key
	KeyHeader string // into which that filter puts the key
	NoKey     string // CEL: the request has no key
	Required  string // the body of the answer to such a request
	Refused   string // CEL: one of our two RBAC filters refused the request
	Untrusted []string
	Methods   []string // of an OpenAPI 2.0 path

	SignedRules []signedRule
	SignedLimit string // CEL: the limit that the token carries
	MaxCounted  int

	Filters  string   // the name of its template
	KeyCheck []string // the names of the filters that require a key
	Clusters []string // the names of their templates

	routes []Route

	Gateway          *endpoints // nil: Envoy fetches the key sets
	Services         endpoints  // that Envoy asks: Gateways or LimitServices
	Server           address
	TLS              bool
	Listen, Upstream address
	Admin            *address
}

type provider struct{ Name, Issuer, JWKS string }

func newView(c Config) (view, error) {
	if err := c.Validate(); err != nil {
		return view{}, err
	}
	c.CAFile, c.ServiceName = cmp.Or(c.CAFile, DefaultCAFile), cmp.Or(c.ServiceName, DefaultServiceName)
	interval := cmp.Or(c.Cache, DefaultCache)
	cache := cacheDuration(interval)
	v := view{
		Config: c, ByIssuer: len(c.Workspaces) > 1, IssuerPrefix: c.issuerPrefix(),
		Interval: seconds(interval), CacheDuration: seconds(cache), CacheSeconds: int(cache / time.Second),
		KeyHeader: keyHeader, Refused: refused, Untrusted: untrusted,
		Methods:     []string{"get", "put", "post", "delete", "options", "head", "patch"},
		SignedLimit: signedLimit, MaxCounted: maxCounted,
	}
	var err error
	if v.routes, err = c.allRoutes(); err != nil {
		return v, err
	}
	if len(c.Gateways) > 0 {
		all, err := parseGateways(c.Gateways)
		v.Gateway, v.Services, v.Filters, v.Clusters = &all, all, "gateway_filters.tmpl", []string{"gateway_cluster.tmpl"}
		v.KeyCheck = []string{shapeFilter, "envoy.filters.http.ext_authz", verifiedFilter}
		v.setPlaces()
		return v, err
	}
	v.KeyCheck = []string{shapeFilter, "envoy.filters.http.jwt_authn", verifiedFilter}
	v.setPlaces()
	v.Filters, v.Clusters = "http_filters.tmpl", []string{"jwks_cluster.tmpl"}
	if err := v.limits(c); err != nil {
		return v, err
	}
	for _, w := range c.Workspaces {
		v.Providers = append(v.Providers, provider{Name: w, Issuer: c.Issuer(w), JWKS: c.JWKS(w)})
	}
	v.Server, v.TLS, err = serverAddress(c.Server)
	return v, err
}

// limits prepares what mode pull needs for limits.
func (v *view) limits(c Config) (err error) {
	if len(c.LimitServices) > 0 {
		v.Clusters = append(v.Clusters, "gateway_cluster.tmpl")
		v.Services, err = parseGateways(c.LimitServices)
		return err
	}
	v.SignedRules, err = parseSignedLimits(c.SignedLimits)
	return err
}

// cacheDuration returns Envoy's setting for an interval between fetches. Envoy fetches 5 s before the end of a
// cache duration, unless the duration is at most 5 s.
func cacheDuration(interval time.Duration) time.Duration {
	if interval <= 5*time.Second {
		return interval
	}
	return interval + 5*time.Second
}

func seconds(d time.Duration) string { return fmt.Sprintf("%ds", int(d/time.Second)) }

// addresses parses the addresses that a rendering requires.
func (v *view) addresses(c Config, listen bool) (err error) {
	if listen {
		if v.Listen, err = required("listen", c.Listen, true); err != nil {
			return err
		}
	}
	if v.Upstream, err = required("upstream", c.Upstream, false); err != nil {
		return err
	}
	if c.Admin != "" {
		a, err := parseAddress("admin", c.Admin, true)
		v.Admin = &a
		return err
	}
	return nil
}

func required(flag, value string, ipOnly bool) (address, error) {
	if value == "" {
		return address{}, fieldError(flag, "must be given as HOST:PORT")
	}
	return parseAddress(flag, value, ipOnly)
}

// Bootstrap writes a complete Envoy configuration. It requires Listen and Upstream.
func Bootstrap(w io.Writer, c Config) error {
	if err := c.checkNoTargets(); err != nil {
		return err
	}
	v, err := newView(c)
	if err == nil {
		err = v.addresses(c, true)
	}
	return execute(w, "bootstrap.tmpl", &v, err)
}

// Filter writes only the HTTP filters and the cluster, for an existing bootstrap. It does not need Listen and Upstream.
func Filter(w io.Writer, c Config) error {
	if flag := c.listenerFlag(); flag != "" {
		return fieldError(flag, "has no effect with --format filter: it is a setting of your listener, connection manager or cluster")
	}
	if err := c.checkNoTargets(); err != nil {
		return err
	}
	v, err := newView(c)
	return execute(w, "filter.tmpl", &v, err)
}

// ESPv2 writes an OpenAPI 2.0 document for ESPv2, which starts with a comment that lists the required flags. It
// requires Upstream, and does not support Gateways.
func ESPv2(w io.Writer, c Config) error {
	switch {
	case len(c.Gateways) > 0:
		return fieldError("format", "espv2 cannot be combined with --mode gateway: ESPv2 has no ext_authz")
	case c.edgeFlag() != "":
		return fieldError("format", "espv2 cannot be combined with --%s: list paths in the document", c.edgeFlag())
	case len(c.SignedLimits)+len(c.LimitServices) > 0:
		return fieldError("format", "espv2 cannot be combined with --limits: ESPv2 has no filter for them")
	}
	if err := cmp.Or(c.checkNoTargets(), c.checkESPv2Places()); err != nil {
		return err
	}
	v, err := newView(c)
	if err == nil {
		err = v.addresses(c, false)
	}
	return execute(w, "espv2.tmpl", &v, err)
}

// execute renders a template, unless err is already set.
func execute(w io.Writer, name string, data any, err error) error {
	if err != nil {
		return err
	}
	var b strings.Builder
	if err := templates().ExecuteTemplate(&b, name, data); err != nil {
		return fmt.Errorf("envoy: render %s: %w", name, err)
	}
	_, err = io.WriteString(w, b.String())
	return err
}
