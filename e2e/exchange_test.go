package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz/sign/shift"
	"github.com/burnkey/burnkey/jwks"
)

// mustExchange turns a workspace's exchange on.
func (c *client) mustExchange(t testing.TB, workspace string) {
	t.Helper()
	policy := map[string]any{"exchange": map[string]any{"enabled": true, "max_cache_age": 5, "per_minute": 60000}}
	check(t, c.call(http.MethodPatch, "/v1/workspaces/"+workspace, map[string]any{"policy": policy}, nil))
}

// exchange returns an access token for a key, or the status of the refusal.
func (c *client) exchange(workspace, token string) (string, int, error) {
	return c.exchangeBy(plainHTTP, workspace, token)
}

func (c *client) exchangeBy(h *http.Client, workspace, token string) (string, int, error) {
	resp, err := h.PostForm(c.url+"/v1/auth/oauth/"+workspace+"/token", url.Values{
		"grant_type": {"client_credentials"}, "client_secret": {token}, "expires_in": {"300"},
	})
	if err != nil {
		return "", 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	var got struct {
		AccessToken string `json:"access_token"`
	}
	if err == nil && resp.StatusCode == http.StatusOK {
		err = json.Unmarshal(text, &got)
	}
	return got.AccessToken, resp.StatusCode, err
}

// exchanged waits until the server exchanges the key.
func (c *client) exchanged(t testing.TB, k key) (access string) {
	t.Helper()
	eventually(t, "the key is exchanged", func() bool {
		token, _, err := c.exchange(k.Workspace, k.Token)
		access = token
		return err == nil && token != ""
	})
	return access
}

func kid(t testing.TB, token string) string {
	t.Helper()
	kid, err := jwks.KIDOf(token)
	check(t, err)
	return kid.String()
}

// signing returns the server's signing processes.
func (s *server) signing() (pids []int) {
	for _, pid := range sessionOf(s.pid()) {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if strings.HasSuffix(string(text), "\x00"+shift.Subcommand+"\x00") {
			pids = append(pids, pid)
		}
	}
	return pids
}

// TestE2EExchangeNothingToSteal lets shifts end, and reads all memory of the server and what it stored. The primes of a shift that
// has ended are nowhere, and those of the present one in no memory but its process's.
func TestE2EExchangeNothingToSteal(t *testing.T) {
	needsProc(t)
	t.Parallel()
	s := startServer(t, "--log-level", "debug", "--exchange-shift", "15s")
	admin := s.admin()
	admin.mustCreate(t, "acme")
	admin.mustExchange(t, "acme")
	k := admin.mustIssue(t, "acme")
	first, oldest := admin.exchanged(t, k), slices.Min(s.signing())
	got := loot{tokens: []string{first}}
	eventually(t, "the next shift signs", func() bool {
		token, _, err := admin.exchange("acme", k.Token)
		if err == nil && token != "" {
			got.tokens = append(got.tokens, token)
		}
		return token != "" && kid(t, token) != kid(t, first)
	})
	modulus := s.mustPublished("acme").moduli[kid(t, first)]
	if modulus == nil {
		t.Fatal("the JWK of the first shift is no longer published")
	}
	eventually(t, "the first process is gone", func() bool { return !slices.Contains(s.signing(), oldest) })
	got.moduli = moduliOf(s, "acme")
	got.files = collect(t, s).files
	t.Run("memory of the server", func(t *testing.T) { noPrimesInMemory(t, s, got.moduli) })
	t.Run("what is kept", func(t *testing.T) { noPrimesInFiles(t, got) })
	t.Run("tokens and signatures", func(t *testing.T) { noTokens(t, got) })
	t.Run("memory of the signing processes", func(t *testing.T) {
		scan := newScanner(moduliOf(s, "acme")) // meanwhile, another shift may have begun
		for _, pid := range s.signing() {
			scanProcess(t, scan, pid)
		}
		for _, prime := range scan.primes() {
			if new(big.Int).Rem(modulus, prime).Sign() == 0 {
				t.Error("a process has a prime of the shift that has ended")
			}
		}
		if len(scan.primes()) == 0 {
			t.Error("no process has a prime of its own shift: this shows nothing")
		}
	})
}
