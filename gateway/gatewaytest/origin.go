// Package gatewaytest provides a server that a gateway can follow in tests.
package gatewaytest

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
	"github.com/burnkey/burnkey/store"
)

const (
	// PublicURL is the base of an Origin's issuers.
	PublicURL = "https://auth.example.com"
	// MetadataPath is appended to the issuer to form the URL of its metadata.
	MetadataPath = "/.well-known/openid-configuration"
	// ManagementKey is the management key that an Origin accepts.
	ManagementKey = "the-management-key"
)

// An Origin is a test server for gateways. It serves the real Handler, Stream and Feed for any number of
// workspaces, and their list.
type Origin struct {
	*httptest.Server
	tb    testing.TB
	store memory

	mu      sync.Mutex
	serving *serving
	hook    func(w http.ResponseWriter, r *http.Request) (ok bool) // ok: it has answered
	feeds   int
	sets    map[string]int // how often each workspace's set was asked for
	reports []Report
}

// serving is what publishes the store's workspaces.
type serving struct {
	publisher *publish.Publisher
	stream    *publish.Stream
	closing   chan struct{}
}

// NewOrigin starts an Origin that runs until the test ends.
func NewOrigin(tb testing.TB, workspaces ...string) *Origin {
	tb.Helper()
	o := &Origin{tb: tb, sets: map[string]int{}, store: memory{logs: map[string][]jwks.Change{}}}
	for _, id := range workspaces {
		o.store.add(id, jwks.Change{Add: []jwks.Key{tombstone().Key}})
	}
	o.serve()
	sets := &publish.Handler{Set: func(r *http.Request) (*publish.Set, bool) {
		o.countSet(r.PathValue("ws"))
		return o.now().publisher.Set(r.PathValue("ws"))
	}}
	mux := http.NewServeMux()
	mux.Handle(jwks.IssuerPath+"{ws}"+jwks.SetPath, sets)
	mux.HandleFunc(jwks.IssuerPath+"{ws}"+jwks.ChangesPath, func(w http.ResponseWriter, r *http.Request) { o.now().stream.ServeHTTP(w, r) })
	mux.HandleFunc("POST "+jwks.FeedPath, o.feed)
	mux.HandleFunc("GET /v1/workspaces/{ws}/feed", o.feedSet)
	mux.HandleFunc("POST /v1/workspaces/{ws}/usage", o.takeReport)
	mux.HandleFunc("GET "+jwks.IssuerPath+"{ws}"+MetadataPath, o.metadata)
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
	tb.Cleanup(o.Stop)
	return o
}

// serve publishes the store again, like a server that was restarted, and ends all streams.
func (o *Origin) serve() {
	p := publish.NewPublisher(&o.store, nil)
	testkit.Check(o.tb, p.Load(o.tb.Context()))
	stream := publish.NewStream(
		func(r *http.Request) (*publish.Index, bool) { return p.Index(r.PathValue("ws")) },
		func(r *http.Request, after uint64, limit int) ([]jwks.Change, error) {
			changes, err := p.Changes(r.Context(), r.PathValue("ws"), after, limit)
			if errors.Is(err, store.ErrCompacted) {
				err = publish.ErrTooOld
			}
			return changes, err
		})
	closing := make(chan struct{})
	stream.Heartbeat, stream.Closing = 50*time.Millisecond, closing
	o.mu.Lock()
	defer o.mu.Unlock()
	o.end()
	o.serving = &serving{p, stream, closing}
	go keepCurrent(p, closing)
}

// keepCurrent reads the store every second, since a stream ends when its sets were not known to be current for long.
func keepCurrent(p *publish.Publisher, closing <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = p.Load(context.Background()) // a test sees what is missing
		case <-closing:
			return
		}
	}
}

// end ends all streams. The caller holds the lock.
func (o *Origin) end() {
	if o.serving == nil {
		return
	}
	select {
	case <-o.serving.closing:
	default:
		close(o.serving.closing)
	}
}

func (o *Origin) now() *serving {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.serving
}

// Stop ends the server and all its streams.
func (o *Origin) Stop() {
	o.mu.Lock()
	o.end()
	o.mu.Unlock()
	o.Close()
}

