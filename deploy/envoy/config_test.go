package envoy_test

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/deploy/envoy"
)

func valid() envoy.Config {
	return envoy.Config{
		Server: "http://127.0.0.1:8080", Workspaces: []string{"acme"},
		Audiences: []string{"acme-company"},
		Listen:    "127.0.0.1:10000", Upstream: "127.0.0.1:9000",
	}
}

func validGateway() envoy.Config {
	return envoy.Config{Gateways: []string{"127.0.0.1:9002"}, Listen: "127.0.0.1:10000", Upstream: "127.0.0.1:9000"}
}

func TestValidateNamesTheFlag(t *testing.T) {
	long := strings.Repeat("a", 64)
	tests := []struct {
		flag string
		bad  func(*envoy.Config, string)
		with []string
	}{
		{"server", func(c *envoy.Config, s string) { c.Server = s }, []string{
			"", "127.0.0.1:8080", "ftp://x", "http://", "http://u:p@x", "http://x?a=1", "http://x?", "http://x#a", "http://x#",
			"http://x:0", "http://x:99999", "http://a_b", "http://x y", "http://-x", "http://x/a b\"\n", "http://x/a b",
			"http://x/\"", "http://[fe80::1%25eth0]",
		}},
		{"public-url", func(c *envoy.Config, s string) { c.PublicURL = s }, []string{"x", "https://x/?q", "javascript:x"}},
		{"workspace", func(c *envoy.Config, s string) { c.Workspaces = []string{"ok", s} }, []string{
			"burnkey", "", "Acme", "-a", "a_b", "a/b", "ok", long, "a\n", "a b", "é",
		}},
		{"cache", func(c *envoy.Config, s string) { c.Cache, _ = time.ParseDuration(s) }, []string{
			"500ms", "1500ms", "-1s", "1h0m1s", "1ns", "5s1ns",
		}},
		{
			"listen", func(c *envoy.Config, s string) { c.Listen = s },
			[]string{"10000", "localhost:1", ":1", "1.2.3.4:0", "1.2.3.4:x", "1.2.3.4:70000", "::1:1"},
		},
		{"admin", func(c *envoy.Config, s string) { c.Admin = s }, []string{"localhost:1", ":9901"}},
		{
			"upstream", func(c *envoy.Config, s string) { c.Upstream = s },
			[]string{"x", "a b:1", "http://x:1", "x:0", "x_y:1", `x":1`, long + ":1"},
		},
		{"audience", func(c *envoy.Config, s string) { c.Audiences = []string{s} }, []string{"", "a b", "a,b", "a\n", strings.Repeat("a", 256)}},
		{"trusted-hops", func(c *envoy.Config, s string) { c.TrustedHops, _ = strconv.Atoi(s) }, []string{"-1", "9"}},
		{"ca-file", func(c *envoy.Config, s string) { c.CAFile = s }, []string{"ca.pem"}},
		{"token-prefix", func(c *envoy.Config, s string) { c.TokenPrefix = s }, []string{"acme", "acme_", "A-", "-", "a.-", long + "-"}},
		{"service-name", func(c *envoy.Config, s string) { c.ServiceName = s }, []string{"a b", "https://x"}},
	}
	if err := valid().Validate(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		for _, value := range tt.with {
			c := valid()
			tt.bad(&c, value)
			err := c.Validate()
			var fe *envoy.FieldError
			if !errors.As(err, &fe) || fe.Flag != tt.flag {
				t.Errorf("--%s %q: %v", tt.flag, value, err)
			}
			if envoy.Bootstrap(io.Discard, c) == nil || envoy.Filter(io.Discard, c) == nil || envoy.ESPv2(io.Discard, c) == nil {
				t.Errorf("--%s %q is rendered", tt.flag, value)
			}
		}
	}
}

