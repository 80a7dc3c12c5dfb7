// Package envoy renders gateway configurations that verify Burnkey's tokens:
// an Envoy bootstrap, the filters alone, and an OpenAPI document for ESPv2.
//
// Each rendering is complete and safe. Its comments explain the settings; README.md
// explains what to keep when you merge it into your own configuration.
package envoy

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// Limits and defaults of a Config.
const (
	DefaultCache  = 5 * time.Second
	MaxCache      = time.Hour
	MaxWorkspaces = 1000
	MaxGateways   = 32
	MaxHops       = 8

	DefaultCAFile = "/etc/ssl/certs/ca-certificates.crt"
	// DefaultServiceName is a placeholder in ESPv2's document.
	DefaultServiceName = "api.example.com"
)

// Config selects the server, the tokens to accept, and the addresses.
type Config struct {
	// Server is the base URL from which the gateway fetches the key sets.
	Server string
	// PublicURL is the base URL of the issuers. If empty, it is Server. The types of problems begin with it, also with
	// Gateways; if it is empty then, they are about:blank.
	PublicURL string
	// Workspaces whose tokens are accepted.
	Workspaces []string
	// InsecureManagementKeys allows tokens of the server's own workspace, burnkey. The API then receives
	// management keys.
	InsecureManagementKeys bool

	// Gateways are the addresses of `burnkey gateway` services; Envoy asks one of them about each request. They
	// have settings of their own, so only Listen, Upstream, Admin, PublicURL, TrustedHops, Places and Edge can be set
	// together with Gateways; Workspaces, too, if Edge has a Resource. If empty, Envoy fetches the key sets itself.
	Gateways []string

	// Listen is the gateway's address, Upstream the API's, and Admin that of Envoy's admin interface. If Admin
	// is empty, there is no admin interface.
	Listen, Upstream, Admin string

	// TrustedHops is the number of proxies in front of the gateway whose X-Forwarded-For is trusted. If zero, the
	// client's address is that of the connection.
	TrustedHops int

	// Places are the places of a request from which a key is read. burnkey gateway must have the same.
	Places jwks.Places
	// StripAuthorization removes the headers that contain the key before requests reach the API.
	StripAuthorization bool

	// TokenPrefix is the prefix that every key must have. Access tokens of the exchange have no prefix; if this is set,
	// EnvoyGateway and ESPv2 refuse them. Mode gateway does not need it: burnkey gateway follows the workspaces' prefixes.
	TokenPrefix string

	// Imported lets keys of other systems through to burnkey gateway, which knows those that were imported. Mode pull
	// cannot: no JWK verifies such a key.
	Imported bool

	// Cache is the interval between two fetches of a key set. A deleted key may be accepted for that long. If
	// zero, it is DefaultCache.
	Cache time.Duration
	// Audiences are the accepted audiences; a token must have at least one of them. A workspace can have a
	// separate audience for each API, so either Audiences or AnyAudience must be set.
	Audiences []string
	// AnyAudience accepts any audience.
	AnyAudience bool
	// RequireExpiration refuses keys that never expire.
	RequireExpiration bool

	// SignedLimits are the limits that tokens may carry in the claim rate_limit, such as 100/minute. Envoy holds them
	// itself. They cannot be combined with Gateways or LimitServices.
	SignedLimits []string
	// LimitServices are the addresses of `burnkey gateway` services that Envoy asks about limits alone, after it has
	// verified the token itself.
	LimitServices []string
	// RefuseWithoutLimits refuses requests while none of LimitServices answers. By default, they are not limited then.
	RefuseWithoutLimits bool

	Edge

	// Targets are what EnvoyGateway attaches its policies to, as KIND/NAME or KIND/NAME/SECTION: one Gateway, and the routes
	// that need a key, by default all of the Gateway. Namespace is that of all; if empty, it is DefaultNamespace.
	Targets   []string
	Namespace string

	// CAFile contains the CA certificates for an https Server and UserJWKS.
	CAFile string
	// ServiceName is the host in the ESPv2 document.
	ServiceName string
}

// A FieldError says which flag is invalid, and the rule it breaks.
type FieldError struct {
	Flag   string
	Detail string
}

func (e *FieldError) Error() string { return "--" + e.Flag + ": " + e.Detail }

func fieldError(flag, format string, args ...any) error {
	return &FieldError{Flag: flag, Detail: fmt.Sprintf(format, args...)}
}