// Create adds a workspace that publishes one key.
func (o *Origin) Create(id string) { o.tb.Helper(); o.CreateWith(id, jwks.Change{}) }

// CreateWith adds a workspace whose first version has the tombstone and a change.
func (o *Origin) CreateWith(id string, c jwks.Change) {
	o.tb.Helper()
	c.Add = append([]jwks.Key{tombstone().Key}, c.Add...)
	o.store.add(id, c)
	testkit.Check(o.tb, o.now().publisher.Load(context.Background()))
}

// Drop removes a workspace.
func (o *Origin) Drop(id string) {
	o.store.drop(id)
	o.serve()
}

// Change publishes keys of a workspace and removes others.
func (o *Origin) Change(id string, add []jwks.Key, remove ...jwks.KID) {
	o.Apply(id, jwks.Change{Add: add, Remove: remove})
}

// Apply makes any change to a workspace.
func (o *Origin) Apply(id string, c jwks.Change) {
	o.tb.Helper()
	c = o.store.add(id, c)
	o.now().publisher.Apply(context.Background(), id, c)
	if set, ok := o.now().publisher.Set(id); !ok || set.Version() < c.Version {
		o.tb.Errorf("version %d of %s is not published", c.Version, id)
	}
}

// Publish adds a key to a workspace.
func (o *Origin) Publish(id string, p Pair) { o.tb.Helper(); o.Change(id, []jwks.Key{p.Key}) }

func (o *Origin) isManager(w http.ResponseWriter, r *http.Request) bool {
	if r.Header.Get("Authorization") == "Bearer "+ManagementKey {
		return true
	}
	w.WriteHeader(http.StatusUnauthorized)
	return false
}

// Feeds returns the number of requests for the feed.
func (o *Origin) Feeds() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.feeds
}

func (o *Origin) feed(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	o.feeds++
	o.mu.Unlock()
	var position struct {
		After      map[string]string `json:"after"`
		Workspaces []string          `json:"workspaces"`
	}
	if !o.isManager(w, r) {
		return
	}
	testkit.Check(o.tb, json.NewDecoder(r.Body).Decode(&position))
	request := publish.FeedRequest{
		After: map[string]publish.FeedPosition{}, May: func(ws string) bool { return ws != jwks.HomeWorkspace },
		Reader: publish.StreamReader{Key: ManagementKey, Holds: func() bool { return true }},
	}
	for id, text := range position.After {
		digits, print, _ := strings.Cut(text, ".")
		version, _ := strconv.ParseUint(digits, 10, 64)
		request.After[id] = publish.FeedPosition{Version: version, Print: print}
	}
	for _, id := range position.Workspaces {
		if request.Workspaces == nil {
			request.Workspaces = map[string]bool{}
		}
		request.Workspaces[id] = true
	}
	now := o.now()
	_ = (&publish.Feed{Publisher: now.publisher, Stream: now.stream}).Serve(w, r, request)
}

func (o *Origin) feedSet(w http.ResponseWriter, r *http.Request) {
	if !o.isManager(w, r) {
		return
	}
	o.countSet(r.PathValue("ws"))
	set, ok := o.now().publisher.Set(r.PathValue("ws"))
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	publish.ServeFeedSet(w, r, set)
}

// SetHook installs a function that sees every request first; nil removes it.
func (o *Origin) SetHook(hook func(w http.ResponseWriter, r *http.Request) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hook = hook
}

func (o *Origin) countSet(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sets[id]++
}

// AskedFor returns the number of requests for a workspace's key set.
func (o *Origin) AskedFor(id string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sets[id]
}

// metadata answers with the issuer of the workspace.
func (o *Origin) metadata(w http.ResponseWriter, r *http.Request) {
	_ = json.NewEncoder(w).Encode(map[string]any{"issuer": PublicURL + r.URL.Path[:len(r.URL.Path)-len(MetadataPath)], "jwks_uri": "x"})
}

// IsFeed reports whether a request is for the feed.
func IsFeed(r *http.Request) bool { return r.URL.Path == jwks.FeedPath }

// Outage is a hook that answers every request with 503.
func Outage(w http.ResponseWriter, _ *http.Request) bool {
	w.WriteHeader(http.StatusServiceUnavailable)
	return true
}
