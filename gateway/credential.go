package gateway

import (
	"strings"
	"sync/atomic"

	"github.com/burnkey/burnkey/internal/logs"
	"github.com/burnkey/burnkey/jwks"
)

// credentials counts where keys were read.
type credentials struct {
	counts  [jwks.MaxPlaces]atomic.Uint64 // by the index in Options.Places
	queries logs.Throttle
}

// HeaderNames returns the names, in lower case, of the headers in which a key may be. Request.Headers must contain them.
func (g *Gateway) HeaderNames() []string { return g.headerNames }

// target returns the path and query of a request if a key may be in the query. Without the clone, the caller's Request
// would escape to the heap.
func (g *Gateway) target(r *Request) string {
	if !g.readsQuery {
		return ""
	}
	return strings.Clone(r.Path)
}

// find returns the key of a request, and counts its places.
func (g *Gateway) find(headers []jwks.HeaderField, target string) (jwks.Found, *jwks.Refusal) {
	_, query, _ := strings.Cut(target, "?")
	found, no := g.o.Places.Find(headers, query)
	if no != nil {
		return found, no
	}
	for i := range g.o.Places.All() {
		if found.In(i) {
			g.places.counts[i].Add(1)
		}
	}
	return found, nil
}

// strip has the key removed from a request that may pass. A query parameter is always removed: APIs and proxies log
// queries.
func (g *Gateway) strip(d *Decision, found jwks.Found, target string) {
	if g.o.Places.OnlyBearer() {
		return // setRemove has done it
	}
	if path := g.o.Places.StripTarget(target); path != target {
		d.Path = path
	}
	g.warnOfQuery(d, found)
	if !g.o.StripAuthorization {
		return
	}
	for _, name := range g.o.Places.HeadersWith(found) {
		d.Remove = append(d.Remove[:len(d.Remove):len(d.Remove)], strings.ToLower(name))
	}
}

// warnOfQuery logs a key whose client sends it in the query.
func (g *Gateway) warnOfQuery(d *Decision, found jwks.Found) {
	for i, place := range g.o.Places.All() {
		if place.Form == jwks.InQuery && found.In(i) {
			g.places.queries.For(g.o.Log, place.Name).Warn("a client sent its key in the query, which logs and histories store",
				"place", place.String(), "workspace", d.fields[2].Value, "owner", d.fields[1].Value, "key_id", d.fields[0].Value)
		}
	}
}

// placeCounts returns the number of keys that were read, by place.
func (g *Gateway) placeCounts() map[string]uint64 {
	counts := make(map[string]uint64, jwks.MaxPlaces)
	for i, place := range g.o.Places.All() {
		counts[place.String()] = g.places.counts[i].Load()
	}
	return counts
}

func lower(names []string) []string {
	for i := range names {
		names[i] = strings.ToLower(names[i])
	}
	return names
}
