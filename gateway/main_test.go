package gateway

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is a key pair of the tests: unlike those of the product, it signs often.
type pair struct {
	private *rsa.PrivateKey
	key     jwks.Key
}

func (p pair) kid() jwks.KID { return p.key.KID() }

func newPair() pair {
	private, err := rsa.GenerateKey(rand.Reader, jwks.ModulusBits)
	if err != nil {
		panic(err)
	}
	key, err := jwks.FromPublicKey(&private.PublicKey)
	if err != nil {
		panic(err)
	}
	return pair{private, key}
}

// own, other and tombstone are made once for all tests.
var own, other, tombstone = sync.OnceValue(newPair), sync.OnceValue(newPair), sync.OnceValue(newPair)

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// token signs a payload as the minting process does.
func (p pair) token(payload string) string {
	signed := encode(`{"alg":"RS256","kid":"`+p.key.KID().String()+`","typ":"JWT"}`) + "." + encode(payload)
	digest := sha256.Sum256([]byte(signed))
	sig, err := rsa.SignPKCS1v15(nil, p.private, crypto.SHA256, digest[:])
	if err != nil {
		panic(err)
	}
	return signed + "." + encode(string(sig))
}

const publicURL = "https://auth.example.com"

// payload is that of a good token of a workspace; the pairs replace parts of it.
func payload(workspace string, replace ...string) string {
	text := `{"iss":"` + publicURL + issuerPath + workspace +
		`","sub":"cust_1","aud":["maps","x"],"jti":"key-1","iat":1,"scope":"maps:read tiles:read"}`
	return strings.NewReplacer(replace...).Replace(text)
}

// origin is a server to follow: the real Handler and Stream for any number of
// workspaces, and the list of them.
type origin struct {
	*httptest.Server
	tb      testing.TB
	closing chan struct{}

	mu    sync.Mutex
	index map[string]*publish.Index
	log   map[string][]jwks.Change
	page  int                                                    // workspaces on a page of the list
	hook  func(w http.ResponseWriter, r *http.Request) (ok bool) // answers in its own way
	lists int
	sets  map[string]int // how often each workspace's set was asked for

	reports []sentReport
}

const managementKey = "the-management-key"

func newOrigin(tb testing.TB, workspaces ...string) *origin {
	tb.Helper()
	o := &origin{tb: tb, closing: make(chan struct{}), sets: map[string]int{}, index: map[string]*publish.Index{}, log: map[string][]jwks.Change{}, page: 2}
	for _, id := range workspaces {
		o.create(id)
	}
	find := func(r *http.Request) (*publish.Index, bool) {
		o.mu.Lock()
		defer o.mu.Unlock()
		index, ok := o.index[r.PathValue("ws")]
		return index, ok
	}
	sets := &publish.Handler{Set: func(r *http.Request) (*publish.Set, bool) {
		o.count(r.PathValue("ws"))
		index, ok := find(r)
		if !ok {
			return nil, false
		}
		return index.Set(), true
	}}
	stream := publish.NewStream(find, func(r *http.Request, after uint64, limit int) ([]jwks.Change, error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		log := o.log[r.PathValue("ws")]
		if after < 1 || after > uint64(len(log)+1) {
			return nil, publish.ErrTooOld
		}
		return log[after-1 : min(int(after)-1+limit, len(log))], nil
	})
	stream.Heartbeat, stream.Closing = 50*time.Millisecond, o.closing
	mux := http.NewServeMux()
	mux.Handle(issuerPath+"{ws}/.well-known/jwks.json", sets)
	mux.Handle(issuerPath+"{ws}/changes", stream)
	mux.HandleFunc("GET /v1/workspaces", o.list)
	mux.HandleFunc("POST /v1/workspaces/{ws}/usage", o.takeReport)
	mux.HandleFunc("GET "+issuerPath+"{ws}"+metadataPath, o.metadata)
	o.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		hook := o.hook
		o.mu.Unlock()
		if hook == nil || !hook(w, r) {
			mux.ServeHTTP(w, r)
		}
	}))
	o.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	o.Start()
	tb.Cleanup(o.stop)
	return o
}

func (o *origin) stop() {
	o.mu.Lock()
	select {
	case <-o.closing:
	default:
		close(o.closing)
	}
	o.mu.Unlock()
	o.Close()
}

func (o *origin) create(id string) {
	var b publish.Builder
	check(o.tb, b.Add(tombstone().key))
	set, err := b.Set(1)
	check(o.tb, err)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.index[id] = publish.NewIndex(set)
}

func (o *origin) drop(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.index, id)
}

func (o *origin) change(id string, add []jwks.Key, remove ...jwks.KID) {
	o.tb.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	c := jwks.Change{Version: o.index[id].Set().Version() + 1, Add: add, Remove: remove}
	o.log[id] = append(o.log[id], c)
	check(o.tb, o.index[id].Apply(c))
}

// publish adds a key to a workspace.
func (o *origin) publish(id string, p pair) { o.tb.Helper(); o.change(id, []jwks.Key{p.key}) }

func (o *origin) setHook(hook func(w http.ResponseWriter, r *http.Request) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hook = hook
}

// listed returns how often the list was asked for.
func (o *origin) listed() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lists
}

func (o *origin) count(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sets[id]++
}

// askedFor returns how often a workspace's set was asked for.
func (o *origin) askedFor(id string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sets[id]
}

func (o *origin) list(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lists++
	if r.Header.Get("Authorization") != "Bearer "+managementKey {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	type item struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	found, next := []item{}, (*string)(nil)
	var ids []string
	for id := range o.index {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		if id <= r.FormValue("cursor") {
			continue
		}
		if len(found) == o.page {
			next = &found[len(found)-1].ID
			break
		}
		found = append(found, item{id, "The " + id})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"workspaces": found, "next_cursor": next})
}

// metadata says whose the tokens are.
func (o *origin) metadata(w http.ResponseWriter, r *http.Request) {
	_ = json.NewEncoder(w).Encode(map[string]any{"issuer": publicURL + r.URL.Path[:len(r.URL.Path)-len(metadataPath)], "jwks_uri": "x"})
}

func isList(r *http.Request) bool { return r.URL.Path == "/v1/workspaces" }

// outage answers nothing but 503.
func outage(w http.ResponseWriter, _ *http.Request) bool {
	w.WriteHeader(http.StatusServiceUnavailable)
	return true
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func eventually(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-deadline:
			tb.Fatalf("not within 20 s: %s", what)
		case <-tick.C:
		}
	}
}

// clock is one that a test moves on.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

func keyOf(text string) func() (string, error) { return func() (string, error) { return text, nil } }

func listing(ids ...string) string {
	var items []string
	for _, id := range ids {
		items = append(items, fmt.Sprintf(`{"id":%q}`, id))
	}
	return `{"workspaces":[` + strings.Join(items, ",") + `],"next_cursor":null}`
}
