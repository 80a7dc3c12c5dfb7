package api

import (
	"cmp"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// limit is what authz allows for a string, a list of strings or a number; zero means unlimited. The schema has
// these limits, so that the document states them and huma checks them before the call.
type limit struct {
	min, max       int // characters
	pattern, words string
	items          int // of a list without duplicates, whose texts have the limits above
	most           float64
}

const keyPattern = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"

// limits has the limits of members by the value of their struct tag "is".
var limits = map[string]limit{
	"workspace": {pattern: jwks.WorkspacePattern},
	"prefix":    {pattern: jwks.PrefixPattern},
	"owner": {
		min: 1, max: authz.MaxText, pattern: authz.OwnerPattern,
		words: "without control characters, line breaks and invisible characters, and without a space at either end",
	},
	"name":    {max: authz.MaxText, pattern: authz.NamePattern, words: "without control characters, line breaks and invisible characters"},
	"text":    {max: authz.MaxText},
	"url":     {max: authz.MaxURL},
	"web URL": {max: authz.MaxURL, pattern: "^(https?://[!-~]+)?$", words: "an http(s) URL"},
	"color":   {pattern: "^(#[0-9a-fA-F]{6})?$", words: "# and six hexadecimal digits"},
	"scopes": {
		min: 1, max: authz.MaxScope, pattern: authz.ScopePattern, items: authz.MaxScopes,
		words: "of visible ASCII characters without space, quote and backslash",
	},
	"scope": {min: 1, max: authz.MaxScope},
	"audiences": {
		min: 1, max: authz.MaxText, pattern: authz.TextPattern, items: authz.MaxAudiences,
		words: "without control characters and line breaks",
	},
	"network": {max: 49, pattern: "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$", words: "an address or a network such as 192.0.2.0/24 or 2001:db8::/32"},
	"plan":    {pattern: authz.PlanNamePattern, words: "1 to 63 characters of a-z, 0-9 and -, not beginning with -"},
	"environment": {
		pattern: authz.EnvironmentPattern, words: "1 to 31 characters of a-z, 0-9 and -, beginning with a letter",
	},
	"workspaces": {pattern: jwks.WorkspacePattern, items: 1 + store.MaxEnvironments},
	"key":        {pattern: keyPattern, words: "the id of a key"},
	"limit":      {pattern: authz.LimitNamePattern, words: "1 to 32 characters of a-z, 0-9 and -, not beginning with -"},
	"lifetime":   {most: authz.MaxExpiresIn},
	"hour":       {most: authz.MaxTokenLife},
	"per minute": {most: authz.MaxPerMinute},
	"reporter":   {min: 1, max: authz.MaxReporter, pattern: "^[!-~]*$", words: "of visible ASCII characters without space"},
}

// storedLimits has the limits of members whose types are in package store and have no such tags.
var storedLimits = map[string]string{
	"OfferedScope.name": "scope", "OfferedScope.description": "text",
	"Exchange.max_expires_in": "hour", "Exchange.max_cache_age": "hour", "Exchange.per_minute": "per minute",
	"OIDC.issuer": "url", "OIDC.client_id": "text", "OIDC.owner_claim": "text", "OIDC.operator_claim": "text", "OIDC.operator_value": "text",
}

// parameterLimits has the limits of parameters, by their name.
var parameterLimits = map[string]limit{
	"ws": limits["workspace"], "owner": limits["text"], "actor": limits["text"], "q": limits["text"], "plan": limits["plan"],
	"environment_of":  limits["workspace"],
	"key":             limits["key"],
	"parent":          limits["key"],
	"Idempotency-Key": {max: authz.MaxIdempotencyKey, pattern: "^[ -~]*$", words: "of printable ASCII characters"},
}

// setLimits adds the limits of all members and parameters, and the long descriptions, to the document.
func setLimits(h huma.API) {
	schemas := h.OpenAPI().Components.Schemas
	for name, schema := range schemas.Map() {
		for _, f := range reflect.VisibleFields(schemas.TypeFromRef("#/components/schemas/" + name)) {
			member, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			path := strings.TrimSuffix(name, "Patch") + "." + member
			if l, ok := limits[cmp.Or(f.Tag.Get("is"), storedLimits[path])]; ok {
				l.set(schema.Properties[member])
			}
			if text, ok := descriptions[path]; ok {
				schema.Properties[member].Description = text
			} else if m := schema.Properties[member]; m != nil && m.Description == "" && m.Ref == "" {
				m.Description = common[member]
			}
		}
		schema.Description = cmp.Or(schema.Description, schemaTexts[strings.TrimSuffix(name, "Patch")])
	}
	listCodes(schemas.Map())
	for _, path := range h.OpenAPI().Paths {
		for _, op := range []*huma.Operation{path.Get, path.Head, path.Post, path.Put, path.Patch, path.Delete} {
			if op == nil {
				continue
			}
			for _, p := range op.Parameters {
				if l, ok := parameterLimits[p.Name]; ok {
					l.set(p.Schema)
				}
			}
		}
	}
}

func (l limit) set(s *huma.Schema) {
	text := s
	if s.Items != nil {
		text = s.Items
	}
	if l.items > 0 {
		s.MaxItems, s.Extensions = &l.items, map[string]any{"uniqueItems": true}
	}
	if l.min > 0 {
		text.MinLength = &l.min
	}
	if l.max > 0 {
		text.MaxLength = &l.max
	}
	if l.most > 0 {
		s.Maximum = &l.most
	}
	if l.pattern != "" {
		text.Pattern, text.PatternDescription = l.pattern, l.words
	}
	s.PrecomputeMessages()
}
