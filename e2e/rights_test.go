package e2e_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/burnkey/burnkey/store/postgres/pgtest"
)

// visitor uses a portal session without a browser.
type visitor struct{ url, workspace, cookie string }

// visit opens a link.
func visit(t testing.TB, s *server, workspace, link string) *visitor {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, link, nil)
	check(t, err)
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	req.Header.Set("Sec-Fetch-Dest", "document")
	req.Header.Set("Sec-Fetch-User", "?1")
	resp, err := plainHTTP.Transport.RoundTrip(req)
	check(t, err)
	defer resp.Body.Close()
	if len(resp.Cookies()) == 0 {
		t.Fatalf("the link sets no cookie: %s", resp.Status)
	}
	c := resp.Cookies()[0]
	return &visitor{s.url, workspace, c.Name + "=" + c.Value}
}

// post sends a form to a path of the workspace and returns the status.
func (v *visitor) post(client *http.Client, origin, path string, form url.Values) (int, error) {
	_, secret, _ := strings.Cut(v.cookie, "=")
	sum := sha256.Sum256([]byte("csrf" + secret))
	form.Set("csrf", base64.RawURLEncoding.EncodeToString(sum[:]))
	req, err := http.NewRequest(http.MethodPost, v.url+"/portal/"+path, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Cookie", v.cookie)
	req.Header.Set("Origin", origin)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

var onces atomic.Int64

func newForm(scope string) url.Values {
	form := url.Values{
		"name": {"of a form"}, "expiry": {"86400"}, "once": {fmt.Sprintf("%022d", onces.Add(1))},
	}
	if scope != "" {
		form.Set("scopes", scope)
	}
	return form
}

// rightsCase is a way to request many keys, and a way to revoke the right to request them.
type rightsCase struct {
	name string
	// begin prepares a round. It returns a function that requests one key, and a function that ends the right
	// to do so.
	begin func(r *rightsRound) (ask func(i int) error, end func())
}

type rightsRound struct {
	t       *testing.T
	servers []*server
	admin   *client
	number  int64
	asks    int
}

// one is the server that receives the requests; other is the server on which the right is ended.
func (r *rightsRound) one() *server   { return r.servers[0] }
func (r *rightsRound) other() *client { return r.admin.as(r.servers[len(r.servers)-1]) }

func (r *rightsRound) writer() (*client, key) {
	k := r.admin.mustIssue(r.t, "burnkey", "scopes", []string{"keys:write", "keys:read"})
	return &client{r.one().url, k.Token}, k
}

// owner returns a different owner for each round and case, since the number of changes per owner is limited.
func (r *rightsRound) owner() string { return fmt.Sprint("owner-", r.number) }

func (r *rightsRound) patch(policy map[string]any) {
	check(r.t, r.other().call(http.MethodPatch, "/v1/workspaces/acme", map[string]any{"policy": policy}, nil))
}

var rightsCases = []rightsCase{
	{"a key that issues is revoked", func(r *rightsRound) (func(int) error, func()) {
		c, k := r.writer()
		return func(i int) error { _, err := c.issue("acme", map[string]any{"owner": fmt.Sprint("o", i)}); return err },
			func() { r.other().mustRevoke(r.t, k) }
	}},
	{"a key that rotates is revoked", func(r *rightsRound) (func(int) error, func()) {
		c, k := r.writer()
		old := make([]key, r.asks)
		parallel(8, len(old), func(i int) { old[i] = r.admin.mustIssue(r.t, "acme") })
		return func(i int) error {
			return c.call(http.MethodPost, "/v1/workspaces/acme/keys/"+old[i].ID+"/rotate", map[string]any{"grace": "0s"}, nil)
		}, func() { r.other().mustRevoke(r.t, k) }
	}},
	{"a session is ended", func(r *rightsRound) (func(int) error, func()) {
		v := visit(r.t, r.one(), "acme", r.admin.portalLink(r.t, "acme", r.owner()))
		return r.form(v, "maps:read"), func() {
			check(r.t, r.other().call(http.MethodDelete, "/v1/workspaces/acme/portal-sessions?owner="+r.owner(), nil, nil))
		}
	}},
	{"a session's maker is revoked", func(r *rightsRound) (func(int) error, func()) {
		c, k := r.writer()
		v := visit(r.t, r.one(), "acme", c.portalLink(r.t, "acme", r.owner()))
		return r.form(v, "maps:read"), func() { r.other().mustRevoke(r.t, k) }
	}},
	{"a scope is no longer offered", func(r *rightsRound) (func(int) error, func()) {
		v := visit(r.t, r.one(), "acme", r.admin.portalLink(r.t, "acme", r.owner()))
		return r.form(v, "maps:write"), func() {
			r.patch(map[string]any{"scopes": []map[string]any{{"name": "maps:read"}}})
		}
	}},
	{"fewer keys are allowed", func(r *rightsRound) (func(int) error, func()) {
		c, _ := r.writer()
		return func(int) error { _, err := c.issue("acme", map[string]any{"owner": r.owner()}); return err },
			func() { r.patch(map[string]any{"keys_per_owner": 1}) }
	}},
}

func (r *rightsRound) form(v *visitor, scope string) func(int) error {
	return func(int) error {
		code, err := v.post(plainHTTP, r.servers[0].url, "acme/keys", newForm(scope))
		if err == nil && code != http.StatusOK {
			err = &statusError{status: code}
		}
		return err
	}
}

// TestE2ERightsAtTheMomentOfEffect checks that no key is issued after the right to it was ended and the end was
// answered, even if many requests were waiting for a minting process. BURNKEY_E2E_RIGHTS=10 and
// BURNKEY_E2E_RIGHTS_ASKS=120 turn the test into a soak test.
func TestE2ERightsAtTheMomentOfEffect(t *testing.T) {
	rounds, asks := scale(t, "BURNKEY_E2E_RIGHTS", 1, 1), scale(t, "BURNKEY_E2E_RIGHTS_ASKS", 30, 30)
	pg := pgtest.Start(t, nil)
	for name, servers := range map[string][]*server{
		"SQLite": {startServer(t)}, "two servers on PostgreSQL": startSeveral(t, 2, pg.Database(t)),
	} {
		admin := servers[0].admin()
		admin.mustCreate(t, "acme")
		for _, c := range rightsCases {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				for range rounds {
					r := &rightsRound{t, servers, admin, onces.Add(1), asks}
					admin.mustPatch(t, "acme", map[string]any{"scopes": scopesOfMaps()["scopes"], "keys_per_owner": nil}, nil)
					r.run(c)
				}
			})
		}
	}
}

