package doctor

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/burnkey/burnkey/jwks"
)

// shape is what every token of Burnkey begins with, up to the kid.
const shape = "eyJhbGciOiJSUzI1NiIsImtpZCI6I"

// chain is what an HTTP connection manager does with a request before it reaches the API.
type chain struct {
	manager object
	name    string // for findings
	check   string // name of the filter that checks tokens: jwt_authn with a set of Burnkey, or ext_authz; "" without one
	jwt     object // configuration of that filter, if it is jwt_authn
	guard   string // name of a later RBAC filter that refuses what the check did not accept, or ""
	users   users
	// settings apply to a route without its own: the list of filters can disable a filter.
	settings settings
}

// setting is what a route says about a filter, and where.
type setting struct {
	config object
	at     string
	broad  bool // applies to more than one path
}

// settings are by the name of the filter.
type settings map[string]setting

// checkChains judges each HTTP connection manager by itself, since each is a way to the API.
func (v *envoyExam) checkChains(dump any) {
	extensions, routes := map[string]object{}, map[string]object{}
	var managers []object
	each(dump, func(o object) {
		switch {
		case o.is("TypedExtensionConfig"):
			extensions[o.text("name")] = o.object("typed_config")
		case o.is("RouteConfiguration"):
			routes[o.text("name")] = o
		case o.is("HttpConnectionManager"):
			managers = append(managers, o)
		}
	})
	var open []string
	checked := false
	for _, manager := range managers {
		c := v.read(manager, extensions)
		table := manager.object("route_config")
		if table == nil {
			table = routes[manager.object("rds").text("route_config_name")]
		}
		switch {
		case c.check != "":
			if v.checkRules(c) {
				checked = true
			}
			v.checkRoutes(c, table)
		case forwards(table):
			open = append(open, c.name)
		}
	}
	severity := Error
	if checked {
		severity = Warning
	}
	for _, name := range open {
		v.onceAs(severity, "unprotected", name+" has no jwt_authn provider with a set of Burnkey, and no ext_authz filter.")
	}
	if len(managers) == 0 {
		v.once("unprotected", "It has no jwt_authn provider with a set of Burnkey, and no ext_authz filter.")
	}
}

// read finds the filters that matter. It also checks that tokens of the wrong form are refused before jwt_authn sees them,
// and that there is a local_reply_config.
func (v *envoyExam) read(manager object, extensions map[string]object) *chain {
	c := &chain{manager: manager, name: "The listener " + manager.text("stat_prefix"), settings: settings{}}
	shaped := false
	for _, filter := range manager.objects("http_filters") {
		name, config := filter.text("name"), object(filter.object("typed_config"))
		if filter.has("config_discovery") {
			config = extensions[name]
		}
		if filter.on("disabled") {
			c.settings[name] = setting{object{"disabled": true}, "The list of filters of " + manager.text("stat_prefix"), true}
		}
		if config.is("RBAC") {
			text, _ := json.Marshal(config)
			shaped = shaped || strings.Contains(string(text), shape)
			if c.check != "" && c.guards(config) {
				c.guard = name
			}
			c.users.add(name, config)
			continue
		}
		each(map[string]any(config), func(inner object) { // it can be inside a match_delegate
			switch {
			case inner.is("ExtAuthz") && c.check == "":
				c.check = name
			case inner.is("JwtAuthentication") && len(ours(inner)) > 0 && c.jwt == nil:
				c.check, c.jwt = name, inner
			case inner.is("JwtAuthentication") && len(ours(inner)) == 0:
				c.users = users{name, inner, map[string]object{}}
			}
		})
		if c.jwt != nil && c.check == name {
			if !shaped {
				v.once("shape_filter", "No RBAC filter before jwt_authn admits only tokens of Burnkey's form.")
			}
			if manager.object("local_reply_config") == nil {
				v.once("local_reply", c.name+" has no local_reply_config.")
			}
		}
	}
	return c
}

// guards reports whether an RBAC filter refuses every request without the metadata that the check leaves on success.
func (c *chain) guards(rbac object) bool { return refusesWithout(rbac, c.leaves) }

// leaves reports whether only a successful check makes the metadata match.
func (c *chain) leaves(matcher object) bool {
	path, value := pathOf(matcher), matcher.object("value")
	if c.jwt == nil {
		return strings.HasSuffix(matcher.text("filter"), "ext_authz") && slices.Equal(path, []string{"workspace"}) && value.on("present_match")
	}
	match := value.object("string_match")
	if !strings.HasSuffix(matcher.text("filter"), "jwt_authn") || len(path) != 2 || path[1] != "iss" ||
		!strings.Contains(match.text("prefix")+match.text("exact"), jwks.IssuerPath) {
		return false
	}
	for _, provider := range ours(c.jwt) {
		if provider.text("payload_in_metadata") == path[0] {
			return true
		}
	}
	return false
}

