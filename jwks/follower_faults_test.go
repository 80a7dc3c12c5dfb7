package jwks_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
)

func TestFollowerOnBadStreams(t *testing.T) {
	keys := TestKeys(t, 52, 10)
	event := func(id, name, data string) string {
		return fmt.Sprintf("id: %s\nevent: %s\ndata: %s\n\n", id, name, data)
	}
	change := func(c Change) string {
		text, err := c.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	good := change(Change{Version: 8, Add: keys[2:3]})
	for name, sent := range map[string]string{
		"gap":                 event("9", "change", change(Change{Version: 9, Add: keys[3:4]})),
		"published already":   event("8", "change", change(Change{Version: 8, Add: keys[:1]})),
		"not published":       event("8", "change", change(Change{Version: 8, Remove: []KID{keys[5].KID()}})),
		"no JSON":             event("8", "change", good[1:]),
		"another id":          event("9", "change", good),
		"bad key":             event("8", "change", strings.Replace(good, "AQAB", "Aw", 1)),
		"torn in an event":    event("8", "change", good)[:200],
		"torn after data":     strings.TrimSuffix(event("8", "change", good), "\n"),
		"old, unknown, reset": event("7", "change", change(Change{Version: 7})) + event("1", "news", "x") + event("", "reset", "x"),
		"too long":            "data: " + strings.Repeat("x", MaxMessage+1),
		"nothing":             "",
		"a comment":           ": age=5\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrigin(t, buildSet(t, 7, keys[:2]...))
			bad := 0
			o.setHook(onStream(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", StreamType)
				fmt.Fprint(w, sent)
				o.mu.Lock()
				defer o.mu.Unlock()
				if bad++; bad == 3 {
					o.hook = nil
				}
			}))
			f := follow(t, o)
			Poll(t, func() bool { return o.count("changes") > 3 })
			if v := f.Version(); v != 7 {
				t.Errorf("version %d", v)
			}
			o.change(keys[2:3])
			wantSame(t, f, o)
			Poll(t, func() bool { return f.Status().Streaming && f.Status().Err == nil })
		})
	}
}

// Without a stream, the Follower polls the set and tries the stream again.
func TestFollowerPolls(t *testing.T) {
	keys := TestKeys(t, 53, 10)
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "1000000")
			http.Error(w, "no", code)
		}
	}
	for name, hook := range map[string]http.HandlerFunc{
		"404": status(404), "405": status(405), "501": status(501), "503": status(503), "429": status(429),
		"a page": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"gzip": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", StreamType)
			w.Header().Set("Content-Encoding", "gzip")
		},
		"black hole": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"held back": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", StreamType)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
		"cut off": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrigin(t, buildSet(t, 7, keys[:2]...))
			o.setHook(onStream(hook))
			f := follow(t, o)
			wantSame(t, f, o)
			for i := range 3 {
				o.change(keys[i+2 : i+3])
				wantSame(t, f, o)
			}
			from := o.count("conditional")
			Poll(t, func() bool { return o.count("conditional") > from+3 })
			if s := f.Status(); s.Streaming || s.Err != nil || s.Age > time.Minute {
				t.Errorf("%+v", s)
			}
			o.setHook(nil)
			Poll(t, func() bool { return f.Status().Streaming })
		})
	}
}

