package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
	"github.com/burnkey/burnkey/store/postgres/pgtest"
)

// exchangers are two servers with one PostgreSQL, an HAProxy that balances requests between them, and verifiers of access tokens:
// the gateway service, and two that know only the JWKS.
type exchangers struct {
	servers []*server
	front   *server // the balancer, which is not a process of its own
	admin   *client // of the first server
	door    *door
	judges  map[string]judge // by name
}

// startHAProxy runs the configuration of the page about several servers in front of two servers.
func startHAProxy(t *testing.T, listen string, servers []*server) {
	t.Helper()
	if _, err := exec.LookPath("haproxy"); err != nil {
		absent(t, "no haproxy: tools/patroni.sh installs it on Debian")
	}
	page, err := readPage("docs/operate/several-servers.md")
	check(t, err)
	i := slices.IndexFunc(page.blocks, func(b *docsBlock) bool { return b.language == "haproxy" })
	text := strings.NewReplacer("127.0.0.1:8088", listen, "127.0.0.1:8080", servers[0].addr, "127.0.0.1:8081", servers[1].addr).
		Replace(page.blocks[i].text)
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	check(t, os.WriteFile(file, []byte(text), 0o600))
	startProgram(t, environment(), []string{"haproxy", "-db", "-f", file})
	front := &server{url: "http://" + listen}
	eventually(t, "the balancer is ready", func() bool { code, _ := front.get("/readyz"); return code == http.StatusOK })
}

func startExchangers(t *testing.T) *exchangers {
	t.Helper()
	envoytest.Binary(t)
	listen := envoytest.FreeAddr(t)
	x := &exchangers{front: &server{t: t, url: "http://" + listen}, judges: make(map[string]judge)}
	x.servers = startSeveral(t, 2, pgtest.Start(t, nil).Database(t), "--public-url", x.front.url)
	startHAProxy(t, listen, x.servers)
	x.admin = x.servers[0].admin()
	check(t, x.admin.call(http.MethodPost, "/v1/workspaces", map[string]any{"id": "acme", "audiences": []string{clientsAudience}}, nil))
	x.admin.mustExchange(t, "acme")
	x.judges["Envoy"] = gate(strings.TrimPrefix(startGateway(t, x.front, "acme").url, "http://"))
	argv, err := newWorkshop(t).argv(t, "python", "with_pyjwt")
	check(t, err)
	x.judges["PyJWT"], _ = startProgram(t, environment("ISSUER="+x.front.issuer("acme"), "JWKS_URI="+x.front.jwksURL("acme"),
		"AUDIENCE="+clientsAudience, "SETTING=page"), argv)
	x.door = newDoor(t, x.front.url, "--workspace", "acme")
	x.door.start()
	x.door.ready()
	return x
}

// accept waits until all verifiers accept a token.
func (x *exchangers) accept(t *testing.T, token string) {
	t.Helper()
	x.door.until(token, http.StatusOK)
	for name, j := range x.judges {
		if s := until(j, token, true, patience); s.Over {
			t.Errorf("%s does not accept an access token: %s", name, j.judge(token))
		}
	}
}

// TestE2EExchange runs two servers, and kills one. Access tokens of both are valid at all verifiers. When their key is revoked, the
// gateway service refuses them, and verifiers that know only the JWKS accept them until they expire.
func TestE2EExchange(t *testing.T) {
	t.Parallel()
	x := startExchangers(t)
	k := x.admin.mustIssue(t, "acme")
	tokens := []string{x.admin.exchanged(t, k), x.admin.as(x.servers[1]).exchanged(t, k)}
	x.atTheOther(t)
	x.killOne(t, k)
	watching := x.untilExpiry(t) // a verifier whose fetch is cut off would refuse a token too early
	for _, token := range tokens {
		x.accept(t, token)
	}
	if a, b := kid(t, tokens[0]), kid(t, tokens[1]); a == b || !x.servers[0].publishes(key{Workspace: "acme", KID: b}) {
		t.Errorf("kids %s and %s", a, b)
	}
	check(t, x.ends(t, scale(t, "BURNKEY_E2E_EXCHANGE_REVOCATIONS", 20, 8)))

	x.admin.mustRevoke(t, k)
	if _, code, err := x.admin.exchange("acme", k.Token); code != http.StatusUnauthorized {
		t.Errorf("a revoked key is exchanged: %d, %v", code, err)
	}
	for _, token := range tokens {
		x.door.until(token, http.StatusUnauthorized)
	}
	for name, j := range x.judges {
		if s := until(j, k.Token, false, ciClientsSlack+5*time.Second); s.Over {
			t.Errorf("%s accepts the revoked key", name)
		}
	}
	watching.Wait()
}

// atTheOther exchanges and introspects each key at the server that did not issue it.
func (x *exchangers) atTheOther(t *testing.T) {
	for i := range 5 {
		issuer, other := x.admin.as(x.servers[i%2]), x.admin.as(x.servers[(i+1)%2])
		for _, use := range []string{"exchange", "introspection"} {
			k := issuer.mustIssue(t, "acme")
			if use == "exchange" {
				if _, code, err := other.exchange("acme", k.Token); err != nil || code != http.StatusOK {
					t.Errorf("a new key of the other server is not exchanged: %d, %v", code, err)
				}
			} else if active, err := other.introspect("acme", k.Token); err != nil || !active {
				t.Errorf("a new key of the other server is introspected: active %t, %v", active, err)
			}
		}
	}
}

