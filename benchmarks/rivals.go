package main

import (
	"bytes"
	"context"
	cryptorand "crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// startRivals starts the other servers that issue access tokens, if tools/rivals.sh has installed them. The caller stops the
// servers that it returns, even if it also returns an error.
func (b *bench) startRivals(ctx context.Context) (all []*issuer, err error) {
	if b.o.quick {
		return nil, nil
	}
	pins, _ := os.ReadFile(filepath.Join(b.o.rivals, "pin.txt"))
	for _, r := range []struct {
		name, program, pin string
		start              func(context.Context, string) (*issuer, error)
	}{
		{"Keycloak", "keycloak/bin/kc.sh", "keycloak ", b.startKeycloak},
		{"Ory Hydra", "hydra", "hydra v", b.startHydra},
	} {
		program := filepath.Join(b.o.rivals, r.program)
		if _, err := os.Stat(program); err != nil {
			b.results.notes = append(b.results.notes, r.name+" is not installed, so the exchange was not compared with it")
			continue
		}
		b.say.step("%s starts", r.name)
		i, err := r.start(ctx, program)
		if err != nil {
			return all, fmt.Errorf("%s: %w", r.name, err)
		}
		i.name = r.name + " " + strings.Fields(field(pins, r.pin))[0]
		all = append(all, i)
	}
	return all, nil
}

const (
	rivalClient = "bench"
	rivalSecret = "for-loads-only-0123456789abcdef"
)

// rivalForm returns the request of the one client.
func rivalForm() []url.Values {
	return []url.Values{{"grant_type": {"client_credentials"}, "client_id": {rivalClient}, "client_secret": {rivalSecret}}}
}

// startKeycloak runs Keycloak in production mode, with its database in memory. It stores no token, and compares secrets as they are.
func (b *bench) startKeycloak(ctx context.Context, program string) (*issuer, error) {
	addr, port, err := freePort()
	if err != nil {
		return nil, err
	}
	realm := fmt.Sprintf(`{"realm": "bench", "enabled": true, "sslRequired": "none", "accessTokenLifespan": %s, "clients": [{"clientId": %q,
		"secret": %q, "serviceAccountsEnabled": true, "standardFlowEnabled": false, "fullScopeAllowed": false}]}`,
		accessLife, rivalClient, rivalSecret)
	imported := filepath.Join(filepath.Dir(filepath.Dir(program)), "data", "import")
	err = errors.Join(os.MkdirAll(imported, 0o700), os.WriteFile(filepath.Join(imported, "bench-realm.json"), []byte(realm), 0o600))
	if err != nil {
		return nil, err
	}
	p, err := startProcess(b.dir, "keycloak", program, "start", "--optimized", "--import-realm", "--cache=local", "--log-level=warn",
		"--http-enabled=true", "--http-host=127.0.0.1", "--http-port="+port, "--hostname=http://"+addr)
	if err != nil {
		return nil, err
	}
	i := &issuer{process: p, addr: addr, path: "/realms/bench/protocol/openid-connect/token", forms: rivalForm()}
	return i.orStop(ctx, nil)
}

// hydraConfig hashes secrets with the fewest iterations that Hydra allows; the default is 25,000.
const hydraConfig = `dsn: memory
serve: {public: {host: 127.0.0.1, port: %[1]s}, admin: {host: 127.0.0.1, port: %[2]s}}
urls: {self: {issuer: "http://127.0.0.1:%[1]s"}}
secrets: {system: [for-loads-only-0123456789abcdef]}
strategies: {access_token: jwt}
oauth2: {hashers: {algorithm: pbkdf2, pbkdf2: {iterations: 1}}}
ttl: {access_token: %[3]ss}
log: {level: warn}
sqa: {opt_out: true}
`

// startHydra runs Hydra with its database in memory. For each token, it reads its private key from there, and stores the token.
func (b *bench) startHydra(ctx context.Context, program string) (*issuer, error) {
	addr, port, err1 := freePort()
	admin, adminPort, err2 := freePort()
	file := filepath.Join(b.dir, "hydra.yaml")
	err3 := os.WriteFile(file, fmt.Appendf(nil, hydraConfig, port, adminPort, accessLife), 0o600)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	p, err := startProcess(b.dir, "hydra", program, "serve", "all", "--dev", "--config", file)
	if err != nil {
		return nil, err
	}
	i := &issuer{process: p, addr: addr, path: "/oauth2/token", forms: rivalForm()}
	err = p.until(ctx, time.Minute, "it was ready", func() bool { return answers(admin, get(admin, "/health/ready"), http.StatusOK) })
	if err == nil {
		err = prepareHydra(ctx, "http://"+admin+"/admin")
	}
	return i.orStop(ctx, err)
}

// prepareHydra registers the client, and gives Hydra a key as large as those of the others: by default, it has 4096 bits.
func prepareHydra(ctx context.Context, admin string) error {
	key, err := rsa.GenerateKey(cryptorand.Reader, jwks.ModulusBits)
	if err != nil {
		return err
	}
	return errors.Join(
		send(ctx, http.MethodPut, admin+"/keys/hydra.jwt.access-token", map[string]any{"keys": []any{privateJWK(key)}}),
		send(ctx, http.MethodPost, admin+"/clients", map[string]any{
			"client_id": rivalClient, "client_secret": rivalSecret, "grant_types": []string{"client_credentials"},
			"token_endpoint_auth_method": "client_secret_post",
		}),
	)
}

func privateJWK(key *rsa.PrivateKey) map[string]any {
	text := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }
	return map[string]any{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "bench", "n": text(key.N), "e": text(big.NewInt(int64(key.E))), "d": text(key.D),
		"p": text(key.Primes[0]), "q": text(key.Primes[1]),
		"dp": text(key.Precomputed.Dp), "dq": text(key.Precomputed.Dq), "qi": text(key.Precomputed.Qinv),
	}
}

func send(ctx context.Context, method, address string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s answered %s", address, response.Status)
	}
	return nil
}
