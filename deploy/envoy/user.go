package envoy

import (
	"slices"
	"strings"

	"github.com/burnkey/burnkey/jwks"
)

// Values of Route.Require, which says what a request must contain. All that it contains must be valid.
const (
	RequireKey    = "key" // the default
	RequireUser   = "user"
	RequireBoth   = "both"
	RequireEither = "either"
)

// userFilters are the names of the filters that verify users.
var userFilters = []string{"burnkey.user", "burnkey.user_verified"}

// needsUser reports whether no key replaces a user.
func (r Route) needsUser() bool { return r.Require == RequireUser || r.Require == RequireBoth }

// needsKey reports whether no user replaces a key.
func (r Route) needsKey() bool { return r.Require != RequireUser && r.Require != RequireEither }

// checkUser checks what verifies users; its error is a *FieldError.
func (c Config) checkUser() error {
	if c.UserIssuer == "" {
		return c.checkNoUser()
	}
	if _, err := baseURL("user-issuer", c.UserIssuer); err != nil {
		return err
	}
	if c.UserJWKS == "" {
		return fieldError("user-jwks", "must be the jwks_uri of %s/.well-known/openid-configuration", strings.TrimRight(c.UserIssuer, "/"))
	}
	if _, _, err := urlAddress("user-jwks", c.UserJWKS); err != nil {
		return err
	}
	if len(c.UserAudiences) == 0 {
		return fieldError("user-audience", "must be the audience of users' tokens: the provider also issues tokens for others")
	}
	for _, a := range c.UserAudiences {
		if !isAudience(a) {
			return fieldError("user-audience", "must be %s, not %q", audienceRule, a)
		}
	}
	if all := c.Places.All(); len(all) != 1 || all[0].Form != jwks.InHeader {
		return fieldError("credential", "must be one header, such as header:X-API-Key, with --user-issuer: "+
			"Authorization contains the user's token")
	}
	return nil
}

func (c Config) checkNoUser() error {
	switch {
	case c.UserJWKS != "":
		return fieldError("user-jwks", "is for --user-issuer")
	case len(c.UserAudiences) > 0:
		return fieldError("user-audience", "is for --user-issuer")
	}
	for _, r := range c.Routes {
		if r.needsUser() || !r.needsKey() {
			return fieldError("user-issuer", "must be given: the route %s has require: %s", r, r.Require)
		}
	}
	return nil
}

// UserServer is the server of the provider's keys, and UserPeer its name if UserTLS is set. Validate has checked the URL.
func (v *view) UserServer() (address, error) {
	a, _, err := urlAddress("user-jwks", v.UserJWKS)
	return a, err
}

func (v *view) UserTLS() bool { return strings.HasPrefix(v.UserJWKS, "https:") }

func (v *view) UserPeer() (peer, error) {
	a, err := v.UserServer()
	return peer{a.Host, a.IP, v.CAFile}, err
}

// UserRefused is a CEL expression: the filter for users refused a token. If it was the filter for keys, the key is still in
// its header.
func (v *view) UserRefused() string {
	return "response.code_details.startsWith('jwt_authn_access_denied{') && !('" + keyHeader + "' in request.headers)"
}

// byKey returns the views of a route. If a user may come without a key, requests with a key have a view of their own:
// Envoy cannot require one of two filters.
func (v *view) byKey(r Route) []routeView {
	first := routeView{view: v, Route: r, Path: r.expression(), MethodNames: strings.Join(r.allMethods(), "|"), NeedsUser: r.needsUser()}
	if r.Open {
		first.Disabled = slices.Clone(v.KeyCheck)
		if v.UserIssuer != "" {
			first.Disabled = append(first.Disabled, userFilters...)
		}
	}
	if r.needsKey() {
		return []routeView{first}
	}
	second := first
	first.KeyIn = strings.ToLower(v.Places.HeaderNames()[0])
	second.NeedsUser, second.Disabled = true, v.KeyCheck
	return []routeView{first, second}
}
