package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
)

// Management keys that may read a workspace find its keys by id or kid. To all others, these keys do not exist.
func TestFindKey(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	k, foreign := s.issue("acme", map[string]any{}), s.issue("other", map[string]any{})
	const secret = "IL1deIyHyQA40WpeLeA1bIUXuvTwlGjo"
	digest := jwks.SHA256Digest(secret).String()
	s.imports(importsPath, fmt.Sprintf(`{"digest":%q,"owner":"x"}`, digest))
	manager := s.issue(authz.Home, map[string]any{"scopes": []string{"keys:read"}})
	reader, tied := s.manager("", "keys:read"), s.manager("acme", "keys:read")
	for _, c := range []struct {
		what, token, name string
		status            int
	}{
		{"an id", reader, k.id, 200},
		{"a kid", reader, k.kid, 200},
		{"a kid of another workspace", reader, foreign.kid, 200},
		{"an id of its own workspace", tied, k.id, 200},
		{"a kid of its own workspace", tied, k.kid, 200},
		{"an id of a foreign workspace", tied, foreign.id, 404},
		{"a kid of a foreign workspace", tied, foreign.kid, 404},
		{"an unknown id", tied, unknownID, 404},
		{"a management key", reader, manager.id, 404},
		{"a management key, by an admin", s.admin, manager.kid, 200},
		{"the digest of an imported key", tied, digest, 200},
		{"the same in hexadecimal", reader, fmt.Sprintf("sha256:%x", jwks.SHA256Digest(secret).Sum), 200},
		{"the same with an encoded colon", reader, strings.Replace(digest, ":", "%3a", 1), 200},
		{"an encoded slash", reader, "a%2F" + k.id, 422},
		{"the digest of a foreign imported key", s.manager("other", "keys:read"), digest, 404},
		{"an unknown digest", reader, jwks.SHA256Digest("x").String(), 404},
		{"an imported key", reader, secret, 422},
		{"neither id nor kid", reader, "x", 422},
	} {
		a := s.do("GET", "/v1/keys/"+c.name, nil, as(c.token))
		if a.status != c.status {
			t.Errorf("%s: %d, want %d: %s", c.what, a.status, c.status, redact(string(a.body)))
		}
		if c.status == 200 && a.text("id") != c.name && a.text("kid") != c.name && a.object()["imported"] != true {
			t.Errorf("%s: another key: %s", c.what, a.body)
		}
	}
	same := s.do("GET", "/v1/keys/"+unknownID, nil, as(tied)).want(404)
	if got := s.do("GET", "/v1/keys/"+foreign.id, nil, as(tied)).want(404); string(got.body) != string(same.body) {
		t.Errorf("a foreign key differs from an unknown one: %s", got.body)
	}
}
