package api_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

// A request for a set gets the same answer, counts and log lines, whether it is served before the router or
// through it.
func TestSetsBeforeTheRouter(t *testing.T) {
	s := newServer(t)
	kid := s.issue("acme", map[string]any{}).kid
	etag := s.do("GET", jwksPath, nil).want(200).header.Get("Etag")
	escaped := strings.Replace(jwksPath, "acme", "%61cme", 1)
	for _, test := range []struct {
		name, method, query, match string
		status                     int
	}{
		{"the set", "GET", "", "", 200},
		{"head", "HEAD", "", "", 200},
		{"not modified", "GET", "", etag, 304},
		{"one key", "GET", "?kid=" + kid, "", 200},
		{"no key", "GET", "?kid=x", "", 200},
		{"no key, head", "HEAD", "?kid=x", "", 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := len(s.log.String())
			ask := func(path string) answer {
				return s.do(test.method, path+test.query, nil, header("If-None-Match", test.match), header("X-Request-Id", "same")).want(test.status)
			}
			quick, routed := ask(jwksPath), ask(escaped)
			for _, changing := range []string{"Date", "Age"} { // from second to second
				if quick.header.Get(changing) != "" && routed.header.Get(changing) != "" {
					quick.header.Del(changing)
					routed.header.Del(changing)
				}
			}
			if !maps.EqualFunc(quick.header, routed.header, slices.Equal) || string(quick.body) != string(routed.body) {
				t.Errorf("%v and %d bytes, through the router %v and %d bytes",
					quick.header, len(quick.body), routed.header, len(routed.body))
			}
			var lines [][3]any
			for text := range strings.Lines(s.log.String()[before:]) {
				var line map[string]any
				must(t, json.Unmarshal([]byte(text), &line))
				lines = append(lines, [3]any{line["route"], line["status"], line["bytes"]})
			}
			if len(lines) != 2 || lines[0] != lines[1] {
				t.Errorf("the log says %v", lines)
			}
		})
	}
	if text := string(s.do("GET", "/metrics", nil).want(200).body); !strings.Contains(text,
		`burnkey_http_requests_total{code="304",method="GET",route="/v1/auth/oauth/:ws/.well-known/jwks.json"} 2`) {
		t.Error("the requests were not counted under one name")
	}
}

func TestNoSetBeforeTheRouter(t *testing.T) {
	s := newServer(t)
	for path, status := range map[string]int{
		issuerPrefix + "nobody/.well-known/jwks.json":       404,
		issuerPrefix + "/.well-known/jwks.json":             404,
		issuerPrefix + "ACME/.well-known/jwks.json":         404,
		issuerPrefix + "a/b/.well-known/jwks.json":          404,
		issuerPrefix + "acme%2F/.well-known/jwks.json":      404,
		issuerPrefix + ".well-known/jwks.json":              404,
		issuerPrefix + "acme/.well-known/jwks.json/":        404,
		issuerPrefix + "nobody/.well-known/jwks.json?kid=x": 404,
	} {
		for _, method := range []string{"GET", "HEAD"} {
			a := s.do(method, path, nil).want(status)
			if a.header.Get("Content-Type") != "application/problem+json" || a.header.Get("Cache-Control") != "no-store" ||
				a.header.Get("X-Request-Id") == "" {
				t.Errorf("%s %s: %v", method, path, a.header)
			}
		}
	}
}