func TestGateways(t *testing.T) {
	var many []string
	for i := range envoy.MaxGateways + 1 {
		many = append(many, fmt.Sprintf("127.0.0.1:%d", 9000+i))
	}
	for _, list := range [][]string{
		{"x"}, {""}, {"127.0.0.1:0"}, {"127.0.0.1:1", "a b:1"}, {"127.0.0.1:1", "127.0.0.1:1"}, {"[::1]:1", "[0::1]:1"}, many,
	} {
		c := validGateway()
		c.Gateways = list
		if fe := new(envoy.FieldError); !errors.As(c.Validate(), &fe) || fe.Flag != "gateway" || envoy.Filter(io.Discard, c) == nil {
			t.Errorf("%q: %v", list, c.Validate())
		}
	}
	c := validGateway()
	c.Gateways = many[1:]
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

// Flags that have no effect in mode gateway are refused. The error says where to set them instead.
func TestGatewayTakesNoMore(t *testing.T) {
	if err := validGateway().Validate(); err != nil {
		t.Fatal(err)
	}
	for flag, tt := range map[string]struct {
		set  func(*envoy.Config)
		word string
	}{
		"workspace":                {func(c *envoy.Config) { c.Workspaces = []string{"acme"} }, "to burnkey gateway, or to a route"},
		"any-audience":             {func(c *envoy.Config) { c.AnyAudience = true }, "give it to burnkey gateway"},
		"insecure-management-keys": {func(c *envoy.Config) { c.InsecureManagementKeys = true }, "to burnkey gateway"},
		"audience":                 {func(c *envoy.Config) { c.Audiences = []string{"a"} }, "to burnkey gateway, or to a route"},
		"public-url":               {func(c *envoy.Config) { c.PublicURL = "x" }, "must be an http or https URL"},
		"require-expiration":       {func(c *envoy.Config) { c.RequireExpiration = true }, "give it to burnkey gateway"},
		"cache":                    {func(c *envoy.Config) { c.Cache = time.Second }, "as they are made"},
		"ca-file":                  {func(c *envoy.Config) { c.CAFile = "/x" }, "SSL_CERT_FILE"},
		"service-name":             {func(c *envoy.Config) { c.ServiceName = "x" }, "ESPv2"},
		"token-prefix":             {func(c *envoy.Config) { c.TokenPrefix = "a-" }, "of each workspace"},
	} {
		c := validGateway()
		tt.set(&c)
		err := c.Validate()
		if fe := new(envoy.FieldError); !errors.As(err, &fe) || fe.Flag != flag || !strings.Contains(fe.Detail, tt.word) {
			t.Errorf("--%s: %v", flag, err)
		}
	}
}

// A token for another API, or one that manages the server, is accepted only if the configuration says so
// explicitly.
func TestChoices(t *testing.T) {
	for name, tt := range map[string]struct {
		edit func(*envoy.Config)
		flag string
	}{
		"no audience":          {func(c *envoy.Config) { c.Audiences = nil }, "audience"},
		"any audience":         {func(c *envoy.Config) { c.Audiences, c.AnyAudience = nil, true }, ""},
		"an audience, and any": {func(c *envoy.Config) { c.AnyAudience = true }, "any-audience"},
		"management keys":      {func(c *envoy.Config) { c.Workspaces = []string{"burnkey"} }, "workspace"},
		"on purpose": {func(c *envoy.Config) {
			c.Workspaces, c.InsecureManagementKeys = []string{"acme", "burnkey"}, true
		}, ""},
	} {
		c := valid()
		tt.edit(&c)
		for format, f := range map[string]func(io.Writer, envoy.Config) error{
			"bootstrap": envoy.Bootstrap, "filter": envoy.Filter, "espv2": envoy.ESPv2,
		} {
			flag, bad := "", new(envoy.FieldError)
			if errors.As(f(io.Discard, c), &bad) {
				flag = bad.Flag
			}
			if flag != tt.flag {
				t.Errorf("%s, %s: refused by %q, want %q", name, format, flag, tt.flag)
			}
		}
	}
}

func TestNoWorkspace(t *testing.T) {
	c := valid()
	c.Workspaces = nil
	if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), "--workspace: must be given 1 to 1000 times") {
		t.Error(err)
	}
}

func TestRequiredAddresses(t *testing.T) {
	c := valid()
	c.Listen = ""
	if err := envoy.Bootstrap(io.Discard, c); err == nil || !strings.HasPrefix(err.Error(), "--listen:") {
		t.Error(err)
	}
	if err := envoy.ESPv2(io.Discard, c); err != nil {
		t.Error(err)
	}
	c.Upstream = ""
	if err := envoy.ESPv2(io.Discard, c); err == nil || !strings.HasPrefix(err.Error(), "--upstream:") {
		t.Error(err)
	}
	if err := envoy.Filter(io.Discard, c); err != nil {
		t.Error(err)
	}
}

func TestIssuerAndJWKS(t *testing.T) {
	c := envoy.Config{Server: "http://keys.internal:8080/", PublicURL: "https://keys.example.com/burnkey/"}
	if got, want := c.Issuer("acme"), "https://keys.example.com/burnkey/v1/auth/oauth/acme"; got != want {
		t.Errorf("issuer %s, want %s", got, want)
	}
	if got, want := c.JWKS("acme"), "http://keys.internal:8080/v1/auth/oauth/acme/.well-known/jwks.json"; got != want {
		t.Errorf("JWKS %s, want %s", got, want)
	}
	c.PublicURL = ""
	if got, want := c.Issuer("acme"), "http://keys.internal:8080/v1/auth/oauth/acme"; got != want {
		t.Errorf("issuer %s, want %s", got, want)
	}
}
