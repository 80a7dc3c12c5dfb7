// Package gatewaytest provides a server that a gateway can follow in tests.
package gatewaytest

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
)

const (
	// PublicURL is the base of an Origin's issuers.
	PublicURL = "https://auth.example.com"
	// MetadataPath is appended to the issuer to form the URL of its metadata.
	MetadataPath = "/.well-known/openid-configuration"
	// ManagementKey is the management key that an Origin accepts.
	ManagementKey = "the-management-key"
)

// An Origin is a test server for followers. It serves the real Handler and Stream for any number of workspaces,
// and a list of the workspaces.
type Origin struct {
	*httptest.Server
	PageSize int // workspaces on a page of the list

	tb      testing.TB
	closing chan struct{}

	mu    sync.Mutex
	index map[string]*publish.Index
	log   map[string][]jwks.Change
	hook  func(w http.ResponseWriter, r *http.Request) (ok bool) // ok: it has answered
	lists int
	sets  map[string]int // how often each workspace's set was asked for

	reports []Report
}

// NewOrigin starts an Origin that runs until the test ends.
func NewOrigin(tb testing.TB, workspaces ...string) *Origin {
	tb.Helper()
	o := &Origin{
		tb: tb, closing: make(chan struct{}), sets: map[string]int{}, PageSize: 2,
		index: map[string]*publish.Index{}, log: map[string][]jwks.Change{},
	}
	for _, id := range workspaces {
		o.Create(id)
	}
	find := func(r *http.Request) (*publish.Index, bool) {
		o.mu.Lock()
		defer o.mu.Unlock()
		index, ok := o.index[r.PathValue("ws")]
		return index, ok
	}
	sets := &publish.Handler{Set: func(r *http.Request) (*publish.Set, bool) {
		o.countSet(r.PathValue("ws"))
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
	mux.Handle(jwks.IssuerPath+"{ws}"+jwks.SetPath, sets)
	mux.Handle(jwks.IssuerPath+"{ws}"+jwks.ChangesPath, stream)
	mux.HandleFunc("GET /v1/workspaces", o.list)
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

// Stop ends the server and all its streams.
func (o *Origin) Stop() {
	o.mu.Lock()
	select {
	case <-o.closing:
	default:
		close(o.closing)
	}
	o.mu.Unlock()
	o.Close()
}

// Create adds a workspace that publishes one key.
func (o *Origin) Create(id string) {
	var b publish.Builder
	testkit.Check(o.tb, b.Add(tombstone().Key, jwks.Attributes{}))
	set, err := b.Set(1)
	testkit.Check(o.tb, err)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.index[id] = publish.NewIndex(set)
}

// Drop removes a workspace.
func (o *Origin) Drop(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.index, id)
}

// Change publishes keys of a workspace and removes others.
func (o *Origin) Change(id string, add []jwks.Key, remove ...jwks.KID) {
	o.tb.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	c := jwks.Change{Version: o.index[id].Set().Version() + 1, Add: add, Remove: remove}
	o.log[id] = append(o.log[id], c)
	testkit.Check(o.tb, o.index[id].Apply(c))
}

// Publish adds a key to a workspace.
func (o *Origin) Publish(id string, p Pair) { o.tb.Helper(); o.Change(id, []jwks.Key{p.Key}) }

// SetHook installs a function that sees every request first; nil removes it.
func (o *Origin) SetHook(hook func(w http.ResponseWriter, r *http.Request) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hook = hook
}

// Listed returns the number of requests for the list of workspaces.
func (o *Origin) Listed() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lists
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

func (o *Origin) list(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lists++
	if r.Header.Get("Authorization") != "Bearer "+ManagementKey {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	type item struct {
		ID     string `json:"id"`
		Name   string `json:"name"`
		Issuer string `json:"issuer"`
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
		if len(found) == o.PageSize {
			next = &found[len(found)-1].ID
			break
		}
		found = append(found, item{id, "The " + id, PublicURL + jwks.IssuerPath + id})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"workspaces": found, "next_cursor": next})
}

// metadata answers with the issuer of the workspace.
func (o *Origin) metadata(w http.ResponseWriter, r *http.Request) {
	_ = json.NewEncoder(w).Encode(map[string]any{"issuer": PublicURL + r.URL.Path[:len(r.URL.Path)-len(MetadataPath)], "jwks_uri": "x"})
}

// IsList reports whether a request is for the list of workspaces.
func IsList(r *http.Request) bool { return r.URL.Path == "/v1/workspaces" }

// Outage is a hook that answers every request with 503.
func Outage(w http.ResponseWriter, _ *http.Request) bool {
	w.WriteHeader(http.StatusServiceUnavailable)
	return true
}