func (c *client) introspect(workspace, token string) (active bool, err error) {
	r, err := http.NewRequest(http.MethodPost, c.url+"/v1/auth/oauth/"+workspace+"/introspect",
		strings.NewReader(url.Values{"token": {token}}.Encode()))
	if err != nil {
		return false, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("resource-server", c.token)
	resp, err := plainHTTP.Do(r)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return false, fmt.Errorf("introspection: %s", resp.Status)
	}
	var got struct{ Active bool }
	return got.Active, json.NewDecoder(resp.Body).Decode(&got)
}

// An attempt is an exchange through the balancer.
type attempt struct {
	start, end time.Time
	kid        string
	code       int
	err        error
}

// killOne kills a server while clients exchange a key through the balancer.
func (x *exchangers) killOne(t *testing.T, k key) {
	t.Helper()
	h := &http.Client{Timeout: time.Minute, Transport: &http.Transport{}}
	defer h.CloseIdleConnections()
	var (
		mu   sync.Mutex
		all  []attempt
		work sync.WaitGroup
	)
	stop := make(chan struct{})
	for range 4 {
		work.Go(func() {
			for tick := time.NewTicker(20 * time.Millisecond); ; {
				select {
				case <-stop:
					tick.Stop()
					return
				case <-tick.C:
				}
				a := attempt{start: time.Now()}
				var token string
				token, a.code, a.err = x.admin.as(x.front).exchangeBy(h, "acme", k.Token)
				if a.end = time.Now(); token != "" {
					a.kid = kid(t, token)
				}
				mu.Lock()
				all = append(all, a)
				mu.Unlock()
			}
		})
	}
	count := func(since time.Time) (n int, kids map[string]int) {
		mu.Lock()
		defer mu.Unlock()
		kids = make(map[string]int)
		for _, a := range all {
			if a.start.After(since) {
				n++
				if a.kid != "" { // or it was refused or cut off
					kids[a.kid]++
				}
			}
		}
		return n, kids
	}
	eventually(t, "both servers exchange", func() bool { n, kids := count(time.Time{}); return n > 100 && len(kids) > 1 })
	began := time.Now()
	x.servers[1].kill()
	killed := time.Now()
	noticed := killed.Add(2 * time.Second) // until then, a busy balancer may use a connection to the server
	eventually(t, "exchanges go on", func() bool { n, _ := count(noticed); return n > 200 })
	close(stop)
	work.Wait()
	cut := 0
	for _, a := range all {
		switch {
		case a.err == nil && a.code == http.StatusOK:
		case a.start.Before(noticed) && a.end.After(began):
			cut++
		default:
			t.Errorf("an exchange %s after the end of a server: %d, %v", a.start.Sub(killed), a.code, a.err)
		}
	}
	if _, kids := count(killed); len(kids) != 1 {
		t.Errorf("kids after the end of a server: %v", kids)
	}
	if cut > 20 {
		t.Errorf("%d exchanges were cut off", cut)
	}
	t.Logf("%d exchanges, of which %d were cut off as a server was killed", len(all), cut)
}

// ends revokes keys, and logs how soon the gateway refused their access tokens.
func (x *exchangers) ends(t *testing.T, n int) error {
	var took spread
	for range n {
		k := x.admin.mustIssue(t, "acme")
		access := x.admin.exchanged(t, k)
		x.door.until(access, http.StatusOK)
		x.admin.mustRevoke(t, k)
		start := time.Now()
		for {
			code, err := x.door.ask(access)
			if err != nil {
				return err
			}
			if code == http.StatusUnauthorized {
				break
			}
			if time.Since(start) > patience {
				return fmt.Errorf("%d after a revocation", code)
			}
		}
		took = append(took, time.Since(start))
	}
	t.Logf("after the answer to a revocation, the gateway refused the access tokens of the key within %s", took)
	return nil
}

// untilExpiry exchanges a key that expires soon, so that its access token does, too, and revokes the key. In the background, it
// checks that verifiers that know only the JWKS accept the access token until then; the caller waits for that.
func (x *exchangers) untilExpiry(t *testing.T) (watching *sync.WaitGroup) {
	t.Helper()
	k := x.admin.mustIssue(t, "acme", "expires_in", 60)
	token := x.admin.exchanged(t, k)
	x.accept(t, token)
	x.admin.mustRevoke(t, k)
	x.door.until(token, http.StatusUnauthorized)
	watching = new(sync.WaitGroup)
	t.Cleanup(watching.Wait)
	for name, j := range x.judges {
		watching.Go(func() {
			s := until(j, token, false, 3*time.Minute)
			late := time.Since(k.ExpiresAt.Truncate(time.Second))
			t.Logf("%s refused the access token of a revoked key %s after it expired", name, late.Round(10*time.Millisecond))
			if leeway := 10 * time.Second; s.Over || late < 0 || late > leeway+ciClientsSlack {
				t.Errorf("%s: refused %s after it expired", name, late)
			}
		})
	}
	return watching
}
