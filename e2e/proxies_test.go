package e2e_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestE2ETrustedProxies checks the client addresses in the audit log for the API, for revocation by possession,
// and for the portal.
func TestE2ETrustedProxies(t *testing.T) {
	run(t, "serve", "--trusted-proxies", "0.0.0.0/0").fails(t, "--trusted-proxies", "every address")
	for name, test := range map[string]struct{ proxies, want string }{
		"the proxy is trusted": {"192.0.2.0/24,127.0.0.1", "198.51.100.7"},
		"nobody is":            {"", "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, "--trusted-proxies="+test.proxies)
			actForwarded(t, s)
			froms := auditFroms(t, s.admin())
			for _, action := range []string{"workspace.create", "key.issue", "key.revoke", "session.start"} {
				if got := froms[action]; got != test.want {
					t.Errorf("%s: from %q, want %q", action, got, test.want)
				}
			}
			if !strings.Contains(s.log(), test.want) {
				t.Errorf("the log has no request from %s", test.want)
			}
		})
	}
}

// actForwarded makes each kind of call as if through a proxy, for a client that forged its address.
func actForwarded(t *testing.T, s *server) {
	t.Helper()
	header := http.Header{
		"X-Forwarded-For": {"203.0.113.1, 198.51.100.7"}, "X-Forwarded-Host": {"evil.example"}, "X-Forwarded-Proto": {"https"},
	}
	admin := s.admin()
	check(t, admin.callWith(http.MethodPost, "/v1/workspaces", header, map[string]any{"id": "acme"}, nil))
	var k key
	check(t, admin.callWith(http.MethodPost, "/v1/workspaces/acme/keys", header, map[string]any{"owner": "cust_1"}, &k))
	ask := func(method, to, body string) {
		r, err := http.NewRequest(method, to, strings.NewReader(body))
		check(t, err)
		r.Header = header.Clone()
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		r.Header.Set("Sec-Fetch-Dest", "document")
		resp, err := plainHTTP.Transport.RoundTrip(r)
		check(t, err)
		resp.Body.Close()
		if to := resp.Header.Get("Location"); strings.Contains(to, "evil.example") {
			t.Errorf("X-Forwarded-Host was believed: %s", to)
		}
	}
	ask(http.MethodPost, s.issuer("acme")+"/revoke", url.Values{"token": {k.Token}}.Encode())
	ask(http.MethodGet, admin.portalLink(t, "acme", "cust_1"), "")
}

// auditFroms returns, for each action, the client address in the last audit entry.
func auditFroms(t *testing.T, admin *client) map[string]string {
	t.Helper()
	var page struct {
		Entries []struct {
			Action string
			Actor  struct{ From string }
		}
	}
	check(t, admin.call(http.MethodGet, "/v1/workspaces/acme/audit", nil, &page))
	froms := make(map[string]string)
	for _, e := range page.Entries {
		froms[e.Action] = e.Actor.From
	}
	return froms
}
