package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// The holder of a token sees the limits of its key, and what a gateway reported as left.
func TestTokenLimits(t *testing.T) {
	s := newServer(t)
	s.do("POST", plansPath, `{"name":"gold","limits":`+burstRules+`}`).want(201)
	s.do("PUT", "/v1/workspaces/acme/limits/owner?name=*", `{"limits":[{"name":"daily","requests":9,"calendar":"day"}]}`).want(201)
	key := s.issue("acme", map[string]any{
		"owner": "x", "plan": "gold", "limits": []any{map[string]any{"name": "own", "requests": 5, "seconds": 10}},
	})
	path := issuer + "/limits"
	shown := func(want string) {
		t.Helper()
		a := s.do("GET", path, nil, as(key.token)).want(200)
		if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("header %v", a.header)
		}
		wantSubset(t, a.object(), want)
	}
	shown(`{"key_id":"` + key.id + `","plan":"gold","reported_at":null,"age":null,"limits":[
		{"on":"key","name":"own","requests":5,"seconds":10},{"on":"plan","name":"burst","requests":100,"seconds":60},
		{"on":"owner","name":"daily","requests":9,"calendar":"day"}]}`)
	at := time.Now().UTC()
	soon := at.Add(time.Hour).Format(time.RFC3339)
	gone := at.Add(-time.Second).Format(time.RFC3339)
	midnight := at.Truncate(24 * time.Hour).Add(48 * time.Hour)
	report := fmt.Sprintf(`{"complete":true,"keys":[{"kid":%q,"last_used_at":%q,"limits":[
		{"on":"plan","name":"burst","requests":100,"seconds":60,"remaining":0,"reset_at":%q},
		{"on":"owner","name":"daily","requests":9,"calendar":"day","remaining":2,"reset_at":%q},
		{"on":"key","name":"own","requests":4,"seconds":10,"remaining":3,"reset_at":%q}]}]}`,
		key.kid, at.Format(time.RFC3339Nano), gone, midnight.Add(3*time.Millisecond).Format(time.RFC3339Nano), soon)
	gateway := as(s.manager("", "gateway"))
	s.do("POST", "/v1/workspaces/acme/usage", report, gateway).want(200)
	a := s.do("GET", path, nil, as(key.token)).want(200).object()
	wantSubset(t, a, `{"limits":[{"on":"key","name":"own","requests":5,"seconds":10},
		{"on":"plan","name":"burst","requests":100,"seconds":60,"remaining":100,"reset_at":"`+gone+`"},
		{"on":"owner","name":"daily","requests":9,"calendar":"day","remaining":2,"reset_at":"`+midnight.Format(time.RFC3339)+`"}]}`)
	if _, known := a["limits"].([]any)[0].(map[string]any)["remaining"]; known {
		t.Error("what is left of a limit that has changed is shown")
	}
	if age, isNumber := a["age"].(float64); !isNumber || age < 0 || a["reported_at"] == nil {
		t.Errorf("age %v, reported at %v", a["age"], a["reported_at"])
	}
	const burst = `"on":"plan","name":"burst","requests":100,"seconds":60,"remaining":0`
	for name, bad := range map[string]string{
		"on":        `"on":"total","name":"a","requests":1,"seconds":1,"remaining":0`,
		"remaining": `"on":"key","name":"a","requests":1,"seconds":1,"remaining":2`,
		"name":      `"on":"key","name":"A","requests":1,"seconds":1,"remaining":0`,
		"requests":  `"on":"key","name":"a","requests":0,"seconds":1,"remaining":0`,
	} {
		a := s.do("POST", "/v1/workspaces/acme/usage", strings.Replace(report, burst, bad, 1), gateway).want(422)
		if p := a.problem(); len(p.Errors) == 0 || p.Errors[0].Field != "keys[0].limits[0]."+name {
			t.Errorf("%s: %s", name, a.body)
		}
	}

	const realm = `Bearer realm="burnkey"`
	s.refusesHolder(t, path, header("Authorization"), 401, "missing_key", realm)
	s.refusesHolder(t, path, as(key.token[:len(key.token)-4]+"AAAA"), 401, "invalid_key", realm+`, error="invalid_token"`)
	s.do("GET", "/v1/auth/oauth/other/limits", nil, as(key.token)).want(401)
	s.do("GET", "/v1/auth/oauth/none/limits", nil, as(key.token)).want(404)
	s.do("PATCH", keysPath+"/"+key.id, `{"allowed_ips":["192.0.2.1"]}`).want(200)
	s.refusesHolder(t, path, as(key.token), 403, "forbidden", realm)
	s.do("PATCH", keysPath+"/"+key.id, `{"allowed_ips":["127.0.0.1","::1"],"enabled":false}`).want(200)
	s.do("GET", path, nil, as(key.token)).want(401)
	s.do("PATCH", keysPath+"/"+key.id, `{"enabled":true}`).want(200)
	s.do("GET", path, nil, as(key.token)).want(200)
	s.do("DELETE", keysPath+"/"+key.id, nil).want(200)
	s.do("GET", path, nil, as(key.token)).want(401)
}