var (
	workspaceID = regexp.MustCompile(jwks.WorkspacePattern)
	hostName    = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`)
)

// Issuer returns the issuer of a workspace's tokens.
func (c Config) Issuer(workspace string) string {
	return c.issuerPrefix() + workspace
}

// JWKS returns the URL of a workspace's key set.
func (c Config) JWKS(workspace string) string {
	return strings.TrimRight(c.Server, "/") + jwks.IssuerPath + workspace + jwks.SetPath
}

func (c Config) issuerPrefix() string {
	return strings.TrimRight(cmp.Or(c.PublicURL, c.Server), "/") + jwks.IssuerPath
}

// Validate checks every value that is set. Its error is a *FieldError.
func (c Config) Validate() error {
	if len(c.Gateways) > 0 {
		return c.validateGateways()
	}
	_, _, err := serverAddress(c.Server)
	err = cmp.Or(err, c.checkPublicURL(), c.checkWorkspaces(), checkCache(c.Cache), c.checkLimits(), c.checkCAFile())
	switch {
	case err != nil:
		return err
	case c.Imported:
		return fieldError("imported", "is only possible with --mode gateway: the published set has no imported keys")
	case c.TokenPrefix != "" && !jwks.IsPrefix(c.TokenPrefix):
		return fieldError("token-prefix", "must match %s, which %q does not", jwks.PrefixPattern, c.TokenPrefix)
	case c.ServiceName != "" && !hostName.MatchString(c.ServiceName):
		return fieldError("service-name", "must be a host name, not %q", c.ServiceName)
	}
	return cmp.Or(c.checkAudiences(), c.checkAddresses())
}

// validateGateways is Validate for mode gateway.
func (c Config) validateGateways() error {
	if _, err := parseGateways(c.Gateways); err != nil {
		return err
	}
	const elsewhere = "; give it to burnkey gateway"
	for _, f := range []struct {
		flag   string
		set    bool
		detail string
	}{
		{"workspace", len(c.Workspaces) > 0 && c.Resource == "", elsewhere + ", or to a route as context_extensions"},
		{"audience", len(c.Audiences) > 0, elsewhere + ", or to a route as context_extensions"},
		{"any-audience", c.AnyAudience, elsewhere},
		{"insecure-management-keys", c.InsecureManagementKeys, elsewhere},
		{"strip-authorization", c.StripAuthorization, elsewhere},
		{"token-prefix", c.TokenPrefix != "", ": burnkey gateway knows the prefix of each workspace"},
		{"require-expiration", c.RequireExpiration, elsewhere},
		{"cache", c.Cache != 0 && c.Cache != DefaultCache, ": burnkey gateway gets changes as they are made"},
		{"ca-file", c.CAFile != "" && c.UserIssuer == "", ": burnkey gateway uses the system's certificates or those of SSL_CERT_FILE"},
		{"limits", len(c.SignedLimits)+len(c.LimitServices) > 0, ": burnkey gateway holds all limits"},
		{"limits-down", c.RefuseWithoutLimits, ": without burnkey gateway, all requests are refused"},
		{"service-name", c.ServiceName != "", ": it is for ESPv2's document"},
	} {
		if f.set {
			return fieldError(f.flag, "has no effect with --mode gateway%s", f.detail)
		}
	}
	if len(c.Workspaces) > 0 {
		if c.PublicURL == "" {
			return fieldError("public-url", "must be given with --workspace and --resource: it is the beginning of the issuers in the metadata")
		}
		if err := c.checkWorkspaces(); err != nil {
			return err
		}
	}
	return cmp.Or(c.checkPublicURL(), c.checkCAFile(), c.checkAddresses())
}

func (c Config) checkCAFile() error {
	if c.CAFile != "" && !path.IsAbs(c.CAFile) {
		return fieldError("ca-file", "must be an absolute path, not %q", c.CAFile)
	}
	return nil
}

func (c Config) checkPublicURL() error {
	if c.PublicURL == "" {
		return nil
	}
	_, err := baseURL("public-url", c.PublicURL)
	return err
}

func (c Config) checkAddresses() error {
	for _, a := range []struct {
		flag, value string
		ipOnly      bool
	}{{"listen", c.Listen, true}, {"upstream", c.Upstream, false}, {"admin", c.Admin, true}} {
		if _, err := parseAddress(a.flag, a.value, a.ipOnly); err != nil && a.value != "" {
			return err
		}
	}
	if c.TrustedHops < 0 || c.TrustedHops > MaxHops {
		return fieldError("trusted-hops", "must be 0 to %d, not %d", MaxHops, c.TrustedHops)
	}
	return c.checkEdge()
}

func (c Config) checkWorkspaces() error {
	ids := c.Workspaces
	if len(ids) == 0 || len(ids) > MaxWorkspaces {
		return fieldError("workspace", "must be given 1 to %d times, not %d", MaxWorkspaces, len(ids))
	}
	for i, id := range ids {
		if !workspaceID.MatchString(id) {
			return fieldError("workspace", "must match %s, which %q does not", workspaceID, id)
		}
		if slices.Contains(ids[:i], id) {
			return fieldError("workspace", "%q is given twice", id)
		}
	}
	return CheckManagement(ids, c.InsecureManagementKeys)
}

// CheckManagement refuses the server's own workspace, unless insecure is set. Its error is a *FieldError.
func CheckManagement(workspaces []string, insecure bool) error {
	if insecure || !slices.Contains(workspaces, jwks.HomeWorkspace) {
		return nil
	}
	return fieldError("workspace", "must not be %s: the API would receive management keys and could use them; "+
		"--insecure-management-keys permits it", jwks.HomeWorkspace)
}

// CheckChoice requires either audiences or anyAudience. Its error is a *FieldError.
func CheckChoice(audiences []string, anyAudience bool) error {
	switch {
	case len(audiences) == 0 && !anyAudience:
		return fieldError("audience", "must be the audience of this API; --any-audience also accepts tokens for the workspace's other APIs")
	case len(audiences) > 0 && anyAudience:
		return fieldError("any-audience", "cannot be combined with --audience")
	}
	return nil
}

// checkCache refuses fractions of a second. Envoy truncates them, and at half a second would fetch without a pause.
func checkCache(d time.Duration) error {
	if d != 0 && (d < time.Second || d > MaxCache || d%time.Second != 0) {
		return fieldError("cache", "must be whole seconds from 1s to %s, not %s", MaxCache, d)
	}
	return nil
}

func (c Config) checkAudiences() error {
	if err := CheckChoice(c.Audiences, c.AnyAudience); err != nil {
		return err
	}
	for _, a := range c.Audiences {
		if !isAudience(a) {
			return fieldError("audience", "must be %s, not %q", audienceRule, a)
		}
	}
	return nil
}

const audienceRule = "1 to 255 characters without space, comma or control characters"

// isAudience reports whether a keeps audienceRule. ESPv2 takes audiences as one string, separated by commas.
func isAudience(a string) bool {
	return a != "" && len(a) <= 255 && !strings.ContainsFunc(a, func(r rune) bool { return r <= ' ' || r == ',' || r == 0x7f })
}
