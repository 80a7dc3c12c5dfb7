package api_test

import (
	"strings"
	"testing"
	"time"
)

// If a key is in the wrong state for a call, the answer names the state, its time and the possible next steps.
func TestConflictsSayWhy(t *testing.T) {
	s := newServer(t)
	key := func(body string) (id, path string) {
		id = s.do("POST", keysPath, body).want(201).text("id")
		return id, keysPath + "/" + id
	}
	rotate := func(path, body string) string { return s.do("POST", path+"/rotate", body).want(201).text("id") }
	conflict := func(path, call, successor string, words ...string) {
		t.Helper()
		p := s.do("POST", path+call, nil).want(409).problem()
		if p.KeyID != successor {
			t.Errorf("%s: the successor is %q, not %q", call, p.KeyID, successor)
		}
		for _, word := range append(words, successor) {
			if !strings.Contains(p.Detail, word) {
				t.Errorf("%s: no %q in: %s", call, word, p.Detail)
			}
		}
	}
	if s.now().UTC().Add(3*time.Hour).Year() > s.now().UTC().Year() {
		s.sleep(3 * time.Hour) // or the graces would end in the next year
	}
	year := s.now().UTC().Format("2006-")

	id, path := key(`{"owner":"c"}`)
	conflict(path, "/rotation/undo", "", id, "active and was not rotated")
	conflict(path, "/rotation/end", "", id, "active and was not rotated")
	next := rotate(path, `{"grace":"1h"}`)
	conflict(path, "/rotate", next, id, "in its grace until "+year, "undo the rotation")
	rotate(keysPath+"/"+next, `{"grace":"1h"}`)
	third := s.do("GET", keysPath+"/"+next, nil).want(200).text("rotated_to")
	conflict(path, "/rotation/undo", third, next, "in its grace") // that one first
	s.do("DELETE", path, nil).want(200)
	conflict(path, "/rotate", next, id, "was revoked at "+year)
	conflict(path, "/rotation/end", next, id, "was revoked at "+year)
	conflict(path, "/rotation/undo", next, id, "was revoked at "+year)

	id, path = key(`{"owner":"c"}`)
	next = rotate(path, `{"grace":"1h"}`)
	s.do("POST", path+"/rotation/undo", nil).want(200)
	conflict(keysPath+"/"+next, "/rotation/undo", "", next, "was revoked at "+year)
	next = rotate(path, `{"grace":"1h"}`)
	short, shortPath := key(`{"owner":"c","expires_in":60}`)
	s.sleep(time.Hour)
	conflict(path, "/rotate", next, id, "was revoked at "+year) // its grace is over; nobody took it out yet
	conflict(shortPath, "/rotate", "", short, "expired at "+year, "issue another one")
}

func TestLimitsOfKeysAreNamed(t *testing.T) {
	s := newServer(t)
	s.do("PATCH", "/v1/workspaces/acme", `{"policy":{"keys_per_owner":2}}`).want(200)
	var paths []string
	for range 2 {
		paths = append(paths, keysPath+"/"+s.issue("acme", map[string]any{}).id)
	}
	full := func(a answer, words string) {
		t.Helper()
		if p := a.want(409).problem(); !p.names("owner") || !strings.Contains(p.Detail, words) ||
			!strings.Contains(p.Errors[0].Detail, "at most 2 ") {
			t.Errorf("it says %+v", p)
		}
	}
	full(s.do("POST", keysPath, `{"owner":"cust_1"}`), "as many active keys as the workspace allows, which is 2.")
	for _, path := range paths {
		s.do("POST", path+"/rotate", nil).want(201)
	}
	third := s.do("GET", paths[0], nil).want(200).text("rotated_to")
	full(s.do("POST", keysPath+"/"+third+"/rotate", nil), "as many keys in a grace as the workspace allows, which is 2.")
}
