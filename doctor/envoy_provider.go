package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

func (v *envoyExam) checkFilter(o object) {
	if o.is("ExtAuthz") && o.on("failure_mode_allow") {
		v.once("failure_mode_allow", "Its ext_authz filter has failure_mode_allow.")
	}
	if !o.is("JwtAuthentication") {
		return
	}
	for name, provider := range ours(o) {
		v.providers[name] = provider
		v.checkProvider(name, provider, setOf(provider))
	}
}

// ours returns the providers of a jwt_authn filter that use a set of Burnkey, by name.
func ours(jwt object) map[string]object {
	found := map[string]object{}
	for name, value := range jwt.object("providers") {
		inner, _ := value.(map[string]any)
		if strings.Contains(setOf(inner), jwks.IssuerPath) {
			found[name] = inner
		}
	}
	return found
}

func setOf(provider object) string {
	return provider.object("remote_jwks").object("http_uri").text("uri")
}

func (v *envoyExam) checkProvider(name string, p object, uri string) {
	v.uris[uri] = true
	if _, on := p["jwt_cache_config"]; on {
		v.once("jwt_cache", "The provider "+name+" has jwt_cache_config.")
	}
	if issuer := p.text("issuer"); issuer == "" {
		v.once("jwt_issuer", "The provider "+name+" has no issuer.")
	} else {
		v.issuers[issuerOf{name, issuer, uri}] = true
	}
	if len(p.list("audiences")) == 0 {
		v.once("jwt_audience", "The provider "+name+" has no audiences.")
	}
	if len(p.list("from_headers")) == 0 {
		v.once("jwt_from_headers", "The provider "+name+" has no from_headers.")
	}
	remote := p.object("remote_jwks")
	if _, on := remote["async_fetch"]; !on {
		v.once("async_fetch", "The provider "+name+" has no async_fetch.")
	}
	v.checkInterval(name, remote.text("cache_duration"))
	v.checkPlain(Warning, "jwks_uri of Envoy's provider "+name, uri)
}

// byDefault is Envoy's default for cache_duration.
const byDefault = 10 * time.Minute

// checkInterval reports a cache_duration that makes Envoy fetch too rarely or too often.
func (v *envoyExam) checkInterval(name, text string) {
	duration, err := time.ParseDuration(text)
	if err != nil {
		duration = byDefault
	}
	interval := duration.Truncate(time.Second)
	if interval > 5*time.Second {
		interval -= 5 * time.Second
	}
	switch {
	case duration < time.Second:
		v.once("jwks_interval", fmt.Sprintf("The provider %s has a cache_duration of %s: Envoy fetches without a pause.", name, duration))
	case interval > 5*time.Second:
		v.once("jwks_interval", fmt.Sprintf("The provider %s has a cache_duration of %s: Envoy fetches every %s.", name, duration, interval))
	case duration > 5*time.Second && interval < 5*time.Second:
		v.once("jwks_interval", fmt.Sprintf("The provider %s has a cache_duration of %s: Envoy fetches every %s, more often than with 5s.",
			name, duration, interval))
	}
}

// issuerOf is a provider's issuer, and the URI of its set.
type issuerOf struct{ provider, issuer, uri string }

// checkIssuers compares each issuer with the issuer whose set the provider uses. Envoy may reach the server by another URL
// than the public one, so the server's own answer and --public-url count, too.
func (v *envoyExam) checkIssuers(ctx context.Context) {
	for i := range v.issuers {
		internal, _, _ := strings.Cut(i.uri, "/.well-known/")
		_, workspace, _ := strings.Cut(internal, jwks.IssuerPath)
		if i.issuer == internal || v.PublicURL != "" && i.issuer == v.PublicURL+jwks.IssuerPath+workspace {
			continue
		}
		what := "The provider " + i.provider + " has the issuer " + shown(i.issuer) + ", and its set is that of " + shown(internal)
		if !strings.HasSuffix(i.issuer, jwks.IssuerPath+workspace) {
			v.once("jwt_issuer", what+".")
			continue
		}
		switch stated := v.stated(ctx, internal); stated {
		case i.issuer:
		case "":
			v.onceAs(Warning, "jwt_issuer", what+". That is right if the former is the server's public URL; if so, give doctor --public-url.")
		default:
			v.once("jwt_issuer", what+", whose server has the issuer "+shown(stated)+".")
		}
	}
}

// stated returns the issuer that the server itself names, or "" if the server can't be read from here.
func (v *envoyExam) stated(ctx context.Context, issuer string) string {
	a, err := v.guarded(v.base).send(ctx, http.MethodGet, issuer+"/.well-known/openid-configuration", v.Now)
	var metadata struct{ Issuer string }
	if err != nil || json.Unmarshal(a.body, &metadata) != nil {
		return ""
	}
	return metadata.Issuer
}