// The holder of an imported key sees its limits, too.
func TestLimitsOfAnImportedKey(t *testing.T) {
	s := newServer(t)
	const secret, path = "q1+w2/e3.r4-t5_y6=", issuer + "/limits"
	s.do("POST", plansPath, `{"name":"gold","limits":`+burstRules+`}`).want(201)
	got := s.imports(importsPath, fmt.Sprintf(`{"digest":"%s","owner":"x","plan":"gold"}`, jwks.SHA256Digest(secret)))
	id := got.Results[0].ID
	kid := s.do("GET", keysPath+"/"+id, nil).want(200).text("kid")
	soon := time.Now().UTC().Add(time.Hour).Format(time.RFC3339)
	report := fmt.Sprintf(`{"complete":true,"keys":[{"kid":%q,"last_used_at":%[2]q,"limits":[
		{"on":"plan","name":"burst","requests":100,"seconds":60,"remaining":7,"reset_at":%[2]q}]}]}`, kid, soon)
	s.do("POST", "/v1/workspaces/acme/usage", report, as(s.manager("", "gateway"))).want(200)
	a := s.do("GET", path, nil, as(secret)).want(200)
	wantSubset(t, a.object(), `{"key_id":"`+id+`","plan":"gold","limits":[
		{"on":"plan","name":"burst","requests":100,"seconds":60,"remaining":7,"reset_at":"`+soon+`"}]}`)
	if a.object()["reported_at"] == nil {
		t.Errorf("nothing is reported: %s", a.body)
	}
	const realm = `Bearer realm="burnkey"`
	s.refusesHolder(t, path, as("x"+secret), 401, "invalid_key", realm+`, error="invalid_token"`)
	_, digest, _ := strings.Cut(jwks.SHA256Digest(secret).String(), ":")
	s.refusesHolder(t, path, as(digest), 401, "invalid_key", realm+`, error="invalid_token"`)
	s.do("GET", "/v1/auth/oauth/other/limits", nil, as(secret)).want(401)
	s.do("GET", "/v1/auth/oauth/none/limits", nil, as(secret)).want(404)
	s.do("PATCH", keysPath+"/"+id, `{"allowed_ips":["192.0.2.1"]}`).want(200)
	s.refusesHolder(t, path, as(secret), 403, "forbidden", realm)
	s.do("PATCH", keysPath+"/"+id, `{"allowed_ips":[],"enabled":false}`).want(200)
	s.do("GET", path, nil, as(secret)).want(401)
	s.do("PATCH", keysPath+"/"+id, `{"enabled":true}`).want(200)
	for a := s.do("GET", path, nil, as(secret)); a.status != 429; a = s.do("GET", path, nil, as(secret)) {
		a.want(200)
	}
}

// refusesHolder expects a problem that speaks of an API key, not of a management key, and the challenge.
func (s *server) refusesHolder(t *testing.T, path string, with func(*http.Request), status int, code, challenge string) {
	t.Helper()
	a := s.do("GET", path, nil, with).want(status)
	p := a.problem()
	if p.Code != code || !strings.Contains(p.Detail, "API key") || strings.Contains(p.Title+p.Detail, "management") {
		t.Errorf("answered %s", a.body)
	}
	if got := a.header.Get("WWW-Authenticate"); got != challenge {
		t.Errorf("WWW-Authenticate: %s; want %s", got, challenge)
	}
}

// The time at which a rate allows all of its requests is rounded up; a quota ends at midnight by any clock.
func TestTimesOfTokenLimits(t *testing.T) {
	s := newServer(t)
	key := s.issue("acme", map[string]any{"limits": []any{
		map[string]any{"name": "rate", "requests": 5, "seconds": 10}, map[string]any{"name": "daily", "requests": 5, "calendar": "day"},
	}})
	second := time.Now().UTC().Truncate(time.Second).Add(time.Hour)
	midnight := second.Truncate(24 * time.Hour).Add(48 * time.Hour)
	for _, c := range []struct{ ahead, shown time.Duration }{{0, 0}, {time.Microsecond, time.Second}, {-time.Microsecond, 0}} {
		report := fmt.Sprintf(`{"complete":true,"keys":[{"kid":%q,"last_used_at":%q,"limits":[
			{"on":"key","name":"rate","requests":5,"seconds":10,"remaining":0,"reset_at":%q},
			{"on":"key","name":"daily","requests":5,"calendar":"day","remaining":0,"reset_at":%q}]}]}`,
			key.kid, time.Now().UTC().Format(time.RFC3339Nano), second.Add(c.ahead).Format(time.RFC3339Nano),
			midnight.Add(c.ahead).Format(time.RFC3339Nano))
		s.do("POST", "/v1/workspaces/acme/usage", report, as(s.manager("", "gateway"))).want(200)
		wantSubset(t, s.do("GET", issuer+"/limits", nil, as(key.token)).want(200).object(), fmt.Sprintf(
			`{"limits":[{"on":"key","name":"rate","requests":5,"seconds":10,"remaining":0,"reset_at":%q},
				{"on":"key","name":"daily","requests":5,"calendar":"day","remaining":0,"reset_at":%q}]}`,
			second.Add(c.shown).Format(time.RFC3339), midnight.Format(time.RFC3339)))
	}
}

// The holder of a token may ask about once a second, which costs other holders nothing.
func TestTokenLimitsAreBounded(t *testing.T) {
	s := newServer(t, stopped)
	key, other := s.issue("acme", map[string]any{}), s.issue("acme", map[string]any{})
	path := issuer + "/limits"
	var last answer
	for i := range 120 {
		if last = s.do("GET", path, nil, as(key.token)); last.status != 200 {
			if i < 60 {
				t.Errorf("refused after %d calls", i)
			}
			break
		}
	}
	last.want(429)
	if wait := last.header.Get("Retry-After"); wait != "1" || last.problem().Code != "quota_exceeded" {
		t.Errorf("Retry-After %q: %s", wait, last.body)
	}
	s.do("GET", path, nil, as(other.token)).want(200)
	s.do("GET", path, nil, as(key.token[:len(key.token)-4]+"AAAA")).want(401)
	s.do("PATCH", keysPath+"/"+key.id, `{"enabled":false}`).want(200)
	s.do("GET", path, nil, as(key.token)).want(401)
}
