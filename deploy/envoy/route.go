package envoy

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// MaxRoutes is the maximum number of Routes: Envoy compares a request with one after the other.
const MaxRoutes = 1000

// A Route is a part of the API, with its requirements. Exactly one of Path, Prefix and Template is set.
type Route struct {
	// Path is a whole path. A Prefix also matches everything below: /v1 matches /v1 and /v1/tiles, but not /v10.
	Path   string `yaml:"path"`
	Prefix string `yaml:"prefix"`
	// Template is a path with variables such as {id}, each for one segment or a part of it.
	Template string `yaml:"path_template"`
	// Methods of the route. GET includes HEAD. If empty, the route is for all methods.
	Methods Words `yaml:"methods"`

	// Open lets requests pass without a key. The API learns nothing about a key that they have.
	Open bool `yaml:"open"`
	// Scopes are all required, and one of Audiences.
	Scopes    Words `yaml:"scopes"`
	Audiences Words `yaml:"audience"`
	// Require is RequireKey (the default), RequireUser, RequireBoth or RequireEither. All but the first need UserIssuer.
	Require string `yaml:"require"`
	// Name is the route's name in limits.
	Name string `yaml:"route"`

	// Timeout is that of the whole answer, and IdleTimeout that of a silent one. They replace those of Edge. Stream takes off
	// the former, and the limit of bodies unless MaxBody is set, for answers and requests that go on.
	Timeout     Span `yaml:"timeout"`
	IdleTimeout Span `yaml:"idle_timeout"`
	Stream      bool `yaml:"stream"`
	// WebSocket allows the upgrade.
	WebSocket bool `yaml:"websocket"`
	// MaxBody is the largest body of a request, such as 1MiB.
	MaxBody string `yaml:"max_body"`
}

var (
	methodName = regexp.MustCompile(`^[A-Z]{1,32}$`)
	scopeName  = regexp.MustCompile(`^[!#-+\--\[\]-~]{1,255}$`) // without a comma, unlike authz.ScopePattern
)

// pattern returns the route's path, and the name of the field that has it.
func (r Route) pattern() (field, text string) {
	switch {
	case r.Path != "":
		return "path", r.Path
	case r.Prefix != "":
		return "prefix", r.Prefix
	}
	return "path_template", r.Template
}

// String describes the route as in an error or a comment: by its path or, if that is missing, by what it has.
func (r Route) String() string {
	_, text := r.pattern()
	if text == "" {
		return r.members()
	}
	if r.Prefix != "" {
		text = strings.TrimRight(text, "/") + "/*"
	}
	return strings.TrimLeft(strings.Join(r.Methods, ",")+" "+text, " ")
}

// members lists some members of a route without a path.
func (r Route) members() string {
	var all []string
	for _, m := range []struct{ name, value string }{
		{"methods", strings.Join(r.Methods, " ")},
		{"scopes", strings.Join(r.Scopes, " ")},
		{"audience", strings.Join(r.Audiences, " ")},
		{"require", r.Require},
		{"route", r.Name},
		{"max_body", r.MaxBody},
	} {
		if m.value != "" {
			all = append(all, m.name+": "+m.value)
		}
	}
	if r.Open {
		all = append(all, "open: true")
	}
	return cmp.Or(strings.Join(all, ", "), "without a path")
}

// Requires reports whether the route requires more than a valid key.
func (r Route) Requires() bool { return len(r.Scopes)+len(r.Audiences) > 0 }

// check returns what is wrong with the route. It replaces methods by their names in capitals.
func (r *Route) check() error {
	if err := r.checkPattern(); err != nil {
		return err
	}
	r.Methods = slices.Clone(r.Methods)
	for i, m := range r.Methods {
		r.Methods[i] = strings.ToUpper(m)
		if !methodName.MatchString(r.Methods[i]) {
			return fmt.Errorf("methods: must be names such as GET, not %q", m)
		}
	}
	return r.checkRequirements()
}

func (r *Route) checkRequirements() error {
	for _, s := range r.Scopes {
		if !scopeName.MatchString(s) {
			return fmt.Errorf("scopes: must be 1 to 255 ASCII characters without space, comma, quotation mark or backslash, not %q", s)
		}
	}
	for _, a := range r.Audiences {
		if !isAudience(a) {
			return fmt.Errorf("audience: must be %s, not %q", audienceRule, a)
		}
	}
	switch {
	case r.Name != "" && !workspaceID.MatchString(r.Name):
		return fmt.Errorf("route: must match %s, which %q does not", workspaceID, r.Name)
	case r.Open && (r.Requires() || r.Name != "" || r.Require != ""):
		return fmt.Errorf("open: cannot be combined with scopes, audience, require or route")
	case !slices.Contains([]string{"", RequireKey, RequireUser, RequireBoth, RequireEither}, r.Require):
		return fmt.Errorf("require: must be key, user, both or either, not %q", r.Require)
	case r.Requires() && !r.needsKey():
		return fmt.Errorf("require: must be key or both with scopes or audience, which are those of keys")
	case r.Open && r.Prefix != "" && strings.Trim(r.Prefix, "/") == "":
		return fmt.Errorf("open: must not be the whole API")
	}
	return r.checkTraffic()
}

// overlaps reports whether both routes have a method. They must have the same pattern.
func (r Route) overlaps(other Route) bool {
	if len(r.Methods) == 0 || len(other.Methods) == 0 {
		return len(r.Methods) == len(other.Methods)
	}
	have := r.allMethods()
	return slices.ContainsFunc(other.allMethods(), func(m string) bool { return slices.Contains(have, m) })
}

// allMethods returns the methods with HEAD, which APIs answer by what they have for GET.
func (r Route) allMethods() []string {
	if slices.Contains(r.Methods, "GET") && !slices.Contains(r.Methods, "HEAD") {
		return append(slices.Clone(r.Methods), "HEAD")
	}
	return r.Methods
}
