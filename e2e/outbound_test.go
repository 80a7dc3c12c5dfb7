package e2e_test

import (
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// TestE2EOutbound has a workspace name an OpenID provider on the server's own machine, while clients reach the
// server from elsewhere.
func TestE2EOutbound(t *testing.T) {
	run(t, "serve", "--outbound-allow", "10.0.0.1/8").fails(t, "--outbound-allow", "10.0.0.0/8")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer listener.Close()
	var reached atomic.Int32
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			reached.Add(1)
			_ = conn.Close()
		}
	}()
	for allow, want := range map[string]bool{"": false, "127.0.0.1": true} {
		reached.Store(0)
		s := startServer(t, "--public-url", "https://keys.example.test", "--outbound-allow", allow)
		admin := s.admin()
		admin.mustCreate(t, "acme")
		admin.mustPatch(t, "acme", nil, map[string]any{"oidc": map[string]any{
			"issuer": "https://" + listener.Addr().String(), "client_id": "burnkey", "owner_claim": "sub",
		}})
		if code, _ := s.get("/portal/acme/login"); code != http.StatusServiceUnavailable {
			t.Errorf("--outbound-allow=%s: a login answers %d", allow, code)
		}
		if got := reached.Load() > 0; got != want {
			t.Errorf("--outbound-allow=%s: the provider was reached: %v", allow, got)
		}
		if !want && !strings.Contains(s.log(), "--outbound-allow") {
			t.Error("the log does not say why")
		}
		s.stop()
	}
}
