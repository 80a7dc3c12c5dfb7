package jwks_test

import (
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	. "github.com/burnkey/burnkey/jwks"
)

// asBefore serves sets like an older server, whose ETags contain no fingerprint.
func asBefore(o *origin) func(http.ResponseWriter, *http.Request) bool {
	return onSet(func(w http.ResponseWriter, r *http.Request) {
		set := o.index.Set()
		etag := `"` + strconv.FormatUint(set.Version(), 10) + `"`
		w.Header().Set("Etag", etag)
		w.Header().Set(FingerprintHeader, set.Fingerprint().String())
		if r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = set.WriteTo(w)
	})
}

// header is a ResponseWriter that changes the header of a response before sending it.
type header struct {
	http.ResponseWriter
	change func(http.Header)
	once   sync.Once
}

func (h *header) WriteHeader(code int) {
	h.once.Do(func() { h.change(h.Header()) })
	h.ResponseWriter.WriteHeader(code)
}

func (h *header) Write(b []byte) (int, error) {
	h.once.Do(func() { h.change(h.Header()) })
	return h.ResponseWriter.Write(b)
}

// A compressing proxy rewrites the ETag. A Follower still works: by the stream if responses still contain
// the version, and otherwise by fetching whole sets.
func TestFollowerBehindProxies(t *testing.T) {
	keys := TestKeys(t, 160, 12)
	drop := func(head http.Header) { head.Del("Etag") }
	for name, test := range map[string]struct {
		change  func(http.Header)
		version bool // whether it reaches the Follower
	}{
		"weakens":        {func(head http.Header) { head.Set("Etag", "W/"+head.Get("Etag")) }, true},
		"marks":          {func(head http.Header) { head.Set("Etag", strings.TrimSuffix(head.Get("Etag"), `"`)+`-br"`) }, true},
		"drops the ETag": {drop, true},
		"has its own":    {func(head http.Header) { head.Set("Etag", `W/"5f3a-17"`) }, true},
		"drops all ours": {func(head http.Header) { drop(head); head.Del(VersionHeader); head.Del(FingerprintHeader) }, false},
		"its own alone": {func(head http.Header) {
			head.Set("Etag", `"v8"`)
			head.Del(VersionHeader)
			head.Del(FingerprintHeader)
		}, false},
		"leaves the fingerprint": {func(head http.Header) { drop(head); head.Del(VersionHeader) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrigin(t, buildSet(t, 7, keys[:2]...))
			var mu sync.Mutex
			proxied := true
			o.setHook(onSet(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				if !proxied {
					o.sets.ServeHTTP(w, r)
					return
				}
				o.sets.ServeHTTP(&header{ResponseWriter: w, change: test.change}, r)
			}))
			f := newTestFollower(t, o.URL, "")
			lost := make(chan struct{})
			f.SetLog(slog.New(onLog(func(message string) {
				if strings.Contains(message, "a proxy before the server drops or rewrites ETag") {
					close(lost) // only once
				}
			})))
			runFollower(t, f)
			<-f.Ready()
			wantKeys(t, f, keys[:2]...)
			if test.version {
				Poll(t, func() bool { return f.Status().Streaming })
			} else {
				<-lost
			}
			o.change(keys[2:3], keys[0].KID())
			wantKeys(t, f, keys[1:3]...)
			if s := f.Status(); s.Usable(0) != nil || s.Version != 0 != test.version {
				t.Errorf("%+v", s)
			}
			// A different history under the same version.
			o.reset(buildSet(t, 8, keys[5:8]...))
			wantKeys(t, f, keys[5:8]...)
			mu.Lock()
			proxied = false
			mu.Unlock()
			wantKeys(t, f, keys[5:8]...)
			Poll(t, func() bool { return f.Status().Streaming && f.Version() == 8 })
		})
	}
}

// wantKeys waits until the Follower has exactly these keys.
func wantKeys(tb testing.TB, f *Follower, keys ...Key) {
	tb.Helper()
	want := buildSet(tb, 1, keys...).Fingerprint()
	Poll(tb, func() bool { s := f.Status(); return s.Keys == len(keys) && s.Fingerprint == want })
	for _, key := range keys {
		if _, ok := f.Lookup(key.KID()); !ok {
			tb.Error("a key is not found")
		}
	}
}

// A Follower can follow a server whose ETags consist of the version, and poll it without fetching the whole
// set each time.
func TestFollowerOfAnOlderServer(t *testing.T) {
	keys := TestKeys(t, 161, 5)
	o := newOrigin(t, buildSet(t, 7, keys[:2]...))
	noStream := onStream(http.NotFound)
	before, notModified := asBefore(o), 0
	o.setHook(func(w http.ResponseWriter, r *http.Request) bool {
		if noStream(w, r) {
			return true
		}
		return before(&header{ResponseWriter: w, change: func(http.Header) {}}, r)
	})
	f := follow(t, o)
	wantSame(t, f, o)
	o.change(keys[2:3])
	wantSame(t, f, o)
	o.setHook(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("If-None-Match") == `"8"` {
			o.mu.Lock()
			notModified++
			o.mu.Unlock()
		}
		return noStream(w, r) || before(w, r)
	})
	Poll(t, func() bool { o.mu.Lock(); defer o.mu.Unlock(); return notModified > 3 })
	o.reset(buildSet(t, 8, keys[3:]...)) // the same version
	wantSame(t, f, o)
}
