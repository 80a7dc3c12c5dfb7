package authz

import (
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

func (e *InputError) list(field string, values []string, most int, check func(value string)) {
	if len(values) > most {
		e.Add(field, RuleTooMany, "max", most)
		return
	}
	seen := make(map[string]bool, len(values))
	for _, value := range values {
		if seen[value] {
			e.Add(field, RuleDuplicate)
			return
		}
		seen[value] = true
		before := len(*e)
		if check(value); len(*e) > before {
			return
		}
	}
}

func (e *InputError) audiences(field string, values []string) {
	e.list(field, values, MaxAudiences, func(value string) { e.text(field, value, 1) })
}

// scopes checks scope-tokens (RFC 6749 section 3.3).
func (e *InputError) scopes(field string, values []string) {
	e.list(field, values, MaxScopes, func(value string) {
		if value == "" || len(value) > MaxScope {
			e.Add(field, RuleScopeLength, "max", MaxScope)
			return
		}
		for _, c := range []byte(value) {
			if c <= ' ' || c > '~' || c == '"' || c == '\\' {
				e.Add(field, RuleScopeCharacters)
				return
			}
		}
	})
}

// among checks that all of the audiences are audiences of the workspace.
func (e *InputError) among(field string, w *store.Workspace, audiences []string) {
	for _, aud := range audiences {
		if !slices.Contains(w.Audiences, aud) {
			e.Add(field, RuleUnknownAudience)
			return
		}
	}
}

// OffersScope reports whether a workspace's keys may have a scope.
func OffersScope(w *store.Workspace, scope string) bool {
	return len(w.Policy.Scopes) == 0 || slices.ContainsFunc(w.Policy.Scopes, func(o store.OfferedScope) bool { return o.Name == scope })
}

func (e *InputError) offered(field string, w *store.Workspace, scopes []string) {
	for _, scope := range scopes {
		if !OffersScope(w, scope) {
			e.Add(field, RuleScopeNotOffered)
			return
		}
	}
}

// object checks a JSON object and returns it without white space; {} for an absent one.
func (e *InputError) object(field string, value []byte, most int) jsontext.Value {
	if len(value) == 0 {
		return jsontext.Value("{}")
	}
	v := jsontext.Value(value).Clone()
	if err := v.Compact(); err != nil || v.Kind() != '{' || !v.IsValid() {
		e.Add(field, RuleNotObject)
		return nil
	}
	if len(v) > most {
		e.Add(field, RuleTooLarge, "max", most)
		return nil
	}
	return v
}

// depth refuses JSON that is nested deeper than jwks.MaxDepth.
func (e *InputError) depth(field string, value []byte) {
	if _, deep := jwks.TooDeep(value, MaxDepth); deep {
		e.Add(field, RuleTooDeep, "max", MaxDepth)
	}
}

func (e *InputError) claims(value []byte) jsontext.Value {
	v := e.object("claims", value, MaxClaims)
	if v == nil {
		return nil
	}
	var members map[string]jsontext.Value
	if err := json.Unmarshal(v, &members); err != nil {
		e.Add("claims", RuleNotObject)
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		// Of names that differ only in case, many JSON libraries use the last: such a claim must not override a
		// registered claim.
		if same := folded(name); jwks.Reserved(same) && !reservedLater(same) {
			e.Add("claims."+name, RuleReservedClaim)
		}
	}
	return v
}

// folded returns the same text for all names that differ only in case.
func folded(name string) string { return strings.ToLower(strings.ToUpper(name)) }

// reservedLater reports whether older keys can have a reserved name as a custom claim.
func reservedLater(name string) bool { return name == jwks.RateLimitClaim || ofAccessTokens(name) }

// ofAccessTokens reports whether a custom claim of an older key would have a meaning in an access token.
func ofAccessTokens(name string) bool {
	switch name {
	case "key_id", "key_kid", "key_imported", "act":
		return true
	}
	return false
}

// noClaims refuses custom claims by their folded names.
func (e *InputError) noClaims(claims []byte, refused func(name string) bool) {
	var members map[string]jsontext.Value
	if json.Unmarshal(claims, &members) != nil {
		return // claims refused it
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if refused(folded(name)) {
			e.Add("claims."+name, RuleReservedClaim)
		}
	}
}

// withRateLimit adds the limit of a plan to custom claims, instead of a claim with this name.
func withRateLimit(claims []byte, limit *rateLimit) ([]byte, error) {
	if limit == nil {
		return claims, nil
	}
	var members map[string]jsontext.Value
	if err := json.Unmarshal(claims, &members); err != nil {
		return nil, err
	}
	text, err := json.Marshal(limit)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(members, func(name string, _ jsontext.Value) bool { return folded(name) == jwks.RateLimitClaim })
	members[jwks.RateLimitClaim] = text
	return json.Marshal(members, json.Deterministic(true))
}
