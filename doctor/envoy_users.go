package doctor

import (
	"slices"
	"strings"
)

// users is the filter that verifies the tokens of users, which replace keys on some routes (require: user or either).
type users struct {
	name   string
	jwt    object            // configuration of the filter, or nil
	guards map[string]object // the RBAC filters after it, by name
}

func (u *users) add(rbac string, config object) {
	if u.jwt != nil {
		u.guards[rbac] = config
	}
}

// guard reports whether the settings of a route refuse every request without a user's token.
func (u *users) guard(s settings) bool {
	if u.jwt == nil || disabled(s[u.name].config) {
		return false
	}
	for name, config := range u.guards {
		of := s[name].config
		if of.is("RBACPerRoute") {
			config = of.object("rbac")
		}
		if !disabled(of) && refusesWithout(config, u.leaves) {
			return true
		}
	}
	return false
}

// leaves reports whether only a verified token makes the metadata match.
func (u *users) leaves(matcher object) bool {
	path, value := pathOf(matcher), matcher.object("value")
	match := value.object("string_match")
	present := value.on("present_match") || match.text("exact")+match.text("prefix") != "" || match.object("safe_regex").text("regex") == ".+"
	if !present || !strings.HasSuffix(matcher.text("filter"), "jwt_authn") || len(path) == 0 {
		return false
	}
	for _, value := range u.jwt.object("providers") {
		inner, _ := value.(map[string]any)
		if provider := object(inner); provider.text("issuer") != "" && provider.text("payload_in_metadata") == path[0] {
			return true
		}
	}
	return false
}

// refusesWithout reports whether an RBAC filter refuses every request without metadata that leaves accepts.
func refusesWithout(rbac object, leaves func(matcher object) bool) bool {
	rules := rbac.object("rules")
	if rules.text("action") != "DENY" {
		return false
	}
	for _, value := range rules.object("policies") {
		inner, _ := value.(map[string]any)
		policy := object(inner)
		every := slices.ContainsFunc(policy.objects("permissions"), func(p object) bool { return p.on("any") })
		if !every || policy.has("condition") || policy.has("checked_condition") {
			continue
		}
		if slices.ContainsFunc(policy.objects("principals"), func(p object) bool {
			m := p.object("not_id").object("sourced_metadata").object("metadata_matcher")
			return m != nil && !m.on("invert") && leaves(m)
		}) {
			return true
		}
	}
	return false
}

// pathOf returns the path of a matcher for metadata.
func pathOf(matcher object) (path []string) {
	for _, segment := range matcher.objects("path") {
		path = append(path, segment.text("key"))
	}
	return path
}
