package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/burnkey/burnkey/internal/networks"
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

func (o object) on(name string) bool {
	on, _ := o[name].(bool)
	return on
}

// objects returns the objects in a list.
func (o object) objects(name string) (objects []object) {
	for _, value := range o.list(name) {
		if inner, ok := value.(map[string]any); ok {
			objects = append(objects, inner)
		}
	}
	return objects
}

func (o object) has(name string) bool { _, has := o[name]; return has }

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
	issuers      map[issuerOf]bool
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
		issuers: map[issuerOf]bool{},
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
	v.checkIssuers(ctx)
	v.checkChains(dump)
	v.checkBuffer(ctx)
	v.checkFetches(ctx)
}

// once adds a finding, unless it was added before: a configuration can be in the dump twice.
func (v *envoyExam) once(code, what string) { v.onceAs(kinds[code].severity, code, what) }

// onceAs is once with another severity than the code's own.
func (v *envoyExam) onceAs(severity Severity, code, what string) {
	if !v.seen[code+what] {
		v.seen[code+what] = true
		v.addAs(severity, code, v.target, what)
	}
}

func (v *envoyExam) checkAdmin(o object) {
	socket := o.object("admin").object("address").object("socket_address")
	if address := socket.text("address"); address != "" && !networks.IsLoopback(address) {
		v.once("envoy_admin", "Its admin interface listens on "+address+".")
	}
}

// bufferByDefault is Envoy's default limit for the size of a fetched set, in bytes.
const bufferByDefault = 32 << 20

// maxURIs bounds the requests to addresses that Envoy's configuration names.
const maxURIs = 100

// checkBuffer compares the sizes of the sets with Envoy's buffer.
func (v *envoyExam) checkBuffer(ctx context.Context) {
	limit, p := v.buffer(ctx), v.guarded(v.base)
	for i, uri := range slices.Sorted(maps.Keys(v.uris)) {
		if i == maxURIs {
			break
		}
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
