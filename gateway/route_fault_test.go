package gateway

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A fault is logged once an interval for each place, up to limits.
func TestRouteFaults(t *testing.T) {
	var f routeFaults
	now := time.Now()
	log := func(text, place string, want bool) {
		t.Helper()
		if got := f.isNew(text, place, now); got != want {
			t.Errorf("%s at %s: %t", text, place, got)
		}
	}
	log("a", "x", true)
	log("a", "x", false)
	log("a", "y", true)
	log("b", "x", true)
	for i := range 2 * placesMax {
		log("c", fmt.Sprint(i), i < placesMax)
	}
	for i := range 2 * faultsMax {
		log(fmt.Sprint(i), "x", i < faultsMax-3)
	}
	log("a", "x", false)
	now = now.Add(faultsEvery)
	log("a", "x", true)
}

func TestPathPrefix(t *testing.T) {
	for path, want := range map[string]string{
		"/v1/tiles/7/8?x=1": "/v1/tiles", "/v1?x=1": "/v1", "/": "/", "": "", "*": "*", "/" + strings.Repeat("a", 100): "/" + strings.Repeat("a", placeLen-1),
	} {
		if got := pathPrefix(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
