package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// object is a JSON object of Envoy's configuration.
type object map[string]any

func (o object) object(name string) object {
	inner, _ := o[name].(map[string]any)
	return inner
}

func (o object) text(name string) string {
	text, _ := o[name].(string)
	return text
}

func (o object) list(name string) []any {
	list, _ := o[name].([]any)
	return list
}

func (o object) is(message string) bool { return strings.HasSuffix(o.text("@type"), "."+message) }

// each calls f with every object in a JSON value.
func each(value any, f func(object)) {
	switch v := value.(type) {
	case map[string]any:
		f(v)
		for _, inner := range v {
			each(inner, f)
		}
	case []any:
		for _, inner := range v {
			each(inner, f)
		}
	}
}

// envoyExam examines one Envoy.
type envoyExam struct {
	*exam
	base, target string
	providers    map[string]object // those that use a set of Burnkey, by name
	asks         bool              // whether there is an ext_authz filter
	seen         map[string]bool
	uris         map[string]bool
}

func (e *exam) lookAtEnvoy(ctx context.Context) {
	base := e.Envoy
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	base = strings.TrimRight(base, "/")
	v := &envoyExam{
		exam: e, base: base, target: "envoy " + shown(base),
		providers: map[string]object{}, seen: map[string]bool{}, uris: map[string]bool{},
	}
	a, err := e.fetch(ctx, base+"/config_dump")
	if err != nil {
		e.add("unreachable", v.target, "Its configuration can't be read: "+err.Error()+".")
		return
	}
	e.checkClock(v.target, a)
	var dump any
	if json.Unmarshal(a.body, &dump) != nil {
		e.add("unreachable", v.target, "/config_dump does not answer with JSON.")
		return
	}
	each(dump, v.checkAdmin)
	each(dump, v.checkFilter)
	each(dump, v.checkChain)
	if len(v.providers) == 0 && !v.asks {
		v.once("unprotected", "It has no jwt_authn provider with a set of Burnkey, and no ext_authz filter.")
	}
	v.checkBuffer(ctx)
	v.checkFetches(ctx)
}

// once adds a finding, unless it was added before: a configuration can be in the dump twice.
func (v *envoyExam) once(code, what string) {
	if !v.seen[code+what] {
		v.seen[code+what] = true
		v.add(code, v.target, what)
	}
}

func (v *envoyExam) checkAdmin(o object) {
	socket := o.object("admin").object("address").object("socket_address")
	if address := socket.text("address"); address != "" && !isLoopback(address) {
		v.once("envoy_admin", "Its admin interface listens on "+address+".")
	}
}

func (v *envoyExam) checkFilter(o object) {
	if o.is("ExtAuthz") {
		v.asks = true
		if allowed, _ := o["failure_mode_allow"].(bool); allowed {
			v.once("failure_mode_allow", "Its ext_authz filter has failure_mode_allow.")
		}
	}
	if !o.is("JwtAuthentication") {
		return
	}
	for name, value := range o.object("providers") {
		inner, _ := value.(map[string]any)
		provider := object(inner)
		if uri := provider.object("remote_jwks").object("http_uri").text("uri"); strings.Contains(uri, issuerPath) {
			v.providers[name] = provider
			v.checkProvider(name, provider, uri)
		}
	}
}

func (v *envoyExam) checkProvider(name string, p object, uri string) {
	v.uris[uri] = true
	if _, on := p["jwt_cache_config"]; on {
		v.once("jwt_cache", "The provider "+name+" has jwt_cache_config.")
	}
	if p.text("issuer") == "" {
		v.once("jwt_issuer", "The provider "+name+" has no issuer.")
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

// shape is what every token of Burnkey begins with, up to the kid.
const shape = "eyJhbGciOiJSUzI1NiIsImtpZCI6I"

// checkChain checks that an HTTP connection manager refuses tokens of the wrong form before jwt_authn sees them, and that it
// has a local_reply_config.
func (v *envoyExam) checkChain(o object) {
	if !o.is("HttpConnectionManager") {
		return
	}
	shaped := false
	for _, value := range o.list("http_filters") {
		filter, _ := value.(map[string]any)
		config := object(filter).object("typed_config")
		switch {
		case config.is("RBAC"):
			text, _ := json.Marshal(config)
			shaped = shaped || strings.Contains(string(text), shape)
		case config.is("JwtAuthentication") && v.isOurs(config):
			if !shaped {
				v.once("shape_filter", "No RBAC filter before jwt_authn admits only tokens of Burnkey's form.")
			}
			if o.object("local_reply_config") == nil {
				v.once("local_reply", "The listener "+o.text("stat_prefix")+" has no local_reply_config.")
			}
		}
	}
}

func (v *envoyExam) isOurs(config object) bool {
	for name := range config.object("providers") {
		if _, ours := v.providers[name]; ours {
			return true
		}
	}
	return false
}

// bufferByDefault is Envoy's default limit for the size of a fetched set, in bytes.
const bufferByDefault = 32 << 20

// checkBuffer compares the sizes of the sets with Envoy's buffer.
func (v *envoyExam) checkBuffer(ctx context.Context) {
	limit, p := v.buffer(ctx), v.guarded(v.base)
	for uri := range v.uris {
		a, err := p.send(ctx, http.MethodHead, uri, v.Now)
		if err == nil && a.length > limit/10*9 {
			v.once("envoy_buffer", fmt.Sprintf("The set at %s has %d bytes, and Envoy's buffer %d.", shown(uri), a.length, limit))
		}
	}
}

// buffer returns the size of the largest set that this Envoy can fetch, in bytes.
func (v *envoyExam) buffer(ctx context.Context) int64 {
	a, err := v.fetch(ctx, v.base+"/runtime")
	var runtime struct {
		Entries map[string]struct {
			Value string `json:"final_value"`
		} `json:"entries"`
	}
	if err != nil || json.Unmarshal(a.body, &runtime) != nil {
		return bufferByDefault
	}
	limit, err := strconv.ParseInt(runtime.Entries["http.async_response_buffer_limit"].Value, 10, 64)
	if err != nil {
		return bufferByDefault
	}
	return limit
}

// checkFetches reports fetches of sets that are failing now. It ignores earlier failures if a fetch succeeds meanwhile.
func (v *envoyExam) checkFetches(ctx context.Context) {
	if len(v.providers) == 0 {
		return
	}
	failed, succeeded := v.fetches(ctx)
	if failed == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 7*time.Second) // longer than the interval
	defer cancel()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		switch nowFailed, nowSucceeded := v.fetches(ctx); {
		case nowSucceeded > succeeded:
			return
		case nowFailed > failed:
			v.once("jwks_fetch", fmt.Sprintf("%d fetches of sets failed, and %d succeeded.", nowFailed, nowSucceeded))
			return
		}
	}
}

// fetches returns how many fetches of sets failed and succeeded.
func (v *envoyExam) fetches(ctx context.Context) (failed, succeeded uint64) {
	a, err := v.fetch(ctx, v.base+"/stats?format=json&filter=jwks_fetch")
	var stats struct {
		Stats []struct {
			Name  string `json:"name"`
			Value uint64 `json:"value"`
		} `json:"stats"`
	}
	if err != nil || json.Unmarshal(a.body, &stats) != nil {
		return 0, 0
	}
	for _, s := range stats.Stats {
		switch {
		case strings.HasSuffix(s.Name, "jwks_fetch_failed"):
			failed += s.Value
		case strings.HasSuffix(s.Name, "jwks_fetch_success"):
			succeeded += s.Value
		}
	}
	return failed, succeeded
}
