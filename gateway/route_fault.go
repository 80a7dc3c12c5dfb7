package gateway

import (
	"strings"
	"sync"
	"time"
)

// Limits of the log of invalid requirements: the fault is in the configuration, but
// clients choose where it shows up.
const (
	faultsEvery = time.Minute // the interval after which a fault is logged again
	faultsMax   = 100         // different faults
	placesMax   = 10          // of each fault
	faultLen    = 200         // bytes
	placeLen    = 64
)

// routeFaults are the faults logged in the current interval, by text and place.
type routeFaults struct {
	mu     sync.Mutex
	since  time.Time
	logged map[string]map[string]bool
}

// isNew reports whether a fault is to be logged.
func (f *routeFaults) isNew(text, place string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.logged == nil || now.Sub(f.since) >= faultsEvery {
		f.since, f.logged = now, make(map[string]map[string]bool)
	}
	places, ok := f.logged[text]
	if !ok {
		if len(f.logged) >= faultsMax {
			return false
		}
		places = make(map[string]bool)
		f.logged[text] = places
	}
	if places[place] || len(places) >= placesMax {
		return false
	}
	places[place] = true
	return true
}

// logRouteFault logs an invalid requirement with the host and the start of the path of
// the request.
func (g *Gateway) logRouteFault(err error, host, path string) {
	text := cut(err.Error(), faultLen)
	host, path = cut(host, placeLen), pathPrefix(path)
	if !g.routeFaults.isNew(text, host+path, time.Now()) {
		return
	}
	g.o.Log.Error("invalid context_extensions of a route; all its requests are refused", "error", text, "host", host, "path", path)
}

func cut(text string, limit int) string { return text[:min(len(text), limit)] }

// pathPrefix returns the first two segments of a path. The rest, and the query, may hold
// secrets or personal data.
func pathPrefix(path string) string {
	path, _, _ = strings.Cut(path, "?")
	parts := strings.SplitN(path, "/", 4)
	return cut(strings.Join(parts[:min(len(parts), 3)], "/"), placeLen)
}
