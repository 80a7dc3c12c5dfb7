package e2e_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
	"github.com/burnkey/burnkey/jwks"
)

// A gate is a gateway of the matrix, which judges the token of a request.
type gate string

func (g gate) judge(token string) string {
	r, err := http.NewRequest(http.MethodGet, "http://"+string(g)+"/", nil)
	if err != nil {
		return err.Error()
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := plainHTTP.Transport.RoundTrip(r)
	if err != nil {
		return err.Error()
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return resp.Status
	}
	return ""
}

func nothing() {}

// openEnvoy runs Envoy as it is rendered.
func openEnvoy(t *testing.T, m *matrix, workspace, _ string) (judge, func(), error) {
	addr := envoytest.FreeAddr(t)
	text := m.render(t, workspace, "bootstrap", "--listen", addr, "--admin", envoytest.FreeAddr(t), "--public-url", m.front.secure.URL)
	envoytest.Start(t, text)
	return gate(addr), nothing, nil
}

// openESPv2 runs Envoy as ESPv2 configures it; at its defaults, with ESPv2's cache of tokens and its age of keys.
func openESPv2(t *testing.T, m *matrix, workspace, setting string) (judge, func(), error) {
	addr := envoytest.FreeAddr(t)
	text := m.render(t, workspace, "espv2", "--service-name", "api.acme.example", "--public-url", m.front.secure.URL)
	if setting == "default" {
		text = strings.NewReplacer("--jwt_cache_size=0", "", "--jwks_cache_duration_in_s=5", "").Replace(text)
	}
	envoytest.Start(t, envoytest.ESPv2(t, text, addr, m.front.plain.Listener.Addr().String()))
	return gate(addr), nothing, nil
}

func (m *matrix) render(t *testing.T, workspace, format string, flags ...string) string {
	t.Helper()
	args := append([]string{
		"envoy", "config", "--format", format, "--server", m.front.plain.URL, "--workspace", workspace,
		"--audience", clientsAudience, "--upstream", m.api,
	}, flags...)
	return run(t, args...).stdout
}

// openApache runs the configuration of Apache's page, with the addresses of the test and without TLS in front of the server.
func openApache(t *testing.T, m *matrix, workspace, setting string) (judge, func(), error) {
	if !exists("/usr/lib/apache2/modules/mod_auth_openidc.so") {
		return nil, nil, fmt.Errorf("%w Apache with mod_auth_openidc", errMissing)
	}
	addr, dir := envoytest.FreeAddr(t), t.TempDir()
	check(t, os.Chmod(filepath.Dir(dir), 0o711)) // for Apache's own user
	page, err := readPage("docs/howto/gateways/apache.md")
	check(t, err)
	text, _, _ := strings.Cut(page.blocks[0].text, "# Only for the example")
	path := "/v1/auth/oauth/" + workspace
	text = strings.NewReplacer(
		"https://127.0.0.1:8443/v1/auth/oauth/acme", m.front.secure.URL+path,
		"http://127.0.0.1:8080/v1/auth/oauth/acme", m.front.secure.URL+path,
		"127.0.0.1:10000", addr, "127.0.0.1:9000", m.api, "${PWD}/cert.pem", m.front.caFile, "${PWD}", dir,
	).Replace(text)
	if setting == "default" {
		text = strings.Replace(text, "OIDCJWKSRefreshInterval 300", "", 1)
	}
	file := filepath.Join(dir, "apache.conf")
	check(t, os.WriteFile(file, []byte(text), 0o644))
	_, stop := startProgram(t, environment(), []string{"apache2", "-f", file, "-DFOREGROUND"})
	return gate(addr), stop, nil
}

// openOAuth2Proxy runs oauth2-proxy, which finds the JWKS by the issuer's metadata.
func openOAuth2Proxy(t *testing.T, m *matrix, workspace, setting string) (judge, func(), error) {
	binary := filepath.Join(m.workshop.tools, "matrix", "bin", "oauth2-proxy")
	if !exists(binary) {
		return nil, nil, fmt.Errorf("%w oauth2-proxy", errMissing)
	}
	addr, issuer := envoytest.FreeAddr(t), m.front.secure.URL+"/v1/auth/oauth/"+workspace
	_, stop := startProgram(t, m.front.environ(workspace, setting), []string{
		binary, "--http-address", addr, "--upstream", "http://" + m.api, "--provider", "oidc", "--oidc-issuer-url", issuer,
		"--client-id", clientsAudience, "--client-secret", "unused", "--cookie-secret", strings.Repeat("c", 32), "--email-domain", "*",
		"--api-route", "^/", "--skip-jwt-bearer-tokens", "--extra-jwt-issuers", issuer + "=" + clientsAudience,
	})
	return gate(addr), stop, nil
}

// followed is Burnkey's own library.
type followed struct{ jwks.Verifier }

func (f *followed) judge(token string) string {
	_, err := f.Verify(token)
	if err != nil {
		return err.Error()
	}
	return ""
}

func openFollower(t *testing.T, m *matrix, workspace, _ string) (judge, func(), error) {
	path := "/v1/auth/oauth/" + workspace
	f, err := jwks.NewFollower(jwks.FollowerOptions{URL: m.front.plain.URL + path, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, nil, err
	}
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		if err := f.Run(ctx); err != nil {
			t.Errorf("the follower ended: %v", err)
		}
	}()
	v := jwks.Verifier{Keys: f, Issuer: jwks.IssuerIs(m.front.secure.URL + path), Audience: []string{clientsAudience}}
	return &followed{v}, stop, nil
}
