package envoy_test

import (
	"io"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/deploy/envoy"
	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
)

// withUsers returns a valid configuration for users. Package gateway/extauthz tests what it does.
func withUsers(t testing.TB) envoy.Config {
	c := valid()
	c.Places = places(t, "header:X-API-Key")
	c.UserIssuer, c.UserJWKS = "https://login.example.com", "https://login.example.com/jwks"
	c.UserAudiences = []string{"acme-app"}
	c.Routes = []envoy.Route{{Prefix: "/me", Require: envoy.RequireUser}}
	return c
}

func TestUsersByTLS(t *testing.T) {
	t.Parallel()
	text := render(t, envoy.Bootstrap, withUsers(t))
	_, cluster, ok := strings.Cut(text, "- name: burnkey_user_jwks")
	cluster, _, _ = strings.Cut(cluster, "- name: api")
	if !ok || !containsAll(cluster, `sni: "login.example.com"`, `matcher: {exact: "login.example.com"}`) {
		t.Errorf("the cluster of users' keys: %s", cluster)
	}
	envoytest.Validate(t, text)
	if filter := render(t, envoy.Filter, withUsers(t)); !containsAll(filter, "- name: burnkey.user\n", "- name: burnkey_user_jwks\n") {
		t.Error("the filters do not verify users")
	}
}

func TestUserFaults(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*envoy.Config){
		"--user-issuer: must be an http":                       func(c *envoy.Config) { c.UserIssuer = "login.example.com" },
		"--user-issuer: must be given: the route /me/* has":    func(c *envoy.Config) { c.UserIssuer, c.UserJWKS, c.UserAudiences = "", "", nil },
		"--user-jwks: must be the jwks_uri of https://login":   func(c *envoy.Config) { c.UserJWKS = "" },
		"--user-jwks: must be an http":                         func(c *envoy.Config) { c.UserJWKS = "x" },
		"--user-jwks: is for --user-issuer":                    func(c *envoy.Config) { c.UserIssuer = "" },
		"--user-audience: is for --user-issuer":                func(c *envoy.Config) { c.UserIssuer, c.UserJWKS = "", "" },
		"--user-audience: must be the audience":                func(c *envoy.Config) { c.UserAudiences = nil },
		"--user-audience: must be 1 to 255":                    func(c *envoy.Config) { c.UserAudiences = []string{"a b"} },
		"--credential: must be one header":                     func(c *envoy.Config) { c.Places = places(t, "bearer", "header:X-API-Key") },
		"--ca-file: must be an absolute path":                  func(c *envoy.Config) { c.CAFile = "ca.pem" },
		"require: must be key, user, both or either":           func(c *envoy.Config) { c.Routes[0].Require = "User" },
		"require: must be key or both with scopes or audience": func(c *envoy.Config) { c.Routes[0].Scopes = envoy.Words{"a"} },
		"open: cannot be combined with scopes, audience, requ": func(c *envoy.Config) { c.Routes[0].Open = true },
	} {
		c := withUsers(t)
		change(&c)
		if err := envoy.Bootstrap(io.Discard, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	c := withUsers(t)
	c.Routes = nil
	if err := envoy.ESPv2(io.Discard, c); err == nil || !strings.Contains(err.Error(), "--user-issuer") {
		t.Errorf("ESPv2: %v", err)
	}
}
