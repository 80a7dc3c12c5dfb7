package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
)

// life is what a client learns about its key.
type life struct {
	status, deprecation, sunset string
	code                        string // of a refusal
}

func (g *gateway) life(t testing.TB, k key) (l life) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, g.url+"/v1/tiles", nil)
	check(t, err)
	req.Header.Set("Authorization", "Bearer "+k.Token)
	resp, err := plainHTTP.Do(req)
	check(t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var problem struct{ Type, Code string }
		check(t, json.NewDecoder(resp.Body).Decode(&problem))
		l.code = problem.Code
	}
	l.status, l.deprecation, l.sunset = resp.Header.Get("X-Key-Status"), resp.Header.Get("Deprecation"), resp.Header.Get("Sunset")
	return l
}

func (g *gateway) becomes(t testing.TB, k key, want life) {
	t.Helper()
	var got life
	defer func() { t.Logf("the last answer: %+v", got) }()
	eventually(t, fmt.Sprintf("the key becomes %+v", want), func() bool { got = g.life(t, k); return got == want })
}

// TestE2ELifeOfAKey rotates a key. Clients learn of it at once, and of its end until it comes, which the gateway holds
// without the server, too.
func TestE2ELifeOfAKey(t *testing.T) {
	t.Parallel()
	envoytest.Binary(t)
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	a := startAsked(t, s, "--key-file", gatewayKey(t, admin, map[string]any{}))
	g := startEnvoy(t, "--mode", "gateway", "--gateway", a.addr)
	long := admin.mustIssue(t, "acme", "expires_in", 40*24*3600)
	active := life{status: "active"}
	g.becomes(t, long, active)

	began := time.Now().Truncate(time.Second)
	short := admin.mustIssue(t, "acme", "expires_in", 3600)
	eventually(t, "a key of an hour is announced to expire", func() bool { return g.life(t, short).status == "expiring" })
	sunset, err := http.ParseTime(g.life(t, short).sunset)
	if after := sunset.Sub(began); err != nil || after < time.Hour || after > time.Hour+time.Minute {
		t.Errorf("it ends at %s, %v", sunset, err)
	}

	path := "/v1/workspaces/acme/keys/" + long.ID
	successor, old, err := admin.rotate("acme", long.ID, time.Hour)
	check(t, err)
	since := fmt.Sprintf("@%d", rotatedAt(t, admin, successor).Unix())
	rotated := life{status: "rotated", deprecation: since, sunset: old.ends.UTC().Format(http.TimeFormat)}
	g.becomes(t, long, rotated)
	g.becomes(t, successor, active)

	// Another attribute of the old key changes nothing of that.
	check(t, admin.call(http.MethodPatch, path, map[string]any{"allowed_ips": []string{"192.0.2.0/24"}}, nil))
	g.becomes(t, long, life{code: "address"})
	check(t, admin.call(http.MethodPatch, path, map[string]any{"allowed_ips": nil}, nil))
	g.becomes(t, long, rotated)

	check(t, admin.call(http.MethodPost, path+"/rotation/undo", nil, nil))
	g.becomes(t, long, active)
	g.becomes(t, successor, life{code: "unknown"})

	_, old, err = admin.rotate("acme", long.ID, 30*time.Second) // minting can take seconds, and the rest, too
	check(t, err)
	eventually(t, "it is rotated again", func() bool { return g.life(t, long).status == "rotated" })
	s.kill()
	if until := time.Until(old.ends); until < 0 {
		t.Fatal("the grace was over before the server had stopped")
	}
	g.becomes(t, long, life{code: "expired"})
	if early := time.Until(old.ends); early > 0 {
		t.Errorf("refused %s before the end of the grace", early)
	}
}

// rotatedAt returns when the successor was made.
func rotatedAt(t testing.TB, c *client, successor key) time.Time {
	t.Helper()
	var shown struct {
		CreatedAt time.Time `json:"created_at"`
	}
	check(t, c.call(http.MethodGet, "/v1/workspaces/acme/keys/"+successor.ID, nil, &shown))
	return shown.CreatedAt
}
