package envoy

import (
	"regexp"
	"slices"
	"testing"
)

// The order in the file has no effect.
func TestTheMostSpecificRouteIsFirst(t *testing.T) {
	scope := Words{"x"}
	want := []Route{
		{Path: "/"},
		{Path: "/A/b/", Methods: Words{"GET"}, Scopes: scope},
		{Path: "/a/b"},
		{Path: "/a/b/c"},
		{Prefix: "/a/b"},
		{Template: "/a/xy.{y}"},
		{Template: "/a/x{y}"},
		{Template: "/a/{x}"},
		{Template: "/a/{x}/c"},
		{Prefix: "/a/"},
		{Template: "/{x}/b"},
		{Prefix: "/"},
	}
	reversed := slices.Clone(want)
	slices.Reverse(reversed)
	got, err := Config{Edge: Edge{Routes: reversed}}.allRoutes()
	if err != nil || len(got) != len(want) {
		t.Fatal(got, err)
	}
	for i := range want {
		if got[i].String() != want[i].String() {
			t.Errorf("number %d is %s, want %s", i, got[i], want[i])
		}
	}
}

func TestRouteExpressions(t *testing.T) {
	for _, tt := range []struct {
		r        Route
		yes, not []string
	}{
		{Route{Path: "/"}, []string{"/"}, []string{"/a"}},
		{Route{Path: "/", Open: true}, []string{"/"}, []string{"", "/a"}},
		{Route{Path: "/a.b"}, []string{"/a.b", "/A.B/"}, []string{"/aXb", "/a.b/c", "/a.b//", "x/a.b"}},
		{Route{Path: "/a/", Open: true}, []string{"/a/"}, []string{"/a", "/A/", "/a//"}},
		{Route{Prefix: "/"}, []string{"/", "/a", "/a/b"}, nil},
		{Route{Prefix: "/a+b", Open: true}, []string{"/a+b", "/a%2Bb", "/a%2bb/", "/a+b/c"}, []string{"/aab", "/A+b", "/a+bc"}},
		{Route{Template: "/u/{id}/x"}, []string{"/u/1/x", "/U/a%20b/X/"}, []string{"/u//x", "/u/1/2/x", "/u/1/xx"}},
		{Route{Template: "/u/{id}.json", Open: true}, []string{"/u/1.json", "/u/.json.json"}, []string{"/u/.json", "/u/1.JSON", "/u/1.json/"}},
	} {
		e := regexp.MustCompile("^(?:" + tt.r.expression() + ")$")
		for _, path := range tt.yes {
			if !e.MatchString(path) {
				t.Errorf("%s (open %t) does not match %s", tt.r, tt.r.Open, path)
			}
		}
		for _, path := range tt.not {
			if e.MatchString(path) {
				t.Errorf("%s (open %t) matches %s", tt.r, tt.r.Open, path)
			}
		}
	}
}
