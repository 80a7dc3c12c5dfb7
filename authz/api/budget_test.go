package api_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// The changes of a management key are limited, so they can't fill the disk, but it can always revoke keys.
func TestAKeyMayChangeSoMuch(t *testing.T) {
	s := newServer(t, stopped)
	key := s.issue("acme", map[string]any{})
	writer := as(s.manager("acme", "keys:write"))
	long := strings.Repeat("x", 15<<10)
	var last answer
	for i := range 400 {
		last = s.do("PATCH", keysPath+"/"+key.id, fmt.Sprintf(`{"metadata":{"m":"%s%d"}}`, long, i), writer)
		if last.status != 200 {
			break
		}
	}
	p := last.want(429).problem()
	if wait, err := strconv.Atoi(last.header.Get("Retry-After")); err != nil || wait < 1 || wait > 60 {
		t.Errorf("Retry-After is %q", last.header.Get("Retry-After"))
	}
	if p.Type != "https://iana.org/assignments/http-problem-types#quota-exceeded" {
		t.Errorf("the type is %s", p.Type)
	}
	s.do("POST", "/v1/workspaces/acme/portal-sessions", `{"owner":"x"}`).want(201) // another key has its own budget
	s.do("DELETE", keysPath+"/"+key.id, nil, writer).want(200)
}
