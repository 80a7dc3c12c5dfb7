package envoy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/burnkey/burnkey/jwks"
)

// rule is an authorization rule of a SecurityPolicy. The first one that matches a request decides.
type rule struct {
	Name, Action      string
	Path              string // an expression for the path with its query; "" for all
	Methods           []string
	Provider          *provider // whose token the request must have; nil: none is needed
	Scopes, Audiences []string
	CEL               string
}

// verifiedBy are the claims of a verified token in CEL.
const verifiedBy = "metadata.filter_metadata['envoy.filters.http.jwt_authn']['%s']"

// kubernetesMethods are the methods that an operation can have.
var kubernetesMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"}

// setRules sets the rules. The filter for tokens accepts what these refuse after it: another form of tokens, tokens for 60 s after
// they expire, and those without exp. If an expression fails, Envoy acts as if its rule did not match.
func (p *policies) setRules() error {
	p.Rules = []rule{{Name: "burnkey-form", Action: "Deny", CEL: "!(" + p.form() + ")"}}
	if len(p.routes) > 0 {
		p.deny(rule{Name: "burnkey-semicolon", Path: "[^?]*(?:;|%3[Bb]).*"})
	}
	n := 0
	for group := range p.samePath() {
		for _, r := range group {
			n++
			if err := p.addRoute(fmt.Sprintf("burnkey-route-%d", n), r); err != nil {
				return err
			}
		}
		if last := group[len(group)-1]; len(last.Methods) > 0 && slices.ContainsFunc(group, Route.Requires) {
			n++
			p.deny(rule{Name: fmt.Sprintf("burnkey-route-%d", n), Path: operationPath(last)})
		}
	}
	p.allow(rule{Name: "burnkey-verified"})
	return nil
}

func (p *policies) addRoute(name string, r Route) error {
	added := rule{Name: name, Path: operationPath(r), Methods: r.allMethods(), Scopes: r.Scopes, Audiences: r.Audiences}
	const format = " with --format envoy-gateway: "
	switch other := func(m string) bool { return !slices.Contains(kubernetesMethods, m) }; {
	case len(r.Scopes) > maxNames:
		return fieldError("routes", "must have at most %d scopes a route"+format+"%s", maxNames, r)
	case len(added.Path) > maxPath:
		return fieldError("routes", "must have shorter paths"+format+"%s", r)
	case slices.ContainsFunc(r.Methods, other):
		return fieldError("routes", "must have methods of RFC 9110 or PATCH"+format+"%s", r)
	}
	p.allow(added)
	if r.Requires() {
		p.deny(rule{Name: name + "-else", Path: added.Path, Methods: added.Methods})
	}
	return nil
}

// operationPath is an expression for the path with its query, which Envoy Gateway compares. A variable must not reach into the query.
func operationPath(r Route) string {
	return strings.ReplaceAll(r.expression(), "[^/]+", "[^/?]+") + `(?:\?.*)?`
}

// deny adds a rule that refuses all requests with its path and methods. A rule must have a principal or an expression.
func (p *policies) deny(r rule) {
	r.Action, r.CEL = "Deny", "true"
	p.Rules = append(p.Rules, r)
}

// allow adds a rule for each workspace.
func (p *policies) allow(r rule) {
	name := r.Name
	for i := range p.Providers {
		provider := &p.Providers[i]
		claims := fmt.Sprintf(verifiedBy, provider.Name)
		r.Action, r.Provider, r.CEL = "Allow", provider, "!has("+claims+".exp) || int(request.time) < int("+claims+".exp)"
		if p.RequireExpiration {
			r.CEL = "int(request.time) < int(" + claims + ".exp)"
		}
		if len(p.Providers) > 1 {
			r.Name = fmt.Sprintf("%s-%d", name, i+1)
		}
		p.Rules = append(p.Rules, r)
	}
}

// KeyHeaderName is the header that contains the key, and KeyStart what is before the JWT.
func (p *policies) KeyHeaderName() string { return p.Places.All()[0].Header() }

func (p *policies) KeyStart() string {
	if p.Places.All()[0].Form == jwks.InBearer {
		return "Bearer " + p.TokenPrefix
	}
	return p.TokenPrefix
}

// form is an expression for requests whose key has Burnkey's form: the right members in the header, and a signature in its only
// spelling. It has several parts because Envoy limits regular expressions in CEL to a program of 100 steps. Two headers are one
// value with a comma.
func (p *policies) form() string {
	name := "'" + strings.ToLower(p.KeyHeaderName()) + "'"
	start, kid := p.KeyStart()+headerStart, "tpZCI6" // the end of headerStart
	all := []string{
		".startsWith('" + start + "')", ".matches('" + kid + "[!-~]{" + strconv.Itoa(kidSize) + "}" + headerEnd + "[.]')",
		".matches('" + lastOf256 + "$')",
	}
	return name + " in request.headers && !request.headers[" + name + "].contains(',') && request.headers[" + name + "]" +
		strings.Join(all, " && request.headers["+name+"]")
}
