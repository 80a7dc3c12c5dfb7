package gateway

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/internal/testkit"
)

// Every fault is logged, for a limited number of places and once for each place.
func TestRouteFaults(t *testing.T) {
	var log testkit.Log
	g := &Gateway{o: Options{Log: log.Logger()}}
	count := func(text string) int { return strings.Count(log.String(), text) }
	for range 2 {
		g.logRouteFault(errors.New("a is invalid"), "x", "/")
		g.logRouteFault(errors.New("b is invalid"), "x", "/")
	}
	if a, b := count("a is invalid"), count("b is invalid"); a != 1 || b != 1 {
		t.Errorf("logged %d and %d times", a, b)
	}
	for i := range 1000 {
		g.logRouteFault(errors.New("c is invalid"), "x", fmt.Sprintf("/%d", i))
	}
	if c := count("c is invalid"); c != placesMax {
		t.Errorf("logged %d times", c)
	}
	for i := range 2000 {
		g.logRouteFault(fmt.Errorf("%d", i), "x", "/")
	}
	if lines := count("\n"); lines > 1000 {
		t.Errorf("%d lines", lines)
	}
}

func TestPathPrefix(t *testing.T) {
	for path, want := range map[string]string{
		"/v1/tiles/7/8?x=1": "/v1/tiles", "/v1?x=1": "/v1", "/": "/", "": "", "*": "*",
		"/" + strings.Repeat("a", 100): "/" + strings.Repeat("a", placeLen-1),
	} {
		if got := pathPrefix(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
