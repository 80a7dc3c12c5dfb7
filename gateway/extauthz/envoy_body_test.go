package extauthz

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/deploy/envoy"
	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
)

// While Envoy waits for the decision, a part of the body arrives. It must count, and must not stop the request.
func TestEnvoyLimitsBodies(t *testing.T) {
	t.Parallel()
	s, _ := follow(t, nil)
	addr, _ := listenFor(t, s, envoytest.FreeAddr(t))
	f := envoyWith(t, envoy.Config{Gateways: []string{addr}, Edge: envoy.Edge{MaxBody: fmt.Sprint(envoy.MinBody)}})
	h2 := new(http.Protocols)
	h2.SetUnencryptedHTTP2(true)
	h1 := new(http.Protocols)
	h1.SetHTTP1(true)
	for name, protocols := range map[string]*http.Protocols{"HTTP/1.1": h1, "HTTP/2": h2} {
		transport := &http.Transport{Protocols: protocols}
		defer transport.CloseIdleConnections()
		for _, chunked := range []bool{false, true} {
			for _, n := range []int{1000, 40_000, 70_000, 140_000, envoy.MinBody - 1, envoy.MinBody, envoy.MinBody + 1, 3 * envoy.MinBody} {
				var body io.Reader = strings.NewReader(strings.Repeat("x", n))
				if chunked {
					body = io.MultiReader(body) // of unknown length
				}
				req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+f.addr+"/", body)
				check(t, err)
				req.Header.Set("Authorization", own().Bearer("acme"))
				resp, err := transport.RoundTrip(req)
				check(t, err)
				resp.Body.Close()
				if want := map[bool]int{true: 200, false: 413}[n <= envoy.MinBody]; resp.StatusCode != want {
					t.Errorf("%s, %d bytes, chunked %t: %d, want %d", name, n, chunked, resp.StatusCode, want)
				}
			}
		}
	}
}
