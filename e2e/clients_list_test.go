package e2e_test

import (
	"testing"
	"time"
)

// candidate is a client of the matrix that nobody here wrote, with what its page promises.
type candidate struct {
	name, page string
	set        string // what its page says to set
	pins       []string
	open       opener
	only       string        // its only setting, if it has one
	within     time.Duration // with the page's setting: how long a revoked key is accepted; 0: 5 s
	keeps      bool          // with the page's setting: it keeps its keys while the server is away
	largest    int           // with the page's setting: the largest set that it takes; 0: any
	cannot     string        // what to take instead, if no setting makes it right
	ci         bool          // part of the run of CI
}

// An opener starts a client for a workspace.
type opener func(t *testing.T, m *matrix, workspace, setting string) (judge, func(), error)

// by opens the program of this name.
func by(language, name string) opener {
	return func(t *testing.T, m *matrix, workspace, setting string) (judge, func(), error) {
		argv, err := m.workshop.argv(t, language, name)
		if err != nil {
			return nil, nil, err
		}
		p, stop := startProgram(t, m.front.environ(workspace, setting), argv)
		return p, stop, nil
	}
}

// libraries are all clients of the matrix.
var libraries = []candidate{
	{
		name: "Burnkey for Go", page: "burnkey-go.md", set: "nothing", open: openFollower, only: "page", within: time.Second, keeps: true,
	},
	{name: "PyJWT", page: "pyjwt.md", set: "`lifespan=5`", pins: []string{"python pyjwt"}, open: by("python", "with_pyjwt"), ci: true},
	{
		name: "joserfc", page: "joserfc.md", set: "fetch every 5 s", pins: []string{"python joserfc"},
		open: by("python", "with_joserfc"), ci: true,
	},
	{name: "Authlib", page: "authlib.md", set: "fetch every 5 s", pins: []string{"python authlib"}, open: by("python", "with_authlib")},
	{name: "jose", page: "jose.md", set: "`cacheMaxAge: 5000`", pins: []string{"npm jose"}, open: by("node", "jose"), ci: true},
	{
		name: "jwks-rsa", page: "jwks-rsa.md", set: "`cacheMaxAge: 5000`, `rateLimit`", pins: []string{"npm jwks-rsa", "npm jsonwebtoken"},
		open: by("node", "jwks-rsa"), ci: true,
	},
	{
		name: "express-oauth2-jwt-bearer", page: "express-oauth2-jwt-bearer.md", set: "`cacheMaxAge: 5000`",
		pins: []string{"npm express-oauth2-jwt-bearer"}, open: by("node", "express-oauth2-jwt-bearer"), ci: true,
	},
	{
		name: "aws-jwt-verify", page: "aws-jwt-verify.md", set: "refresh every 5 s", pins: []string{"npm aws-jwt-verify"},
		open: by("node", "aws-jwt-verify"), keeps: true, ci: true,
	},
	{
		name: "fast-jwt", page: "fast-jwt.md", set: "the page's own fetch of one key", pins: []string{"npm fast-jwt"},
		open: by("node", "fast-jwt"), only: "page", ci: true,
	},
	{
		name: "get-jwks", page: "fast-jwt.md", set: "`ttl: 5000`", pins: []string{"npm get-jwks", "npm fast-jwt"}, open: by("node", "get-jwks"),
		cannot: "the page's own fetch",
	},
	{
		name: "Spring Security (servlet)", page: "spring.md", set: "the source on the page of Nimbus",
		pins: []string{"spring spring-security-oauth2-jose"}, open: by("spring", "WithSpring"), keeps: true,
	},
	{
		name: "Spring Security (reactive)", page: "spring.md", set: "the servlet stack's decoder",
		pins: []string{"spring spring-security-oauth2-jose"}, open: by("spring", "WithReactiveSpring"), keeps: true,
	},
	{
		name: "Nimbus", page: "nimbus.md", set: "a cache of 5 s, `outageTolerantForever`", pins: []string{"maven nimbus-jose-jwt"},
		open: by("java", "WithNimbus"), keeps: true,
	},
	{
		name: "java-jwt with jwks-rsa", page: "java-jwt.md", set: "a cache of 5 s", pins: []string{"maven java-jwt", "maven jwks-rsa"},
		open: by("java", "WithJavaJwt"),
	},
	{
		name: "jose4j", page: "jose4j.md", set: "`setResponseBodySizeLimit`", pins: []string{"maven jose4j"}, open: by("java", "WithJose4j"),
	},
	{
		name: "go-oidc", page: "go-oidc.md", set: "a new key set every 5 s", pins: []string{"go github.com/coreos/go-oidc/v3"},
		open: by("go", "go-oidc"), ci: true,
	},
	{
		name: "keyfunc", page: "keyfunc.md", set: "a refresh of 5 s", pins: []string{"go github.com/MicahParks/keyfunc/v3"},
		open: by("go", "keyfunc"), keeps: true, ci: true,
	},
	{
		name: "jwx 2", page: "jwx.md", set: "a refresh of 5 s", pins: []string{"go github.com/lestrrat-go/jwx/v2"},
		open: by("go", "jwx"), keeps: true, ci: true,
	},
	{
		name: "jwx 3", page: "jwx.md", set: "`WithMinInterval`, `WithMaxInterval`, `WithMaxKeys`",
		pins: []string{"go github.com/lestrrat-go/jwx/v3"}, open: by("go", "jwx3"), keeps: true,
	},
	{
		name: "jsonwebtoken (Rust)", page: "rust.md", set: "fetch every 5 s", pins: []string{"cargo jsonwebtoken"},
		open: by("rust", "jsonwebtoken"),
	},
	{
		name: "jwt-authorizer (Rust)", page: "rust.md", set: "`RefreshStrategy::Interval`, 5 s", pins: []string{"cargo jwt-authorizer"},
		open: by("rust", "jwt-authorizer"),
	},
	{name: "ruby-jwt", page: "ruby-jwt.md", set: "fetch every 5 s", pins: []string{"debian ruby-jwt"}, open: by("ruby", "ruby-jwt")},
	{
		name: "Crypt::JWT (Perl)", page: "perl.md", set: "fetch every 5 s", pins: []string{"debian libcrypt-jwt-perl"},
		open: by("perl", "crypt-jwt"), keeps: true,
	},
	{
		name: "Envoy as rendered", page: "../gateways/envoy.md", set: "nothing", pins: []string{"envoy envoy"}, open: openEnvoy,
		only: "page", keeps: true,
	},
	{
		name: "ESPv2's filter", page: "../gateways/espv2.md", set: "`--jwt_cache_size=0`, `--jwks_cache_duration_in_s=5`",
		pins: []string{"envoy envoy"}, open: openESPv2, keeps: true,
	},
	{
		name: "Apache with mod_auth_openidc", page: "../gateways/apache.md", set: "`OIDCJWKSRefreshInterval 300`",
		pins: []string{"debian libapache2-mod-auth-openidc"}, open: openApache, within: 300 * time.Second, largest: 1000,
	},
	{
		name: "oauth2-proxy", page: "../gateways/oauth2-proxy.md", pins: []string{"script oauth2-proxy"}, open: openOAuth2Proxy,
		only: "default", cannot: "keys of a short life, or Envoy",
	},
	{
		name: "Kubernetes' authenticator", page: "../gateways/kubernetes.md", pins: []string{"k8s k8s.io/apiserver"}, open: by("k8s", ""),
		only: "default", cannot: "keys of a short life",
	},
}

func (l candidate) settings() []string {
	if l.only != "" {
		return []string{l.only}
	}
	return []string{"default", "page"}
}
