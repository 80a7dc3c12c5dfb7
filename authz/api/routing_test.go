package api_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestUnknownPaths(t *testing.T) {
	s := newServer(t)
	s.do("GET", keysPath+"/x/y", nil).want(404)
	for _, path := range []string{
		"/", "/v1", "/v1/workspaces/", "/v1/workspaces/acme/", "/v1/keys", keysPath + "/", "/V1/workspaces", "/favicon.ico",
		issuer, issuer + "/changed", "//healthz", "/healthz/", "/openapi.yaml", "/docs/nothing", "/schemas/Key.json",
	} {
		for _, method := range []string{"GET", "POST", "DELETE", "OPTIONS"} {
			s.do(method, path, nil).want(404)
		}
		s.do("HEAD", path, nil).want(404)
	}
}

func TestMethods(t *testing.T) {
	s := newServer(t)
	for path, allowed := range map[string]string{
		"/v1/workspaces": "GET, HEAD, POST", "/v1/workspaces/acme": "GET, HEAD, PATCH", keysPath: "GET, HEAD, POST",
		keysPath + "/" + unknownID: "DELETE, GET, HEAD, PATCH", "/healthz": "GET, HEAD", jwksPath: "GET, HEAD", issuer + "/revoke": "POST",
	} {
		want := append(strings.Split(allowed, ", "), "OPTIONS")
		slices.Sort(want)
		for _, method := range []string{"PUT", "TRACE", "OPTIONS", "BREW"} {
			a := s.do(method, path, nil)
			got := strings.Split(a.header.Get("Allow"), ", ")
			slices.Sort(got)
			if status := map[bool]int{true: 204, false: 405}[method == "OPTIONS"]; a.status != status || !slices.Equal(got, want) {
				t.Errorf("%s %s: %d, Allow: %s", method, path, a.status, got)
			}
		}
	}
	for path := range s.contract.Paths {
		if s.contract.Paths[path]["head"] != nil {
			path = call{path: path}.in("acme")
			get, head := s.do("GET", path, nil), s.do("HEAD", path, nil)
			if head.status != get.status || head.header.Get("Content-Type") != get.header.Get("Content-Type") {
				t.Errorf("HEAD %s: %d, GET: %d", path, head.status, get.status)
			}
		}
	}
}

func TestRequestIDs(t *testing.T) {
	s := newServer(t)
	token := s.issue("acme", map[string]any{}).token
	for _, id := range []string{"a", "01HXYZ-_z", strings.Repeat("x", 64), uuid.NewString()} {
		for _, path := range []string{"/healthz", keysPath, "/nowhere", keysPath + "?limit=0"} {
			if got := s.do("GET", path, nil, header("X-Request-Id", id)).header.Values("X-Request-Id"); !slices.Equal(got, []string{id}) {
				t.Errorf("%s: %s became %s", path, id, got)
			}
		}
	}
	seen := make(map[string]bool)
	for _, id := range []string{"", "a b", "a\tb", strings.Repeat("x", 65), "é", "<script>", "a\"b", "a=b", token, "\xff"} {
		got := s.do("GET", "/healthz", nil, header("X-Request-Id", id)).header.Get("X-Request-Id")
		if _, err := uuid.Parse(got); err != nil || seen[got] {
			t.Errorf("%.20q became %s", id, got)
		}
		seen[got] = true
	}
}

// line is the log line of a request.
type line struct {
	Msg       string `json:"msg"`
	RequestID string `json:"request_id"`
	Method    string `json:"method"`
	Route     string `json:"route"`
	Workspace string `json:"workspace"`
	Status    int    `json:"status"`
	Caller    string `json:"caller"`
}

func TestLog(t *testing.T) {
	s := newServer(t)
	key := s.issue("acme", map[string]any{})
	token := key.token
	const one = "/v1/workspaces/:ws/keys/:id"
	for _, c := range []struct {
		method, path string
		headers      map[string]string
		want         line
	}{
		{"GET", keysPath, nil, line{Method: "GET", Route: "/v1/workspaces/:ws/keys", Workspace: "acme", Status: 200}},
		{"GET", keysPath + "/" + token, nil, line{Method: "GET", Route: one, Workspace: "acme", Status: 404}},
		{"DELETE", keysPath + "/" + token, nil, line{Method: "DELETE", Route: one, Workspace: "acme", Status: 404}},
		{"GET", keysPath + "?q=" + token, nil, line{Method: "GET", Route: "/v1/workspaces/:ws/keys", Workspace: "acme", Status: 422}},
		{"GET", "/v1/workspaces/" + token, nil, line{Method: "GET", Route: "/v1/workspaces/:ws", Status: 422}},
		{
			"GET", issuerPrefix + token + "/.well-known/jwks.json", nil,
			line{Method: "GET", Route: "/v1/auth/oauth/:ws/.well-known/jwks.json", Status: 404},
		},
		{"GET", jwksPath + "?kid=" + token, nil, line{
			Method: "GET", Route: "/v1/auth/oauth/:ws/.well-known/jwks.json",
			Workspace: "acme", Status: 200,
		}},
		{"GET", "/" + token, nil, line{Method: "GET", Route: "none", Status: 404}},
		{"GET", "/" + token + "?" + token, nil, line{Method: "GET", Route: "none", Status: 404}},
		{token, "/healthz", nil, line{Method: "other", Route: "/healthz", Status: 405}},
		{"PUT", keysPath + "/" + token, nil, line{Method: "PUT", Route: one, Status: 405}},
		{"GET", "/healthz", map[string]string{
			"User-Agent": token, "Referer": "http://x/" + token, "X-Request-Id": token, "X-Forwarded-For": token, "X-Real-Ip": token,
			"Cookie": "k=" + token, "Host": token[:40], "Authorization": "Bearer " + token, "Idempotency-Key": token,
		}, line{Method: "GET", Route: "/healthz", Status: 200}},
	} {
		before := len(s.log.String())
		a := s.do(c.method, c.path, nil, func(r *http.Request) {
			for name, value := range c.headers {
				r.Header.Set(name, value)
			}
		})
		added := strings.TrimSpace(s.log.String()[before:])
		var got line
		if strings.Count(added, "\n") != 0 || json.Unmarshal([]byte(added), &got) != nil {
			t.Errorf("not one line: %s", redact(added))
			continue
		}
		c.want.Msg, c.want.RequestID, c.want.Caller = "request", a.header.Get("X-Request-Id"), got.Caller
		if got != c.want {
			t.Errorf("got %+v, want %+v", got, c.want)
		}
		if managed := strings.HasPrefix(c.path, "/v1/workspaces") && c.want.Status != 405; (got.Caller != "") != managed {
			t.Errorf("%s: the caller is %q", c.want.Route, got.Caller)
		}
	}
	s.do("POST", keysPath, `{"owner":"x"}`, header("Idempotency-Key", token)).want(422)
	s.do("POST", issuer+"/revoke?token="+token, "token="+token, form).want(200)
	s.do("GET", keysPath, nil, header("Authorization", "Bearer "+token)).want(401)
	for _, part := range strings.Split(token, ".")[1:] {
		if strings.Contains(s.log.String(), part[:20]) {
			t.Error("the log holds a part of a token")
		}
	}
}
