package envoy

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/burnkey/burnkey/jwks"
)

// keyHeader carries the key from the filter that finds it to those that verify it, if keys can be in other places than
// Authorization: Bearer, or have a prefix. Clients cannot set it: the first filter removes all headers that begin like this.
const keyHeader = "x-burnkey-credential"

// scriptFilter is the name of the filter that finds the key.
const scriptFilter = "envoy.filters.http.lua"

// keyShape is a regular expression for a header, which a key must match before it is verified.
type keyShape struct{ Name, Header, Regex string } // the header as YAML

// setPlaces prepares what depends on the places of a key.
func (v *view) setPlaces() {
	v.ByScript = v.Gateway == nil && (!v.Places.OnlyBearer() || v.TokenPrefix != "")
	switch {
	case v.ByScript:
		v.Shapes = []keyShape{{keyHeader, keyHeader, tokenShape}}
		v.NoKey = "!('" + keyHeader + "' in request.headers)"
		if v.Places.OnlyBearer() { // so that routes without a key receive Authorization unchanged
			v.KeyCheck = append(v.KeyCheck, scriptFilter)
		}
	case v.Gateway == nil:
		v.Shapes = []keyShape{{"authorization", "authorization", "Bearer " + tokenShape}}
		v.NoKey = noAuthorization(v.Places.Schemes()...)
	case v.Places.OnlyBearer():
		v.Shapes = []keyShape{{"authorization", "authorization", bearerScheme + v.anyShape(bearerKeyShape)}}
		v.NoKey = noAuthorization(v.Places.Schemes()...)
	default:
		v.Shapes, v.NoKey = v.gatewayShapes(), v.noKeyAtGateway()
	}
	v.Required = "A key is required: send Authorization: Bearer."
	if !v.Places.OnlyBearer() {
		v.Required = "A key is required (" + v.Places.String() + ")."
	}
}

// noAuthorization is a CEL expression: the header Authorization is missing, or has none of these schemes.
func noAuthorization(schemes ...string) string {
	return "(!('authorization' in request.headers) || !request.headers['authorization'].matches('(?i)^(" +
		strings.Join(schemes, "|") + ")( |$)'))"
}

// Challenge returns the value of WWW-Authenticate, with parameters for the first of the schemes.
func (v view) Challenge(parameters ...string) string {
	challenges := v.Places.Schemes()
	for i, scheme := range challenges {
		var with []string
		if scheme == "Basic" { // RFC 7617 requires a realm
			with = append(with, `realm="api"`)
		}
		if i == 0 {
			with = append(append(with, v.resourceParameter()...), parameters...)
		}
		challenges[i] = strings.TrimSpace(scheme + " " + strings.Join(with, ", "))
	}
	return strings.Join(challenges, ", ")
}

// Shapes of imported keys, which can look like anything that a place can contain.
const (
	bearerKeyShape = `[A-Za-z0-9._~+/-]+=*` // token68 (RFC 9110 section 11.2)
	headerKeyShape = `[^ \t,][^,]*`
)

// anyShape returns the shape of a key of which burnkey gateway may know more: that of a token, or the other one.
func (v *view) anyShape(imported string) string {
	if v.Imported {
		return "(?:" + imported + ")"
	}
	return anyTokenShape
}

// gatewayShapes returns the shapes of requests that burnkey gateway decides about. It reads the key itself, so these
// only spare it most of the others.
func (v *view) gatewayShapes() (shapes []keyShape) {
	var inAuthorization []string
	for _, place := range v.Places.All() {
		switch place.Form {
		case jwks.InBasic:
			inAuthorization = append(inAuthorization, "(?i:Basic) +.+")
		case jwks.InHeader:
			name := strings.ToLower(place.Name)
			shapes = append(shapes, keyShape{name, name, `(?:.*,)?[ \t]*` + v.anyShape(headerKeyShape) + `[ \t]*(?:,.*)?`})
		case jwks.InQuery:
			// The name can be escaped, too.
			shapes = append(shapes, keyShape{
				"query-" + place.Name, `":path"`,
				`[^?]*\?(?:.*&)?(?:` + regexp.QuoteMeta(place.Name) + `|[^=&]*%[^=&]*)=[^&].*`,
			})
		default:
			inAuthorization = append(inAuthorization, "(?i:"+place.Form+") +"+v.anyShape(bearerKeyShape))
		}
	}
	if inAuthorization != nil {
		shapes = append(shapes, keyShape{"authorization", "authorization", strings.Join(inAuthorization, "|")})
	}
	return shapes
}

// noKeyAtGateway returns a CEL expression: none of the places contains anything.
func (v *view) noKeyAtGateway() string {
	var none []string
	for _, name := range v.Places.HeaderNames() {
		if name == "Authorization" {
			none = append(none, noAuthorization(v.Places.Schemes()...))
			continue
		}
		none = append(none, fmt.Sprintf("!('%s' in request.headers)", strings.ToLower(name)))
	}
	for _, name := range v.Places.QueryNames() {
		none = append(none, fmt.Sprintf("!request.path.contains('%s=')", name))
	}
	return strings.Join(none, " && ")
}

// Reads reports whether a place has this form.
func (v view) Reads(form string) bool {
	for _, place := range v.Places.All() {
		if place.Form == form {
			return true
		}
	}
	return false
}

// ReadsAuthorization reports whether a place is in the header Authorization.
func (v view) ReadsAuthorization() bool {
	return v.Reads(jwks.InBearer) || v.Reads(jwks.InAPIKey) || v.Reads(jwks.InBasic)
}

// TokenStart is the beginning of a token's JWT.
func (v view) TokenStart() string { return jwks.TokenPrefix }

// AccessEnd is the end of the encoded header of an access token.
func (v view) AccessEnd() string { return accessEnd }

// MaxParameters is jwks.MaxParameters.
func (v view) MaxParameters() int { return jwks.MaxParameters }

// checkESPv2Places refuses places that ESPv2 cannot read as burnkey gateway does.
func (c Config) checkESPv2Places() error {
	all := c.Places.All()
	switch {
	case len(all) > 1:
		return fieldError("credential", "must be one place with --format espv2: ESPv2 accepts two different keys in one request")
	case all[0].Form == jwks.InAPIKey:
		return fieldError("credential", "apikey is not possible with --format espv2: ESPv2 compares the scheme's case")
	case all[0].Form == jwks.InBasic:
		return fieldError("credential", "basic is not possible with --format espv2: ESPv2 does not decode base64")
	case all[0].Form == jwks.InQuery:
		return fieldError("credential", "query is not possible with --format espv2: ESPv2 sends the parameter to the API, and logs it")
	case c.StripAuthorization:
		return fieldError("strip-authorization", "is not possible with --format espv2: ESPv2 sends the key to the API")
	}
	return nil
}