// checkRules reports whether a request needs a valid token according to the rules of jwt_authn. It adds a finding if not.
func (v *envoyExam) checkRules(c *chain) bool {
	if c.jwt == nil {
		return true
	}
	required, lax := false, "" // lax: why a request passes
	named := c.jwt.object("requirement_map")
	judge := func(requirement object) {
		providers, missing := c.requirement(requirement)
		required = required || providers && missing == ""
		if missing != "" {
			lax = missing
		}
	}
	rules := c.jwt.objects("rules")
	for _, rule := range rules {
		if name := rule.text("requirement_name"); name == "" {
			judge(rule.object("requires"))
		}
	}
	states := c.jwt.object("filter_state_rules").object("requires")
	for _, values := range []object{named, states} {
		for _, value := range values {
			inner, _ := value.(map[string]any)
			judge(inner)
		}
	}
	switch {
	case len(rules) == 0 && len(states) == 0 && len(named) == 0 && c.guard != "":
		v.onceAs(Warning, "unprotected", fmt.Sprintf("The filter %s of %s has no rules. Its RBAC filter %s refuses every request.",
			c.check, c.manager.text("stat_prefix"), c.guard))
	case len(rules) == 0 && len(states) == 0 && len(named) == 0:
		v.once("unprotected", fmt.Sprintf("The filter %s of %s has no rules.", c.check, c.manager.text("stat_prefix")))
		return false
	case c.guard != "": // a token is needed after all
	case lax != "":
		v.once("unprotected", fmt.Sprintf("A requirement of the filter %s of %s has %s.", c.check, c.manager.text("stat_prefix"), lax))
		return false
	case !required:
		v.once("unprotected", fmt.Sprintf("No rule of the filter %s of %s requires a provider with a set of Burnkey.",
			c.check, c.manager.text("stat_prefix")))
		return false
	}
	return true
}

// requirement returns whether a requirement of jwt_authn names a provider with a set of Burnkey, and the name of the member
// that lets requests without a valid token pass.
func (c *chain) requirement(requirement object) (provider bool, missing string) {
	providers := ours(c.jwt)
	each(map[string]any(requirement), func(o object) {
		if _, is := providers[o.text("provider_name")]; is {
			provider = true
		}
		for _, name := range []string{"allow_missing", "allow_missing_or_failed"} {
			if o.has(name) {
				missing = name
			}
		}
	})
	return provider, missing
}

// forwards reports whether a request can reach an upstream by a route table. A listener that only redirects to HTTPS needs
// no check. An unknown table may forward.
func forwards(table object) bool {
	if table == nil {
		return true
	}
	for _, host := range table.objects("virtual_hosts") {
		if host.has("matcher") || slices.ContainsFunc(host.objects("routes"), toUpstream) {
			return true
		}
	}
	return table.has("vhds")
}

func toUpstream(route object) bool {
	return !route.has("redirect") && !route.has("direct_response")
}

// checkRoutes reports routes for which the check is disabled.
func (v *envoyExam) checkRoutes(c *chain, table object) {
	of := c.settings.with(table, "The route table of "+c.manager.text("stat_prefix"), true)
	hosts := table.objects("virtual_hosts")
	if len(hosts) == 0 {
		v.checkRoute(c, of)
	}
	for _, host := range hosts {
		ofHost := of.with(host, "The virtual host "+host.text("name"), true)
		for _, route := range host.objects("routes") {
			if !toUpstream(route) {
				continue
			}
			match, _ := json.Marshal(route.object("match"))
			at := fmt.Sprintf("The route %s of the virtual host %s", match, host.text("name"))
			ofRoute := ofHost.with(route, at, route.object("match").text("prefix") == "/")
			v.checkRoute(c, ofRoute)
			for _, cluster := range object(route.object("route")).object("weighted_clusters").objects("clusters") {
				v.checkRoute(c, ofRoute.with(cluster, at, true))
			}
		}
	}
}

// with returns the settings that apply below one level of a route table.
func (s settings) with(level object, at string, broad bool) settings {
	own := level.object("typed_per_filter_config")
	if len(own) == 0 {
		return s
	}
	merged := maps.Clone(s)
	for name, value := range own {
		inner, _ := value.(map[string]any)
		merged[name] = setting{inner, at, broad}
	}
	return merged
}

// checkRoute judges a route by the settings that apply to it.
func (v *envoyExam) checkRoute(c *chain, s settings) {
	off := s[c.check]
	guard := s[c.guard]
	guarded := c.guard != "" && !disabled(guard.config) && !(guard.config.is("RBACPerRoute") && !c.guards(guard.config.object("rbac")))
	switch {
	case !disabled(off.config):
		if c.guard != "" && !guarded && c.lax() {
			v.once("unprotected", guard.at+" disables the filter "+c.guard+", and the rules of "+c.check+" let requests without a token pass.")
		}
	case c.users.guard(s): // a user replaces the key
	case guarded:
		v.onceAs(Warning, "unprotected", off.at+" disables the filter "+c.check+". The RBAC filter "+c.guard+" refuses its requests.")
	case off.broad:
		v.once("unprotected", off.at+" disables the filter "+c.check+".")
	default: // an exception, such as a health check
		v.onceAs(Warning, "unprotected", off.at+" disables the filter "+c.check+".")
	}
}

// lax reports whether the rules of jwt_authn let some requests without a token pass.
func (c *chain) lax() bool {
	if c.jwt == nil {
		return false
	}
	_, missing := c.requirement(object{"rules": c.jwt["rules"], "map": c.jwt["requirement_map"]})
	return missing != "" || len(c.jwt.list("rules")) == 0
}

// disabled reports whether a setting turns a filter off.
func disabled(config object) bool {
	return config.on("disabled") || config.is("FilterConfig") && disabled(config.object("config"))
}
