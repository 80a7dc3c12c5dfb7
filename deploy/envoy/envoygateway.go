package envoy

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// Limits of Envoy Gateway's custom resources.
const (
	MaxProviders = 16 // workspaces in a SecurityPolicy
	maxAudiences = 8
	maxNames     = 16  // scopes or targets
	maxURL       = 253 // characters of an issuer or a URI
)

// DefaultNamespace is the default namespace of the policies.
const DefaultNamespace = "default"

var kubernetesName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,200}[a-z0-9])?$`)

// target is one of Config.Targets.
type target struct{ Kind, Name, Section string }

func (t target) String() string {
	return strings.TrimRight(t.Kind+"/"+t.Name+"/"+t.Section, "/")
}

// policyName is the name of the policies for t. Each target has a name of its own: kubectl replaces a policy with another of
// the same name, which would leave a target open. With a section, the name ends with a hash: otherwise the section b of a
// target a and the target a-b would have the same name.
func (t target) policyName() string {
	name := "burnkey-" + strings.ToLower(t.Kind) + "-" + t.Name
	if t.Section == "" {
		return name
	}
	sum := sha256.Sum256([]byte(t.String()))
	return fmt.Sprintf("%s-%s-%x", name, t.Section, sum[:4])
}

// ParentName is the name of the Gateway's policy.
func (p *policies) ParentName() string { return p.Parent.policyName() }

// policies is the data for the template of EnvoyGateway.
type policies struct {
	*view
	Name       string
	Parent     target   // the Gateway
	Protected  []target // those of the policy that requires keys
	Backends   []service
	Extensions []extension
	Rules      []rule
	JWKSName   string // of the Backend, if the server is reached by TLS
}

// service is a Kubernetes Service of `burnkey gateway`.
type service struct {
	Name, Namespace string
	Port            uint16
}

// extension is one of ext_authz's context extensions.
type extension struct{ Name, Value string }

// EnvoyGateway writes custom resources of Envoy Gateway 1.9. They require a key for requests to Targets. It needs Targets, and
// with Gateways the Services of `burnkey gateway`.
func EnvoyGateway(w io.Writer, c Config) error {
	p := policies{}
	err := cmp.Or(c.checkEnvoyGateway(), p.setTargets(c.Targets))
	if err != nil {
		return err
	}
	c.Namespace = cmp.Or(c.Namespace, DefaultNamespace)
	v, err := newView(c)
	if err != nil {
		return err
	}
	p.view = &v
	if len(c.Gateways) > 0 {
		err = cmp.Or(p.setServices(c.Namespace), p.setExtensions())
	} else {
		err = p.setProviders()
	}
	return execute(w, "envoy_gateway.tmpl", &p, err)
}

// setTargets parses targets: exactly one Gateway, and the routes that need a key (all of the Gateway by default).
func (p *policies) setTargets(list []string) error {
	for _, text := range list {
		parts := strings.Split(text, "/")
		if len(parts) == 2 {
			parts = append(parts, "")
		}
		if len(parts) != 3 || !kubernetesName.MatchString(parts[1]) || (parts[2] != "" && !kubernetesName.MatchString(parts[2])) ||
			!slices.Contains([]string{"Gateway", "HTTPRoute", "GRPCRoute"}, parts[0]) {
			return fieldError("target", "must be Gateway/NAME, HTTPRoute/NAME or GRPCRoute/NAME, and can end in /SECTION, not %q", text)
		}
		t := target{parts[0], parts[1], parts[2]}
		switch {
		case slices.Contains(p.Protected, t):
			return fieldError("target", "%q is given twice", text)
		case t.Kind != "Gateway":
			p.Protected = append(p.Protected, t)
		case p.Parent.Name != "":
			return fieldError("target", "must have one Gateway, not %s and %s", p.Parent, t)
		default:
			p.Parent = t
		}
	}
	switch {
	case p.Parent.Name == "":
		return fieldError("target", "must have the Gateway (Gateway/NAME), also with routes: its ClientTrafficPolicy removes headers that "+
			"only Burnkey may set")
	case len(p.Protected) > maxNames:
		return fieldError("target", "may be given at most %d times, not %d", maxNames, len(list))
	case len(p.Protected) == 0:
		p.Protected = []target{p.Parent}
	}
	p.Name = p.Protected[0].policyName()
	return nil
}

// setServices parses the addresses of `burnkey gateway` as names of Services.
func (p *policies) setServices(namespace string) error {
	for _, a := range p.Services.All {
		parts := strings.Split(a.Host, ".")
		tail := strings.Join(parts[min(2, len(parts)):], ".")
		if a.IP || (tail != "" && tail != "svc" && tail != "svc.cluster.local") {
			return fieldError("gateway", "must be a Service as NAME:PORT or NAME.NAMESPACE:PORT with --format envoy-gateway, not %q", a)
		}
		s := service{Name: parts[0], Namespace: namespace, Port: a.Port}
		if len(parts) > 1 {
			s.Namespace = parts[1]
		}
		p.Backends = append(p.Backends, s)
	}
	return nil
}

// Foreign returns the Services that are not in the namespace of the policies.
func (p *policies) Foreign() (all []service) {
	for _, s := range p.Backends {
		if s.Namespace != p.Namespace {
			all = append(all, s)
		}
	}
	return all
}

// setExtensions sets the requirements that `burnkey gateway` reads. They are the same for all requests of a policy.
func (p *policies) setExtensions() error {
	if len(p.routes) == 0 {
		return nil
	}
	r := p.routes[0]
	if len(p.routes) > 1 || r.Prefix != "/" || len(r.Methods) > 0 {
		return fieldError("routes", "must be one route with prefix: / and no methods with --mode gateway --format envoy-gateway: "+
			"a policy has the same requirements for all its requests; print one for each HTTPRoute, or for a section of it")
	}
	for _, e := range []extension{
		{"scopes", strings.Join(r.Scopes, " ")},
		{"audience", strings.Join(r.Audiences, " ")},
		{"route", r.Name},
	} {
		if e.Value != "" {
			p.Extensions = append(p.Extensions, e)
		}
	}
	return nil
}

// setProviders prepares what mode pull needs.
func (p *policies) setProviders() error {
	for i, provider := range p.Providers {
		if len(provider.JWKS) > maxURL || len(provider.Issuer) > maxURL {
			return fieldError("server", "must be shorter: Envoy Gateway takes URLs of at most %d characters, unlike %q", maxURL, provider.JWKS)
		}
		// The name must be a qualified name of Kubernetes, unlike some ids of workspaces.
		p.Providers[i].Name = fmt.Sprintf("burnkey-%d", i+1)
	}
	if p.TLS {
		if p.Server.IP {
			return fieldError("server", "must have a host name with https and --format envoy-gateway, not %s", p.Server.Host)
		}
		p.JWKSName = p.Name + "-jwks"
	}
	return p.setRules()
}

// CORSLists are the lists of CORSMethods, CORSHeaders and CORSExposed.
func (p *policies) CORSLists() map[string][]string {
	const separator = ", "
	return map[string][]string{
		"allowMethods":  strings.Split(p.CORSMethods(), separator),
		"allowHeaders":  strings.Split(p.CORSHeaders(), separator),
		"exposeHeaders": strings.Split(p.CORSExposed(), separator),
	}
}

// HasTraffic reports whether a BackendTrafficPolicy is needed.
func (p *policies) HasTraffic() bool { return p.Timeout != 0 || p.IdleTimeout != 0 || p.MaxBody != "" }
