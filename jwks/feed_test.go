package jwks_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/burnkey/burnkey/jwks"
)

// openFeed returns a Feed of an origin with short durations. Options can be changed before.
func openFeed(t *testing.T, o *feedOrigin, edit func(*FeedOptions)) *Feed {
	t.Helper()
	options := FeedOptions{
		Server: o.URL, Key: func() (string, error) { return feedKey, nil }, Log: slog.New(slog.DiscardHandler),
	}
	if edit != nil {
		edit(&options)
	}
	f, err := NewFeed(options)
	if err != nil {
		t.Fatal(err)
	}
	f.SetTestLimits()
	return f
}

// runFeed runs a Feed until the returned function is called.
func runFeed(t *testing.T, f *Feed) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		if err := f.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); done.Wait() })
	t.Cleanup(stop)
	return stop
}

func startFeed(t *testing.T, o *feedOrigin) *Feed {
	t.Helper()
	f := openFeed(t, o, nil)
	runFeed(t, f)
	return f
}

// wantSet polls until a workspace's keys, attributes and limits are those of the origin.
func wantSet(t *testing.T, f *Feed, o *feedOrigin, ws string) {
	t.Helper()
	Poll(t, func() bool {
		follower := f.Follower(ws)
		if follower == nil {
			return false
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		s := o.workspaces[ws]
		return follower.Version() == s.version && follower.Len() == len(s.keys) && follower.FeedPrint() == s.print()
	})
}

func plan(name string) Attributes { return Attributes{Plan: name} }

func planSet(name string, requests uint32) LimitSet {
	return LimitSet{On: OnPlan, Name: name, Limits: []Limit{{Name: "burst", Requests: requests, Seconds: 1}}}
}

func TestFeed(t *testing.T) {
	o := newFeedOrigin(t)
	keys := TestKeys(t, 70, 8)
	o.create("acme", 3, keys[0], keys[1])
	o.create("bolt", 1, keys[2])
	f := openFeed(t, o, nil)
	f.SetPatience(time.Minute) // one stream is enough, even if this process pauses
	runFeed(t, f)
	wantSet(t, f, o, "acme")
	wantSet(t, f, o, "bolt")
	o.change("acme", Change{Add: keys[3:4], Remove: []KID{keys[1].KID()}, Unsigned: Unsigned{
		Set: []KeyAttributes{{KID: keys[3].KID(), Attributes: plan("free")}}, Limits: []LimitSet{planSet("free", 5)},
	}})
	wantSet(t, f, o, "acme")
	if got := f.Follower("acme").LimitSet(OnPlan, "free"); len(got) != 1 || got[0].Requests != 5 {
		t.Errorf("the plan's limits are %v", got)
	}
	o.change("acme", Change{Unsigned: Unsigned{
		Set: []KeyAttributes{{KID: keys[3].KID()}, {KID: keys[0].KID(), Attributes: plan("x")}}, Limits: []LimitSet{{On: OnPlan, Name: "free"}},
	}})
	wantSet(t, f, o, "acme")
	o.create("new", 1, keys[4])
	wantSet(t, f, o, "new")
	if settings, known := f.Follower("new").Settings(); !known || !settings.IsDefault() {
		t.Errorf("the settings are %v %v", settings, known)
	}
	o.change("new", Change{Unsigned: Unsigned{Settings: &Settings{TokenPrefix: "new-"}}})
	wantSet(t, f, o, "new")
	if settings, _ := f.Follower("new").Settings(); settings.TokenPrefix != "new-" {
		t.Errorf("the settings are %v", settings)
	}
	Poll(t, func() bool { s := f.Follower("new").Status(); return s.Streaming && s.Ready && s.Age < time.Second })
	if n := o.fetched["acme"] + o.fetched["bolt"] + o.fetched["new"]; n != 0 || len(o.positions) != 1 {
		t.Errorf("%d sets were fetched, over %d streams", n, len(o.positions))
	}
}

// A large set is fetched while changes of it arrive, and other workspaces do not wait.
func TestFeedFetchesLargeSets(t *testing.T) {
	o := newFeedOrigin(t)
	o.small = 3
	keys := TestKeys(t, 71, 12)
	hold := make(chan struct{})
	o.onFetch = func(http.ResponseWriter, string) bool { <-hold; return false }
	o.create("large", 9, keys[:5]...)
	o.change("large", Change{Unsigned: Unsigned{
		Limits: []LimitSet{planSet("a", 5), planSet("b", 6)}, Settings: &Settings{TokenPrefix: "large-"},
	}})
	o.create("small", 1, keys[11])
	f := startFeed(t, o)
	wantSet(t, f, o, "small")
	for i := range 3 {
		o.change("large", Change{Add: keys[5+i : 6+i], Unsigned: Unsigned{
			Set:    []KeyAttributes{{KID: keys[5+i].KID(), Attributes: plan("a")}},
			Limits: []LimitSet{planSet(fmt.Sprint("p", i), 5)},
		}})
		o.change("small", Change{Add: keys[8+i : 9+i]})
	}
	wantSet(t, f, o, "small")
	if f.Follower("large").Len() != 0 {
		t.Error("a set that was not fetched")
	}
	close(hold)
	wantSet(t, f, o, "large")
	o.change("large", Change{Remove: []KID{keys[0].KID()}})
	wantSet(t, f, o, "large")
	Poll(t, func() bool { return f.Follower("large").Age() < time.Second })
	if settings, _ := f.Follower("large").Settings(); settings.TokenPrefix != "large-" {
		t.Errorf("the settings are %v", settings)
	}
}

func TestFeedResumes(t *testing.T) {
	o := newFeedOrigin(t)
	keys := TestKeys(t, 72, 8)
	o.create("acme", 3, keys[:2]...)
	o.create("bolt", 1, keys[2])
	file := filepath.Join(t.TempDir(), "state")
	f := openFeed(t, o, func(with *FeedOptions) { with.StateFile = file })
	stop := runFeed(t, f)
	wantSet(t, f, o, "acme")
	wantSet(t, f, o, "bolt")
	o.change("acme", Change{Unsigned: Unsigned{
		Set: []KeyAttributes{{KID: keys[0].KID(), Attributes: plan("free")}}, Limits: []LimitSet{planSet("free", 7)},
		Settings: &Settings{TokenPrefix: "acme-", BareUntil: time.Unix(2e9, 0)},
	}})
	wantSet(t, f, o, "acme")
	Poll(t, func() bool { return f.Follower("acme").Age() < time.Second })
	opened := func() int { o.mu.Lock(); defer o.mu.Unlock(); return len(o.positions) }
	before := opened() // more than one, if a pause of this process looked like a silent server
	o.breakStreams()
	Poll(t, func() bool { return opened() > before })
	o.mu.Lock()
	got := o.positions[before]
	o.mu.Unlock()
	if len(got) != 2 || !strings.HasPrefix(got["acme"], "4.") || !strings.HasPrefix(got["bolt"], "1.") {
		t.Errorf("the second stream was requested after %v", got)
	}
	stop()

	// The next start needs no server, and has attributes and limits at once.
	o.Close()
	again := openFeed(t, o, func(with *FeedOptions) { with.StateFile = file })
	defer again.Close()
	select {
	case <-again.Ready():
	default:
		t.Error("not ready from disk")
	}
	wantSet(t, again, o, "acme")
	wantSet(t, again, o, "bolt")
	if got := again.Follower("acme").LimitSet(OnPlan, "free"); len(got) != 1 || got[0].Requests != 7 {
		t.Errorf("the limits from disk are %v", got)
	}
	for ws, want := range map[string]Settings{"acme": {TokenPrefix: "acme-", BareUntil: time.Unix(2e9, 0)}, "bolt": {}} {
		if got, known := again.Follower(ws).Settings(); !known || !got.Equal(&want) {
			t.Errorf("the settings of %s from disk are %v %v", ws, got, known)
		}
	}
	if age := again.Follower("acme").Age(); age > time.Minute {
		t.Errorf("the age from disk is %v", age)
	}
}

// An event that does not fit leads to a fetch, and never to a wrong set.
func TestFeedMendsItself(t *testing.T) {
	keys := TestKeys(t, 73, 6)
	for name, spoil := range map[string]func(t *testing.T, o *feedOrigin){
		"gap": func(_ *testing.T, o *feedOrigin) {
			o.mu.Lock()
			o.apply("acme", Change{Add: keys[2:3]}) // not sent
			o.mu.Unlock()
			o.change("acme", Change{Add: keys[3:4]})
		},
		"other history": func(t *testing.T, o *feedOrigin) {
			o.set(func() { o.workspaces["acme"].keys = []Key{keys[4], keys[1]} })
			o.change("acme", Change{Add: keys[3:4]})
		},
		"other attributes": func(t *testing.T, o *feedOrigin) {
			o.set(func() { o.workspaces["acme"].attributes[keys[0].KID()] = plan("other") })
			o.change("acme", Change{Add: keys[3:4]})
		},
		"removal of an unknown key": func(t *testing.T, o *feedOrigin) {
			o.sendRaw(changeEvent(t, "acme", Change{Version: 4, Remove: []KID{keys[5].KID()}}, ""))
		},
		"attributes of an unknown key": func(t *testing.T, o *feedOrigin) {
			o.sendRaw(changeEvent(t, "acme", Change{Version: 4, Unsigned: Unsigned{
				Set: []KeyAttributes{{KID: keys[5].KID(), Attributes: plan("a")}},
			}}, ""))
			o.set(func() { o.workspaces["acme"].version = 4 })
		},
		"unknown member": func(t *testing.T, o *feedOrigin) {
			o.sendRaw("event: change\ndata: {\"workspace\":\"acme\",\"version\":4,\"add\":[],\"remove\":[],\"deny\":true}\n\n")
			o.set(func() { o.workspaces["acme"].version = 4 })
		},
		"set with a wrong fingerprint": func(t *testing.T, o *feedOrigin) {
			o.sendRaw(event(t, "acme", "set", map[string]any{"version": 9, "fingerprint": "x", "keys": keys[5:6]}))
			o.set(func() { o.workspaces["acme"].version = 10 })
		},
		"empty set": func(t *testing.T, o *feedOrigin) {
			o.sendRaw(event(t, "acme", "set", map[string]any{"version": 9, "fingerprint": Fingerprint{}.String(), "keys": []Key{}}))
			o.set(func() { o.workspaces["acme"].version = 10 })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newFeedOrigin(t)
			o.create("acme", 3, keys[:2]...)
			f := startFeed(t, o)
			wantSet(t, f, o, "acme")
			spoil(t, o)
			if slices.Contains([]string{"removal of an unknown key"}, name) {
				Poll(t, func() bool { o.mu.Lock(); defer o.mu.Unlock(); return o.fetched["acme"] > 0 })
				o.set(func() { o.workspaces["acme"].version = 4 })
			}
			wantSet(t, f, o, "acme")
			Poll(t, func() bool { return f.Follower("acme").Status().Streaming })
		})
	}
}

