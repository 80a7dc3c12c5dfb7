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

// templates are parsed on first use, since minting processes run the same program without them.
var templates = sync.OnceValue(parseTemplates)

// untrusted are request headers that some frameworks obey instead of the method or path that the gateway checked.
var untrusted = []string{
	"x-http-method", "x-http-method-override", "x-method-override",
	"x-original-url", "x-rewrite-url",
}

// refused is a CEL expression: one of our two RBAC filters, identified by its policy, refused the request.
const refused = `response.code_details in ['rbac_access_denied_matched_policy[burnkey-no-token]', ` +
	`'rbac_access_denied_matched_policy[burnkey-unverified]']`

func parseTemplates() *template.Template {
	t := template.New("")
	t.Funcs(template.FuncMap{
		"q":       quote,
		"indent":  indent,
		"comment": func(s string) string { return "#   " + strings.ReplaceAll(s, "\n", "\n#   ") },
		"join":    func(list []string) string { return strings.Join(list, ",") },
		"render": func(name string, data any) (string, error) {
			var b strings.Builder
			err := t.ExecuteTemplate(&b, name, data)
			return strings.TrimRight(b.String(), "\n"), err
		},
	})
	return template.Must(t.ParseFS(templateFiles, "templates/*.tmpl"))
}

// quote returns a JSON value, which is valid YAML for any text.
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

// view is the data of the templates: Config with defaults, and with addresses parsed.
type view struct {
	Config
	Providers     []provider
	ByIssuer      bool
	IssuerPrefix  string
	Interval      string
	CacheDuration string
	CacheSeconds  int

	Shape     string
	Refused   string // CEL: one of our two RBAC filters refused the request
	Untrusted []string
	Methods   []string // of an OpenAPI 2.0 path

	Filters, Cluster string // the names of their templates

	Gateway          *endpoints // nil: Envoy fetches the key sets
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
		Shape: bearerShape, Refused: refused, Untrusted: untrusted,
		Methods: []string{"get", "put", "post", "delete", "options", "head", "patch"},
	}
	if len(c.Gateways) > 0 {
		all, err := parseGateways(c.Gateways)
		v.Gateway, v.Filters, v.Cluster = &all, "gateway_filters.tmpl", "gateway_cluster.tmpl"
		v.Shape = anyBearerShape
		return v, err
	}
	v.Filters, v.Cluster = "http_filters.tmpl", "jwks_cluster.tmpl"
	for _, w := range c.Workspaces {
		v.Providers = append(v.Providers, provider{Name: w, Issuer: c.Issuer(w), JWKS: c.JWKS(w)})
	}
	var err error
	v.Server, v.TLS, err = serverAddress(c.Server)
	return v, err
}

// cacheDuration returns the setting for an interval between fetches: Envoy fetches 5 s before a longer one ends.
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

// Bootstrap writes a complete configuration of Envoy. It needs Listen and Upstream.
func Bootstrap(w io.Writer, c Config) error {
	v, err := newView(c)
	if err == nil {
		err = v.addresses(c, true)
	}
	return execute(w, "bootstrap.tmpl", v, err)
}

// Filter writes only the HTTP filters and the cluster, for an existing bootstrap. It does not need Listen and Upstream.
func Filter(w io.Writer, c Config) error {
	v, err := newView(c)
	return execute(w, "filter.tmpl", v, err)
}

// ESPv2 writes an OpenAPI 2.0 document for ESPv2. Its first comment lists the flags that it requires. It needs Upstream,
// and does not support Gateways.
func ESPv2(w io.Writer, c Config) error {
	if len(c.Gateways) > 0 {
		return fieldError("format", "espv2 cannot be combined with --mode gateway: ESPv2 has no ext_authz")
	}
	v, err := newView(c)
	if err == nil {
		err = v.addresses(c, false)
	}
	return execute(w, "espv2.tmpl", v, err)
}

// execute renders a template, unless there was an error before.
func execute(w io.Writer, name string, v view, err error) error {
	if err != nil {
		return err
	}
	var b strings.Builder
	if err := templates().ExecuteTemplate(&b, name, v); err != nil {
		return fmt.Errorf("envoy: render %s: %w", name, err)
	}
	_, err = io.WriteString(w, b.String())
	return err
}
