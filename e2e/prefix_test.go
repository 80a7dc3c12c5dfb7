package e2e_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
	"github.com/burnkey/burnkey/jwks"
)

// setPrefix takes on a prefix, or moves the end of the time in which tokens without it are accepted.
func (c *client) setPrefix(t testing.TB, prefix string, bareUntil any) {
	t.Helper()
	check(t, c.call(http.MethodPatch, "/v1/workspaces/acme", map[string]any{"token_prefix": prefix, "bare_tokens_until": bareUntil}, nil))
}

// use sends requests with tokens from several clients until stop, and counts how many were answered, and how many of these
// were refused. A busy machine can leave a request without a decision.
func (g *gateway) use(t testing.TB, tokens []string) (answered, refused *atomic.Int64, stop func()) {
	t.Helper()
	keepAlive := &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: len(tokens)}}
	answered, refused = new(atomic.Int64), new(atomic.Int64)
	var clients sync.WaitGroup
	done := make(chan struct{})
	for _, token := range tokens {
		clients.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				req, err := http.NewRequest(http.MethodGet, g.url+"/v1/tiles", nil)
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Authorization", "Bearer "+token)
				resp, err := keepAlive.Do(req)
				if err != nil {
					continue
				}
				resp.Body.Close()
				switch resp.StatusCode {
				case http.StatusOK:
					answered.Add(1)
				case http.StatusServiceUnavailable: // no decision in time
				default:
					answered.Add(1)
					refused.Add(1)
				}
			}
		})
	}
	return answered, refused, func() {
		close(done)
		clients.Wait()
		keepAlive.CloseIdleConnections()
	}
}

// stored returns the workspace's set in the gateway's state file, or nil. Changes are written some time after they take effect.
func (a *asked) stored(workspace string) *jwks.Table {
	sets, err := jwks.ReadState(filepath.Join(a.stateDir(), "feed.jwks"))
	if err != nil {
		return nil // it has written nothing yet, or is writing
	}
	return sets[workspace]
}

// TestE2ETokenPrefixTakenOn gives a prefix to a workspace whose keys are in use: no request is refused until the time for
// tokens without it has ended.
func TestE2ETokenPrefixTakenOn(t *testing.T) {
	t.Parallel()
	envoytest.Binary(t)
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	old := []key{admin.mustIssue(t, "acme"), admin.mustIssue(t, "acme"), admin.mustIssue(t, "acme")}
	a := startAsked(t, s, "--key-file", gatewayKey(t, admin, map[string]any{}))
	g := startEnvoy(t, "--mode", "gateway", "--gateway", a.addr)
	var tokens []string
	for _, k := range old {
		eventually(t, "the key is known", func() bool { return g.get(t, k.Token) == http.StatusOK })
		tokens = append(tokens, k.Token)
	}
	answered, refused, stop := g.use(t, tokens)
	admin.setPrefix(t, "acme-live-", time.Now().Add(time.Hour))
	for range 3 {
		k := admin.mustIssue(t, "acme")
		if !strings.HasPrefix(k.Token, "acme-live-"+jwks.TokenPrefix) {
			t.Errorf("a new token begins with %.20q", k.Token)
		}
		g.accepts(t, k)
		old = append(old, k)
	}
	// The holder of an old key can send the prefix, too.
	g.until(t, time.Now(), http.StatusOK, "acme-live-"+tokens[0], patience)
	admin.setPrefix(t, "acme-live-", time.Now().Add(2*time.Hour))
	again, before := time.Now(), answered.Load()
	eventually(t, "more requests", func() bool { return time.Since(again) > 500*time.Millisecond && answered.Load() >= before+100 })
	stop()
	t.Logf("%d requests with tokens of the old form, %d refused", answered.Load(), refused.Load())
	if refused.Load() > 0 {
		t.Errorf("%d of %d requests are refused", refused.Load(), answered.Load())
	}

	for _, wrong := range []string{"acme-test-", "acme-", "acme-live-acme-live-"} {
		if code := g.get(t, wrong+tokens[0]); code != http.StatusUnauthorized {
			t.Errorf("%d with the prefix %s", code, wrong)
		}
	}
	admin.setPrefix(t, "acme-live-", nil)
	t.Logf("without the prefix refused after %s", g.until(t, time.Now(), http.StatusUnauthorized, tokens[0], patience))
	if code := g.get(t, "acme-live-"+tokens[0]); code != http.StatusOK {
		t.Errorf("%d with the prefix", code)
	}
	eventually(t, "the gateway has written the change", func() bool {
		set := a.stored("acme")
		if set == nil {
			return false
		}
		settings, known := set.Settings()
		return known && settings.TokenPrefix == "acme-live-" && settings.BareUntil.IsZero()
	})
	check(t, a.cmd.Process.Kill())
	<-a.done
	s.stop()
	a.start() // with the settings from disk
	a.ready()
	eventually(t, "Envoy reaches the gateway", func() bool { return g.get(t, "x") == http.StatusUnauthorized })
	if with, without := g.get(t, "acme-live-"+tokens[1]), g.get(t, tokens[1]); with != http.StatusOK || without != http.StatusUnauthorized {
		t.Errorf("after a restart without the server: %d with the prefix, %d without", with, without)
	}
}

// TestE2ETokenPrefixLife takes keys with a prefix through their life at an Envoy that verifies them itself, and at the
// gateway service without a management key, which strips any prefix. Access tokens have none.
func TestE2ETokenPrefixLife(t *testing.T) {
	t.Parallel()
	envoytest.Binary(t)
	s := startServer(t)
	admin := s.admin()
	check(t, admin.call(http.MethodPost, "/v1/workspaces", map[string]any{"id": "acme", "token_prefix": "acme-live-"}, nil))
	admin.mustExchange(t, "acme")
	a := startAsked(t, s, "--workspace", "acme")
	for mode, g := range map[string]*gateway{
		"pull":    startEnvoy(t, "--server", s.url, "--cache", cacheTime.String(), "--workspace", "acme", "--token-prefix", "acme-live-"),
		"gateway": startEnvoy(t, "--mode", "gateway", "--gateway", a.addr),
	} {
		t.Run(mode, func(t *testing.T) {
			k := admin.mustIssue(t, "acme")
			g.accepts(t, k)
			prefix, jwt := jwks.CutPrefix(k.Token)
			if code := g.get(t, jwt); prefix != "acme-live-" || code == http.StatusOK != (mode == "gateway") {
				t.Errorf("the prefix %q; %d without it", prefix, code)
			}
			access := admin.exchanged(t, k)
			g.until(t, time.Now(), http.StatusOK, access, cacheTime+slack)
			if prefix, _ := jwks.CutPrefix(access); prefix != "" {
				t.Errorf("an access token has the prefix %q", prefix)
			}
			var next key
			check(t, admin.call(http.MethodPost, "/v1/workspaces/acme/keys/"+k.ID+"/rotate", map[string]any{"grace": "0s"}, &next))
			g.accepts(t, next)
			g.until(t, time.Now(), http.StatusUnauthorized, k.Token, cacheTime+slack)
			took := g.refusesAfter(t, next, func(t testing.TB, k key) {
				resp, err := plainHTTP.PostForm(s.issuer("acme")+"/revoke", map[string][]string{"token": {k.Token}})
				check(t, err)
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					t.Fatalf("the revocation by possession gets %s", resp.Status)
				}
			})
			t.Logf("refused after %s", took)
		})
	}
}