// A set in the stream replaces one that is being fetched, also with the changes after it.
func TestFeedSetWhileFetching(t *testing.T) {
	o := newFeedOrigin(t)
	keys := TestKeys(t, 74, 6)
	o.create("acme", 3, keys[:2]...)
	o.onFetch = func(w http.ResponseWriter, _ string) bool { w.WriteHeader(http.StatusServiceUnavailable); return true }
	f := startFeed(t, o)
	wantSet(t, f, o, "acme")
	o.sendRaw(event(t, "acme", "reset", map[string]any{"version": 3}))
	Poll(t, func() bool { return f.Follower("acme").Status().Err != nil && !f.Follower("acme").Status().Streaming })
	o.set(func() {
		o.workspaces["acme"] = &feedSet{7, slices.Clone(keys[2:4]), map[KID]Attributes{}, map[string]LimitSet{}, Settings{}}
		o.send(o.setEvent("acme"))
	})
	o.change("acme", Change{Add: keys[4:5]})
	wantSet(t, f, o, "acme")
	Poll(t, func() bool { s := f.Follower("acme").Status(); return s.Err == nil && s.Streaming })
}

func TestFeedOfSomeWorkspaces(t *testing.T) {
	o := newFeedOrigin(t)
	keys := TestKeys(t, 75, 3)
	o.create("acme", 3, keys[0])
	o.create("other", 1, keys[1])
	f := openFeed(t, o, func(with *FeedOptions) { with.Workspaces = []string{"acme", "later"} })
	runFeed(t, f)
	wantSet(t, f, o, "acme")
	Poll(t, func() bool { return errors.Is(f.Follower("later").Status().Err, ErrNoWorkspace) })
	if f.Follower("other") != nil {
		t.Error("a workspace that was not asked for")
	}
	o.create("later", 1, keys[2])
	wantSet(t, f, o, "later")
}

