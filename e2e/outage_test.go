package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
	"github.com/burnkey/burnkey/store/postgres/pgtest"
)

// startFollower follows a workspace until the test ends.
func startFollower(t testing.TB, url, workspace string) *jwks.Follower {
	t.Helper()
	f, err := jwks.NewFollower(jwks.FollowerOptions{
		URL: url + "/v1/auth/oauth/" + workspace, Log: slog.New(slog.DiscardHandler),
	})
	check(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var following sync.WaitGroup
	following.Go(func() { _ = f.Run(ctx) }) // the end of ctx is its only error
	t.Cleanup(func() {
		cancel()
		following.Wait()
	})
	select {
	case <-f.Ready():
	case <-time.After(patience):
		t.Fatal("the follower has no set")
	}
	return f
}

// good returns nil if a follower's keys verify the token.
func good(f *jwks.Follower, token string) error {
	v := jwks.Verifier{Keys: f, AnyAudience: true, Issuer: func(iss string) bool { return strings.HasSuffix(iss, "/v1/auth/oauth/acme") }}
	_, err := v.Verify(token)
	return err
}

// goodByJWKS verifies a token with the published set.
func goodByJWKS(s *server, token string) error {
	text, _, err := s.fetch("acme")
	if err != nil {
		return err
	}
	keys, err := jwks.ParseSet(text)
	if err != nil {
		return err
	}
	var b publish.Builder
	for _, k := range keys {
		if err := b.Add(k, jwks.Attributes{}); err != nil {
			return err
		}
	}
	set, err := b.Set(1)
	if err != nil {
		return err
	}
	v := jwks.Verifier{Keys: set, AnyAudience: true, Issuer: func(string) bool { return true }}
	_, err = v.Verify(token)
	return err
}

// refusedForNow checks that a write is refused with status 503 and a body of type application/problem+json.
func refusedForNow(t *testing.T, s *server, admin *client, method, path, body string) {
	t.Helper()
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	check(t, err)
	req.Header.Set("Authorization", "Bearer "+admin.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := plainHTTP.Do(req)
	check(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	check(t, err)
	if resp.StatusCode != 503 || resp.Header.Get("Content-Type") != "application/problem+json" ||
		resp.Header.Get("Retry-After") == "" || !strings.Contains(string(text), `"status":503`) {
		t.Errorf("%s %s: %s %s: %s", method, path, resp.Status, resp.Header, text)
	}
}

// TestE2EDatabaseStops stops PostgreSQL for BURNKEY_E2E_OUTAGE seconds while two servers use it.
func TestE2EDatabaseStops(t *testing.T) {
	t.Parallel()
	outage := time.Duration(scale(t, "BURNKEY_E2E_OUTAGE", 30, 5)) * time.Second
	pg := pgtest.Start(t, nil)
	servers := startSeveral(t, 2, pg.Database(t))
	admin := servers[0].admin()
	admin.mustCreate(t, "acme")
	keys := []key{admin.mustIssue(t, "acme"), admin.mustIssue(t, "acme")}
	gone := admin.mustIssue(t, "acme")
	admin.mustRevoke(t, gone)
	followers := []*jwks.Follower{startFollower(t, servers[0].url, "acme"), startFollower(t, servers[1].url, "acme")}
	holds := func() error {
		for i, s := range servers {
			for _, k := range keys {
				if err := errors.Join(good(followers[i], k.Token), goodByJWKS(s, k.Token)); err != nil {
					return fmt.Errorf("server %d: a good key: %w", i, err)
				}
			}
			if good(followers[i], gone.Token) == nil || goodByJWKS(s, gone.Token) == nil {
				return fmt.Errorf("server %d: a revoked key is accepted", i)
			}
		}
		return nil
	}
	eventually(t, "both servers and both followers agree", func() bool { return holds() == nil })

	pg.Stop(t)
	stopped := time.Now()
	rounds, longest := 0, time.Duration(0)
	for time.Since(stopped) < outage {
		check(t, holds())
		for _, s := range servers {
			start := time.Now()
			refusedForNow(t, s, admin, "POST", "/v1/workspaces/acme/keys", `{"owner":"cust_1"}`)
			refusedForNow(t, s, admin, "DELETE", "/v1/workspaces/acme/keys/"+keys[0].ID, "")
			refusedForNow(t, s, admin, "POST", "/v1/workspaces", `{"id":"other"}`)
			longest = max(longest, time.Since(start)/3)
			code, text := s.get("/readyz")
			if code != 503 || !strings.Contains(text, "database") {
				t.Errorf("/readyz: %d %s", code, text)
			}
			if code, text := s.get("/readyz?exclude=database"); code != 200 {
				t.Errorf("/readyz?exclude=database: %d %s", code, text)
			}
		}
		if t.Failed() {
			return
		}
		rounds++
	}
	for i, s := range servers {
		if age, ok := s.metric("burnkey_publish_age_seconds"); !ok || age < outage.Seconds()-3 {
			t.Errorf("after %s the sets' age is %v", outage, age)
		}
		if age := followers[i].Age(); age < outage-15*time.Second {
			t.Errorf("after %s the follower says that its set is %s old", outage, age)
		}
	}
	t.Logf("stopped for %s: %d rounds held; refusing took up to %s", outage, rounds, longest.Round(time.Millisecond))

	pg.StartAgain(t)
	back := time.Now()
	var late key
	eventually(t, "a key is issued", func() bool {
		var err error
		late, err = admin.issue("acme", map[string]any{"owner": "cust_1"})
		return err == nil
	})
	t.Logf("a key was issued %s after the database accepted connections", time.Since(back).Round(time.Millisecond))
	keys = append(keys, late)
	eventually(t, "the new key is good everywhere", func() bool { return holds() == nil })
	admin.as(servers[1]).mustRevoke(t, late)
	keys, gone = keys[:2], late
	eventually(t, "the revoked key is refused everywhere", func() bool { return holds() == nil })
	for i, s := range servers {
		eventually(t, "the sets are current", func() bool {
			age, ok := s.metric("burnkey_publish_age_seconds")
			code, _ := s.get("/readyz")
			return ok && age < 3 && code == 200
		})
		defer func() {
			if t.Failed() {
				age, _ := s.metric("burnkey_publish_age_seconds")
				t.Logf("server %d: %v; follower %+v", i, age, followers[i].Status())
			}
		}()
		eventually(t, "the follower is current", func() bool { return followers[i].Age() < 10*time.Second })
	}
}
