package gateway

import (
	"hash/crc32"
	"strconv"
	"strings"
)

// These constants limit the log of invalid requirements. The configuration is at fault, but clients choose the
// hosts and paths in which the fault appears.
const (
	placesMax = 10  // lines about one fault, in different places, in logs.Every
	faultLen  = 200 // bytes
	placeLen  = 64
)

// logRouteFault logs an invalid requirement with the request's host and the start of its path.
func (g *Gateway) logRouteFault(err error, host, path string) {
	text := cut(err.Error(), faultLen)
	// Without the clones, the caller's Request would escape to the heap.
	name, prefix := strings.Clone(cut(host, placeLen)), pathPrefix(path)
	place := crc32.ChecksumIEEE([]byte(name+prefix)) % placesMax
	g.routeFaults.For(g.o.Log, text+strconv.Itoa(int(place))).Error(
		"invalid context_extensions of a route; all its requests are refused", "error", text, "host", name, "path", prefix)
}

func cut(text string, limit int) string { return text[:min(len(text), limit)] }

// pathPrefix returns the first two segments of a path. The rest, and the query, may hold
// secrets or personal data.
func pathPrefix(path string) string {
	start, _, _ := strings.Cut(strings.Clone(cut(path, placeLen)), "?")
	parts := strings.SplitN(start, "/", 4)
	return strings.Join(parts[:min(len(parts), 3)], "/")
}