func TestFeedOfGoneWorkspaces(t *testing.T) {
	o := newFeedOrigin(t)
	keys := TestKeys(t, 76, 2)
	o.create("acme", 3, keys[0])
	o.create("bolt", 1, keys[1])
	var mu sync.Mutex
	known := map[string]bool{}
	note := func(is bool) func(string, *Follower) {
		return func(ws string, _ *Follower) { mu.Lock(); defer mu.Unlock(); known[ws] = is }
	}
	f := openFeed(t, o, func(with *FeedOptions) {
		with.StateFile = filepath.Join(t.TempDir(), "state")
		with.Added, with.Removed = note(true), note(false)
	})
	runFeed(t, f)
	wantSet(t, f, o, "acme")
	wantSet(t, f, o, "bolt")
	o.set(func() { delete(o.workspaces, "bolt") })
	o.breakStreams()
	Poll(t, func() bool { return f.Follower("bolt") == nil })
	mu.Lock()
	defer mu.Unlock()
	if !known["acme"] || known["bolt"] {
		t.Errorf("known are %v", known)
	}
}

// Ages grow for what lags at the server, for what is being fetched, and for everything without a stream.
func TestFeedAges(t *testing.T) {
	o := newFeedOrigin(t)
	keys := TestKeys(t, 77, 3)
	o.create("acme", 3, keys[0])
	o.create("lags", 1, keys[1])
	f := startFeed(t, o)
	wantSet(t, f, o, "lags")
	Poll(t, func() bool { return f.Follower("lags").Age() < time.Second })
	o.sendRaw(event(t, "lags", "age", map[string]any{"age": 60}))
	Poll(t, func() bool { return !f.Follower("lags").Status().Streaming || f.Follower("lags").Age() < time.Second })
	Poll(t, func() bool { return f.Follower("lags").Status().Streaming }) // the next heartbeat does not name it
	o.set(func() { o.age = "30.000" })
	before := f.Age()
	Poll(t, func() bool { return f.Age() > before+20*time.Millisecond })
	if f.Follower("acme").Usable(time.Millisecond) == nil {
		t.Error("old keys are usable")
	}
}

func TestFeedRefused(t *testing.T) {
	o := newFeedOrigin(t)
	f := openFeed(t, o, func(with *FeedOptions) { with.Key = func() (string, error) { return "wrong", nil } })
	runFeed(t, f)
	Poll(t, func() bool { err := f.Err(); return err != nil && strings.Contains(err.Error(), "scope gateway") })
	for _, bad := range []FeedOptions{{Server: o.URL}, {Server: "ftp://x", Key: f.KeyFunc()}, {Server: o.URL + "?a=b", Key: f.KeyFunc()}} {
		if _, err := NewFeed(bad); err == nil {
			t.Errorf("%v is accepted", bad.Server)
		}
	}
}
