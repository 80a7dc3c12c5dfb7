package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/burnkey/burnkey/store/sqlite"
	"github.com/burnkey/burnkey/store/storetest"
)

const (
	clientsAudience = "acme-company"
	clientsFile     = "testdata/clients.json" // what `make clients` measured
	clientsSlack    = 4 * time.Second         // of measurements
	ciClientsSlack  = 30 * time.Second        // on a busy machine; at its defaults, a client accepts a revoked key for longer
	newKeyPatience  = 90 * time.Second        // at a client's defaults
)

// clientsSizes are the sizes of sets that each client loads.
var clientsSizes = []int{120, 1000, 8192}

// A matrix runs clients against a server.
type matrix struct {
	server   *server
	admin    *client
	front    *front
	workshop *workshop
	api      string        // an API for gateways to protect
	places   chan struct{} // of clients that compute, rather than wait
	wait     time.Duration // at a client's defaults: how long to wait for a refusal
	slack    time.Duration // added to what a page promises
	sets     map[int]key   // a key in each set of clientsSizes

	mu      sync.Mutex
	records []*record
}

func newMatrix(t *testing.T, wait time.Duration) *matrix {
	t.Helper()
	m := &matrix{
		front: newFront(t), workshop: newWorkshop(t), wait: wait, slack: clientsSlack, sets: map[int]key{}, places: make(chan struct{}, 3),
	}
	api := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(api.Close)
	m.api = api.Listener.Addr().String()
	m.server = newServer(t, "--public-url", m.front.secure.URL, "--log-level", "warn")
	m.front.forward(t, m.server)
	m.server.start()
	m.admin = m.server.admin()
	return m
}

// TestE2EClients runs clients that nobody here wrote with the settings of their pages. `make clients` sets BURNKEY_E2E_CLIENTS to
// "all", or to names separated by commas: each client is then also run at its defaults and measured in full, and "all" writes the
// results.
func TestE2EClients(t *testing.T) {
	chosen := os.Getenv("BURNKEY_E2E_CLIENTS")
	if chosen == "" {
		t.Parallel()
		ciClients(t)
		return
	}
	m := newMatrix(t, time.Duration(scale(t, "BURNKEY_E2E_CLIENTS_WAIT", 720, 720))*time.Second)
	for _, n := range clientsSizes {
		m.addSet(t, n)
	}
	var waiting sync.WaitGroup
	for _, l := range libraries {
		if chosen == "all" || slices.Contains(strings.Split(chosen, ","), l.name) {
			for _, setting := range l.settings() {
				waiting.Go(func() { m.measure(t, l, setting, &waiting) })
			}
		}
	}
	waiting.Wait()
	m.report(t)
	if chosen == "all" {
		m.write(t)
	}
}

// write writes the results, in the order of the list.
func (m *matrix) write(t *testing.T) {
	t.Helper()
	all, ordered := measurements{Records: m.records}, measurements{Date: time.Now().UTC().Format(time.DateOnly)}
	for _, l := range libraries {
		for _, setting := range l.settings() {
			if r := all.find(l, setting); r != nil {
				ordered.Records = append(ordered.Records, r)
			}
		}
	}
	text, err := json.MarshalIndent(ordered, "", "  ")
	check(t, err)
	check(t, os.WriteFile(clientsFile, append(text, '\n'), 0o644))
}

// ciClients checks the clients that are installed for other tests: each accepts a key, a new key, and refuses forged kids and the
// revoked key in time.
func ciClients(t *testing.T) {
	m := newMatrix(t, 0)
	m.slack = ciClientsSlack
	var waiting sync.WaitGroup
	for _, l := range libraries {
		if l.ci {
			c := m.open(t, l, "page", "ci")
			if c == nil {
				continue
			}
			c.forge(3)
			waiting.Go(c.life)
		}
	}
	waiting.Wait()
	m.report(t)
}

// measure runs a client with a setting. The long measurements go on after it has returned.
func (m *matrix) measure(t *testing.T, l candidate, setting string, waiting *sync.WaitGroup) {
	m.places <- struct{}{}
	defer func() { <-m.places }()
	c := m.open(t, l, setting, "life")
	if c == nil {
		return
	}
	waiting.Go(c.life)
	if o := c.again("outage"); o != nil {
		waiting.Go(o.outage)
	}
	if f := c.again("forged"); f != nil {
		f.forge(forgedKids)
		f.stop()
	}
	c.sizes()
	t.Logf("%s, %s: waiting for its caches", l.name, setting)
}

// addSet makes a workspace with a set of n keys, of which one has a token. The others have no private key.
func (m *matrix) addSet(t *testing.T, n int) {
	t.Helper()
	workspace := fmt.Sprint("set-", n)
	m.create(t, workspace)
	m.sets[n] = m.admin.mustIssue(t, workspace)
	st, err := sqlite.Open(t.Context(), m.server.databaseFile())
	check(t, err)
	defer st.Close()
	for i := range n - 2 { // with the token's key and the tombstone, n
		k := storetest.NewRecord(workspace, fmt.Sprint("cust_", i))
		k.CreatedAt, k.UpdatedAt, k.ExpiresAt = time.Now(), time.Now(), time.Time{}
		_, err := st.Issue(t.Context(), k, storetest.NewKey(t), nil)
		check(t, err)
	}
	eventually(t, "the set has all keys", func() bool { return m.server.mustPublished(workspace).size == n })
}

func (m *matrix) create(t *testing.T, workspace string) {
	t.Helper()
	in := map[string]any{"id": workspace, "audiences": []string{clientsAudience}}
	check(t, m.admin.call(http.MethodPost, "/v1/workspaces", in, nil))
}

// record returns the line of a client and setting, which is new the first time.
func (m *matrix) record(l candidate, setting string) *record {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := (measurements{Records: m.records}).find(l, setting); r != nil {
		return r
	}
	r := &record{Client: l.name, Setting: setting, Version: versions(l.pins)}
	m.records = append(m.records, r)
	return r
}

// report fails the test for each client that broke its page's promise.
func (m *matrix) report(t *testing.T) {
	t.Helper()
	if len(m.records) == 0 {
		t.Fatal("no client was run")
	}
	for _, r := range m.records {
		t.Run(r.Client+", "+r.Setting, func(t *testing.T) {
			text, err := json.Marshal(r)
			check(t, err)
			t.Logf("%s", text)
			if r.Missing != "" {
				absent(t, "not run: "+r.Missing)
			}
			if r.Problem != "" {
				t.Error(r.Problem)
			}
		})
	}
}

// open starts a client for a new workspace with one key, and returns once it has accepted the key.
func (m *matrix) open(t *testing.T, l candidate, setting, part string) *clientRun {
	t.Helper()
	workspace := fmt.Sprintf("c%d-%s-%s", slices.IndexFunc(libraries, func(o candidate) bool { return o.name == l.name }), setting, part)
	c := &clientRun{t: t, m: m, candidate: l, setting: setting, workspace: workspace, record: m.record(l, setting)}
	m.create(t, workspace)
	c.key = m.admin.mustIssue(t, workspace)
	var err error
	c.judge, c.stop, err = l.open(t, m, workspace, setting)
	if errors.Is(err, errMissing) {
		c.Missing = err.Error()
		return nil
	}
	check(t, err)
	if s := until(c.judge, c.key.Token, true, patience); s.Over {
		c.problem("a good key is refused: %s", c.judge.judge(c.key.Token))
		c.stop()
		return nil
	}
	return c
}
