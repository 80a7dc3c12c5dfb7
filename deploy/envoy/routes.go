package envoy

import (
	"cmp"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"
)

// allRoutes returns Routes and Open, checked, the most specific first.
func (c Config) allRoutes() ([]Route, error) {
	all, err := parseOpen(c.Open)
	if err != nil {
		return nil, err
	}
	sockets, err := parseWebSockets(c.WebSockets)
	if err != nil {
		return nil, err
	}
	all = append(all, sockets...)
	for i, r := range c.Routes {
		if err := r.check(); err != nil {
			return nil, fieldError("routes", "route %d (%s): %v", i+1, r, err)
		}
		all = append(all, r)
	}
	if len(all) > MaxRoutes {
		return nil, fieldError("routes", "must have at most %d routes, not %d", MaxRoutes, len(all))
	}
	slices.SortStableFunc(all, compareRoutes)
	for i := range all {
		for j := i - 1; j >= 0 && slices.Equal(all[i].ranks(), all[j].ranks()); j-- {
			if all[i].overlaps(all[j]) {
				return nil, fieldError("routes", "%s and %s are the same route: each request must have one route", all[j], all[i])
			}
		}
	}
	return all, nil
}

// parseOpen returns the routes of --open.
func parseOpen(list []string) (routes []Route, err error) {
	for _, text := range list {
		methods, path, ok := strings.Cut(text, " ")
		if !ok {
			methods, path = "GET", text
		}
		r := Route{Path: path, Methods: strings.Split(methods, ","), Open: true}
		if prefix, ok := strings.CutSuffix(path, "/*"); ok {
			r.Path, r.Prefix = "", cmp.Or(prefix, "/")
		}
		if err := r.check(); err != nil {
			return nil, fieldError("open", "must be a path after an optional list of methods, such as GET /healthz, not %q: %v", text, err)
		}
		routes = append(routes, r)
	}
	return routes, nil
}

// routeView is the data of a Route for the templates.
type routeView struct {
	*view // of the whole configuration
	Route
	Path, MethodNames string // expressions
	KeyIn             string // the header that requests must have, if only those with a key have this route
	NeedsUser         bool
	Disabled          []string // names of filters
	// Allow is not empty if all methods but these are refused.
	Allow string
	// Answer is not empty if Envoy itself answers with this JSON.
	Answer string
}

// Audience is an expression for the audiences.
func (r routeView) Audience() string { return alternatives(r.Audiences) }

// HasScope returns an expression for lists of scopes that have one of them.
func (r routeView) HasScope(scope string) string {
	return "(?:.* )?" + alternatives([]string{scope}) + "(?: .*)?"
}

// Extensions returns the route's requirements and name in the form that burnkey gateway reads.
func (r routeView) Extensions() (string, error) {
	return inline("scopes", strings.Join(r.Scopes, " "), "audience", strings.Join(r.Audiences, " "), "route", r.Name)
}

// Metadata are read in mode pull: the name by a limit service, and the scopes by the answer to a key that lacks one.
func (r routeView) Metadata() (string, error) {
	if r.Gateway != nil {
		return "", nil
	}
	return inline("route", r.Name, "scopes", strings.Join(r.Scopes, " "))
}

// inline returns the members of an object whose value is not empty.
func inline(pairs ...string) (string, error) {
	var members []string
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			continue
		}
		value, err := quote(pairs[i+1])
		if err != nil {
			return "", err
		}
		members = append(members, pairs[i]+": "+value)
	}
	return strings.Join(members, ", "), nil
}

// RouteViews are the routes in the order in which Envoy compares them. After the routes of a path that have requirements, there
// is one that refuses all other methods: these would need only a valid key otherwise.
func (v *view) RouteViews() (all []routeView, err error) {
	if v.Resource != "" {
		route, err := v.resourceRoute()
		if err != nil {
			return nil, err
		}
		all = append(all, route)
	}
	for group := range v.samePath() {
		for _, r := range group {
			all = append(all, v.byKey(r)...)
		}
		strict := func(r Route) bool { return r.Requires() || r.needsUser() }
		if i := slices.IndexFunc(group, strict); i >= 0 && len(group[len(group)-1].Methods) > 0 {
			all = append(all, routeView{view: v, Route: group[i], Path: group[i].expression(), Allow: allow(group)})
		}
	}
	return all, nil
}

// HasRequirements reports whether Envoy itself refuses keys that lack what a route requires.
func (v *view) HasRequirements() bool {
	return v.Gateway == nil && slices.ContainsFunc(v.routes, Route.Requires)
}

// samePath yields the routes in groups, one group for each path.
func (v *view) samePath() iter.Seq[[]Route] {
	return func(yield func([]Route) bool) {
		for rest := v.routes; len(rest) > 0; {
			n := slices.IndexFunc(rest, func(r Route) bool { return !slices.Equal(r.ranks(), rest[0].ranks()) })
			if n < 0 {
				n = len(rest)
			}
			if !yield(rest[:n]) {
				return
			}
			rest = rest[n:]
		}
	}
}

// allow returns the methods of routes for the header Allow.
func allow(routes []Route) string {
	var methods []string
	for _, r := range routes {
		methods = append(methods, r.allMethods()...)
	}
	slices.Sort(methods)
	return strings.Join(slices.Compact(methods), ", ")
}

func alternatives(texts []string) string {
	quoted := make([]string, len(texts))
	for i, t := range texts {
		quoted[i] = regexp.QuoteMeta(t)
	}
	return fmt.Sprintf("(?:%s)", strings.Join(quoted, "|"))
}