// After an invalid response, the last valid set stays in use.
func TestFollowerInstallsNoBadSet(t *testing.T) {
	keys := TestKeys(t, 54, 2000)
	next := buildSet(t, 8, keys...)
	plain, zipped := plainBytes(t, next), gzipBytes(t, next)
	empty := buildSet(t, 8)
	answer := func(etag, coding string, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if etag != "" {
				w.Header().Set("Etag", etag)
			}
			if coding != "" {
				w.Header().Set("Content-Encoding", coding)
			}
			_, _ = w.Write(body)
		}
	}
	longer := answer(`"8"`, "", plain[:len(plain)/2])
	for name, hook := range map[string]http.HandlerFunc{
		"cut off":          answer(`"8"`, "", plain[:len(plain)/2]),
		"gzip cut off":     answer(`"8-gzip"`, "gzip", zipped[:len(zipped)/2]),
		"gzip without end": answer(`"8-gzip"`, "gzip", zipped[:len(zipped)-1]),
		"gzip and more":    answer(`"8-gzip"`, "gzip", append(bytes.Clone(zipped), 'x')),
		"gzip's checksum":  answer(`"8-gzip"`, "gzip", append(bytes.Clone(zipped[:len(zipped)-8]), 1, 2, 3, 4, 5, 6, 7, 8)),
		"not gzip":         answer(`"8"`, "gzip", plain),
		"unasked":          answer(`"8"`, "br", plain),
		"bad key":          answer(`"8"`, "", bytes.Replace(plain, []byte("AQAB"), []byte("AQAC"), 1)),
		"a key twice":      answer(`"8"`, "", []byte(`{"keys":[`+string(keys[0].AppendJWK(nil))+","+string(keys[0].AppendJWK(nil))+`]}`)),
		"empty":            answer(`"8"`, "", plainBytes(t, empty)),
		"no set":           answer(`"8"`, "", []byte("{}")),
		"of another set":   answer(`"8.AAAAAAAAAAAAAAAA"`, "", plain),
		"404":              func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) },
		"500":              func(w http.ResponseWriter, r *http.Request) { http.Error(w, "", 500) },
		"black hole":       func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://localhost:1/acme/.well-known/jwks.json", http.StatusFound)
		},
		"stall": func(w http.ResponseWriter, r *http.Request) {
			longer(w, r)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
		"length": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(plain)+1))
			answer(`"8"`, "", plain)(w, r)
		},
		"reset": func(w http.ResponseWriter, r *http.Request) {
			longer(w, r)
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrigin(t, buildSet(t, 7, keys[:2]...))
			f := follow(t, o)
			wantSame(t, f, o)
			before := f.State()
			noStream := onStream(func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) })
			o.setHook(func(w http.ResponseWriter, r *http.Request) bool { return noStream(w, r) || onSet(hook)(w, r) })
			o.cut()
			from := o.count("jwks.json")
			Poll(t, func() bool { return o.count("jwks.json") > from+2 && f.Status().Err != nil })
			if f.State() != before {
				t.Errorf("version %d was installed", f.Version())
			}
			if err := f.Status().Err; errors.Is(err, ErrNoWorkspace) != (name == "404") {
				t.Errorf("it fails with: %v", err)
			}
			o.change(keys[2:3])
			o.setHook(noStream)
			wantSame(t, f, o)
			Poll(t, func() bool { return f.Status().Err == nil })
		})
	}
}

// stale serves a set that its server could not update for a while.
func stale(set *publish.Set) http.HandlerFunc {
	return (&publish.Handler{
		Set: func(*http.Request) (*publish.Set, bool) { return set, true },
		Age: func(*http.Request) time.Duration { return 10 * time.Minute },
	}).ServeHTTP
}

// An older set is ignored if its age shows that the server has not checked its database since the newer
// set. Otherwise the database was restored, and the older set is right.
func TestFollowerOnAnOlderSet(t *testing.T) {
	keys := TestKeys(t, 55, 10)
	older := buildSet(t, 6, keys[:5]...)
	for name, hook := range map[string]http.HandlerFunc{"polling": http.NotFound, "after a reset": nil} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t, buildSet(t, 7, keys[:4]...))
			streams := func(http.ResponseWriter, *http.Request) bool { return false }
			if hook != nil {
				streams = onStream(hook)
			}
			o.setHook(streams)
			f := newTestFollower(t, o.URL, "")
			runFollower(t, f)
			wantSame(t, f, o)
			Poll(t, func() bool { return f.Status().Streaming == (hook == nil) })
			before, asked := f.State(), o.count("jwks.json")
			o.setHook(func(w http.ResponseWriter, r *http.Request) bool {
				return streams(w, r) || onSet(stale(older))(w, r)
			})
			o.reset(buildSet(t, 7, keys[:4]...))
			Poll(t, func() bool { return o.count("jwks.json") > asked+12 })
			if f.State() != before {
				t.Error("an older set was installed")
			}
			o.setHook(streams)
			o.reset(older)
			wantSame(t, f, o)
		})
	}
}

// The Follower leaves the stream of a server that lost its database and uses the stream of another server.
func TestFollowerLeavesAServerThatLags(t *testing.T) {
	keys := TestKeys(t, 61, 3)
	o := newOrigin(t, buildSet(t, 7, keys[:2]...))
	lost := newOrigin(t, buildSet(t, 7, keys[:2]...))
	lost.stream.Age = func(*http.Request) time.Duration { return 2 * time.Minute }
	turn := 0
	o.setHook(onStreamTurns(o, &turn, lost.stream))
	f := follow(t, o)
	wantSame(t, f, o)
	o.change(keys[2:], keys[0].KID())
	wantSame(t, f, o)
	Poll(t, func() bool { return f.Usable(time.Minute) == nil && f.Status().Streaming })
	o.mu.Lock()
	defer o.mu.Unlock()
	if turn < 2 {
		t.Errorf("%d streams were asked for", turn)
	}
}