func (r *rightsRound) run(c rightsCase) {
	r.t.Helper()
	ask, end := c.begin(r)
	came := make(chan struct{}, r.asks)
	refusals := new(sync.Map)
	var all sync.WaitGroup
	for i := range r.asks {
		all.Go(func() {
			if err := ask(i); err == nil {
				came <- struct{}{}
			} else {
				n, _ := refusals.LoadOrStore(err.Error(), new(atomic.Int64))
				n.(*atomic.Int64).Add(1)
			}
		})
	}
	finished := make(chan struct{})
	go func() { all.Wait(); close(finished) }()
	for range 2 { // the others wait, except those being minted
		select {
		case <-came:
		case <-finished: // both may be true
			select {
			case <-came:
			default:
				r.t.Fatalf("no key came out: %s", tally(refusals))
			}
		}
	}
	end()
	at, err := r.other().version("acme")
	check(r.t, err)
	answered := time.Now()
	<-finished
	after, err := r.other().version("acme")
	check(r.t, err)
	if after != at {
		r.t.Errorf("%d versions of %d requests came after the answer", after-at, r.asks)
	}
	r.t.Logf("%d came out; the last of the others was told %s after the answer: %v", len(came)+2,
		time.Since(answered).Round(time.Millisecond), tally(refusals))
}

func tally(m *sync.Map) string {
	var b strings.Builder
	m.Range(func(text, n any) bool { fmt.Fprintf(&b, "%d× %.60s; ", n.(*atomic.Int64).Load(), text); return true })
	return b.String()
}

// TestE2EOneCustomerCrowdsNobodyOut has a customer with the maximum number of keys request more over many
// connections. Other customers must get their keys as usual, and no key pair must be made for a refused
// request. BURNKEY_E2E_FLOOD=20 floods for 20 seconds.
func TestE2EOneCustomerCrowdsNobodyOut(t *testing.T) {
	const connections = 300
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	admin.mustCreate(t, "beta")
	admin.mustPatch(t, "acme", map[string]any{"keys_per_owner": 1}, nil)
	admin.mustIssue(t, "acme", "owner", "greedy")
	v := visit(t, s, "acme", admin.portalLink(t, "acme", "greedy"))
	many := &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	t.Cleanup(many.CloseIdleConnections)
	stop := make(chan struct{})
	var flood sync.WaitGroup
	codes := new(sync.Map)
	for range connections {
		flood.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				code, err := v.post(many, s.url, "acme/keys", newForm(""))
				n, _ := codes.LoadOrStore(fmt.Sprint(code, err), new(atomic.Int64))
				n.(*atomic.Int64).Add(1)
			}
		})
	}
	issued := int64(1)
	var took spread
	until := time.Now().Add(time.Duration(scale(t, "BURNKEY_E2E_FLOOD", 3, 3)) * time.Second)
	for ; len(took) == 0 || time.Now().Before(until); issued++ {
		begun := time.Now()
		admin.mustIssue(t, []string{"acme", "beta"}[issued%2], "owner", fmt.Sprint("modest-", issued))
		took = append(took, time.Since(begun))
	}
	close(stop)
	flood.Wait()
	t.Logf("others' keys, %s; the flood was told %s", took, tally(codes))
	if longest := took[len(took)-1]; longest > patience {
		t.Errorf("another customer waited %s for a key", longest)
	}
	// The metric may also count the tombstones of the three workspaces.
	if made, _ := s.metric("burnkey_mint_duration_seconds_count"); made != float64(issued+1+3) && made != float64(issued+1) {
		t.Errorf("%v key pairs were made for %d keys", made, issued+1)
	}
}
