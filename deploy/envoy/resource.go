package envoy

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/burnkey/burnkey/jwks"
)

// resource is the metadata of the API as a protected resource (RFC 9728 section 2).
type resource struct {
	Resource      string   `json:"resource"`
	Servers       []string `json:"authorization_servers,omitempty"`
	Scopes        []string `json:"scopes_supported,omitempty"`
	BearerMethods []string `json:"bearer_methods_supported"`
}

func (c Config) checkResource() error {
	if _, _, err := jwks.ResourceMetadataURL(c.Resource); c.Resource != "" && err != nil {
		return fieldError("resource", "%v", err)
	}
	return nil
}

// resourceRoute is the view of the route of the API's metadata.
func (v *view) resourceRoute() (routeView, error) {
	_, path, _ := jwks.ResourceMetadataURL(v.Resource)
	r := Route{Path: path, Methods: []string{"GET"}, Open: true}
	if err := r.check(); err != nil {
		return routeView{}, fieldError("resource", "%v", err)
	}
	answer, err := json.Marshal(v.resource())
	shown := v.byKey(r)[0]
	shown.Answer = string(answer)
	return shown, err
}

func (v *view) resource() resource {
	m := resource{Resource: v.Resource, BearerMethods: []string{}}
	for _, workspace := range v.Workspaces {
		m.Servers = append(m.Servers, v.Issuer(workspace))
	}
	for _, r := range v.routes {
		m.Scopes = append(m.Scopes, r.Scopes...)
	}
	slices.Sort(m.Scopes)
	m.Scopes = slices.Compact(m.Scopes)
	if v.Reads(jwks.InBearer) {
		m.BearerMethods = append(m.BearerMethods, "header")
	}
	return m
}

// resourceParameter is the parameter of WWW-Authenticate that leads to the metadata, as a format string of Envoy.
func (v view) resourceParameter() []string {
	if v.Resource == "" {
		return nil
	}
	url, _, _ := jwks.ResourceMetadataURL(v.Resource)
	return []string{`resource_metadata="` + strings.ReplaceAll(url, "%", "%%") + `"`}
}