// Before the Follower sends another request, a restored database can reach the version of the Follower or a
// later version.
func TestFollowerOnAnotherHistory(t *testing.T) {
	keys := TestKeys(t, 59, 10)
	for name, hook := range map[string]http.HandlerFunc{"stream": nil, "polling": http.NotFound} {
		for _, later := range []int{0, 3} {
			t.Run(fmt.Sprint(name, later), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "state")
				o := newOrigin(t, buildSet(t, 7, keys[:3]...))
				if hook != nil {
					o.setHook(onStream(hook))
				}
				f := newTestFollower(t, o.URL, path)
				stop := runFollower(t, f)
				wantSame(t, f, o)
				stop()
				o.reset(buildSet(t, 7, keys[:2]...)) // the third was revoked before this version
				for i := range later {
					o.change(keys[4+i : 5+i])
				}
				f = newTestFollower(t, o.URL, path)
				if f.Version() != 7 {
					t.Fatalf("version %d of disk", f.Version())
				}
				runFollower(t, f)
				wantSame(t, f, o)
				Poll(t, func() bool { return f.Usable(time.Minute) == nil })
			})
		}
	}
}

// swallower forwards bytes to a server until swallow is called. Then it discards the bytes of the existing
// connections, like a load balancer that has lost them.
type swallower struct {
	net.Listener
	to    string
	mu    sync.Mutex
	conns []net.Conn
	mute  map[net.Conn]bool
}

func newSwallower(t *testing.T, to string) *swallower {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &swallower{Listener: listener, to: to, mute: make(map[net.Conn]bool)}
	var serving sync.WaitGroup
	serving.Go(func() { s.serve(t, &serving) })
	t.Cleanup(func() {
		_ = listener.Close()
		s.mu.Lock()
		for _, conn := range s.conns {
			_ = conn.Close()
		}
		s.mu.Unlock()
		serving.Wait()
	})
	return s
}

func (s *swallower) serve(t *testing.T, serving *sync.WaitGroup) {
	for {
		client, err := s.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", s.to)
		if err != nil {
			t.Error(err)
			return
		}
		s.mu.Lock()
		s.conns = append(s.conns, client, server)
		s.mu.Unlock()
		serving.Go(func() { s.pass(client, server, client) })
		serving.Go(func() { s.pass(server, client, client) })
	}
}

func (s *swallower) pass(from, to, client net.Conn) {
	buf := make([]byte, 1<<14)
	for {
		n, err := from.Read(buf)
		s.mu.Lock()
		mute := s.mute[client]
		s.mu.Unlock()
		if err != nil && !mute {
			_ = to.Close()
		}
		if err != nil {
			return
		}
		if !mute {
			_, _ = to.Write(buf[:n]) // its end is seen by the other half
		}
	}
}

// swallow mutes all existing connections and returns their number.
func (s *swallower) swallow() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conn := range s.conns {
		s.mute[conn] = true
	}
	return len(s.conns)
}

// Over HTTP/2 all requests share a connection, so all of them fail until the Follower detects that the
// connection is dead.
func TestFollowerOnADeadConnection(t *testing.T) {
	index := publish.NewIndex(buildSet(t, 1, TestKeys(t, 64, 1)...))
	stream := publish.NewStream(func(*http.Request) (*publish.Index, bool) { return index, true }, nil)
	stream.Heartbeat = 50 * time.Millisecond
	mux := http.NewServeMux()
	mux.Handle("/acme/.well-known/jwks.json", &publish.Handler{Set: func(*http.Request) (*publish.Set, bool) { return index.Set(), true }})
	mux.Handle("/acme/changes", stream)
	server := httptest.NewUnstartedServer(mux)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	between := newSwallower(t, server.Listener.Addr().String())
	f := newTestFollower(t, "https://"+between.Addr().String(), "")
	transport := f.Client().Transport.(*http.Transport)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, ServerName: "example.com"}
	if transport.HTTP2 == nil || transport.HTTP2.SendPingTimeout == 0 || transport.HTTP2.PingTimeout == 0 {
		t.Fatal("dead connections are not looked for")
	}
	transport.HTTP2 = &http.HTTP2Config{SendPingTimeout: 300 * time.Millisecond, PingTimeout: 200 * time.Millisecond}
	runFollower(t, f)
	Poll(t, func() bool { return f.Status().Streaming })
	if n := between.swallow(); n != 2 {
		t.Fatalf("%d connections, not one of each side: that is not HTTP/2", n/2)
	}
	Poll(t, func() bool { return !f.Status().Streaming })
	Poll(t, func() bool { return f.Status().Streaming && f.Usable(time.Second) == nil })
}
