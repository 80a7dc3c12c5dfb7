package publish

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

func handlerOf(set *Set) *Handler {
	return &Handler{Set: func(*http.Request) (*Set, bool) { return set, set != nil }, MaxAge: 5 * time.Second}
}

// ask sends one request. head contains names and values in turn.
func ask(h http.Handler, method, target string, head ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(head); i += 2 {
		r.Header.Add(head[i], head[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestServeSet(t *testing.T) {
	set := buildSet(t, 17, testKeys(t, 30, 300)...)
	h := handlerOf(set)
	plain := plainBytes(t, set)
	length := strconv.Itoa(len(plain))
	tag := "17." + set.Fingerprint().String()[:16]
	for _, test := range []struct {
		name, method, accept       string
		etag, encoding, wantLength string
		body                       []byte
	}{
		{"plain", "GET", "", `"` + tag + `"`, "", length, plain},
		{"gzip", "GET", "gzip", `"` + tag + `-gzip"`, "gzip", "", gzipBytes(t, set)},
		{"head", "HEAD", "", `"` + tag + `"`, "", length, nil},
		{"head of gzip", "HEAD", "gzip", `"` + tag + `-gzip"`, "gzip", "", nil},
	} {
		w := ask(h, test.method, "/jwks.json?other=1", "Accept-Encoding", test.accept)
		if w.Code != http.StatusOK || !bytes.Equal(w.Body.Bytes(), test.body) {
			t.Errorf("%s: status %d, %d bytes, want %d", test.name, w.Code, w.Body.Len(), len(test.body))
		}
		for name, want := range map[string]string{
			"Etag": test.etag, "Content-Encoding": test.encoding, "Content-Length": test.wantLength,
			"Content-Type": "application/jwk-set+json", "Cache-Control": "public, max-age=5, no-transform",
			"Burnkey-Fingerprint": set.Fingerprint().String(), "Burnkey-Version": "17",
			"Vary": "Accept-Encoding", "Access-Control-Allow-Origin": "*", "X-Content-Type-Options": "nosniff",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: %s: %s, want %s", test.name, name, got, want)
			}
		}
	}
}

func TestIfNoneMatch(t *testing.T) {
	set := buildSet(t, 17, testKeys(t, 31, 1)...)
	h := handlerOf(set)
	of := func(tag string) string { return strings.ReplaceAll(tag, "V", "17."+set.Fingerprint().String()[:16]) }
	for _, test := range []struct {
		name string
		tags []string // one header each
		want int
	}{
		{"plain", []string{of(`"V"`)}, 304},
		{"of gzip", []string{of(`"V-gzip"`)}, 304},
		{"weak", []string{of(`W/"V"`)}, 304},
		{"weak, of gzip", []string{of(`W/"V-gzip"`)}, 304},
		{"any", []string{`*`}, 304},
		{"version alone", []string{`"17"`}, 200},
		{"version alone, of gzip", []string{`"17-gzip"`}, 200},
		{"of another set of this version", []string{`"17.AAAAAAAAAAAAAAAA"`}, 200},
		{"last in a list", []string{of(`"15", W/"16","V"`)}, 304},
		{"without spaces", []string{of(`"16","V-gzip"`)}, 304},
		{"with tabs", []string{of("\t\"16\"\t,\t\"V\"\t")}, 304},
		{"second header", []string{`"16"`, of(`"V"`)}, 304},
		{"none", nil, 200},
		{"empty", []string{``}, 200},
		{"older", []string{`"16"`}, 200},
		{"prefix", []string{`"1"`}, 200},
		{"longer", []string{`"170"`}, 200},
		{"without quotes", []string{of(`V`)}, 200},
		{"in single quotes", []string{of(`'V'`)}, 200},
		{"lowercase weak", []string{of(`w/"V"`)}, 200},
		{"another coding", []string{of(`"V-br"`)}, 200},
	} {
		for _, accept := range []string{"", "gzip"} {
			for _, method := range []string{"GET", "HEAD"} {
				head := []string{"Accept-Encoding", accept}
				for _, tag := range test.tags {
					head = append(head, "If-None-Match", tag)
				}
				w := ask(h, method, "/", head...)
				if w.Code != test.want {
					t.Errorf("%s: %s with Accept-Encoding %q: status %d, want %d", test.name, method, accept, w.Code, test.want)
				}
				if w.Code != 304 {
					continue
				}
				if w.Body.Len() > 0 || w.Header().Get("Content-Encoding")+w.Header().Get("Content-Length") != "" {
					t.Errorf("%s: a 304 with a body, or the head of one: %v", test.name, w.Header())
				}
				for _, name := range []string{"Etag", "Cache-Control", "Vary"} { // RFC 9110 section 15.4.5
					if w.Header().Get(name) == "" {
						t.Errorf("%s: a 304 without %s", test.name, name)
					}
				}
			}
		}
	}
}

func TestGzipOnlyWhenAskedFor(t *testing.T) {
	set := buildSet(t, 17, testKeys(t, 32, 2)...)
	h := handlerOf(set)
	for _, test := range []struct {
		accept []string
		want   bool
	}{
		{[]string{"gzip"}, true},
		{[]string{"GZIP"}, true},
		{[]string{"deflate, gzip, br"}, true},
		{[]string{"br", "gzip"}, true},
		{[]string{"gzip;q=1"}, true},
		{[]string{"gzip;q=0.001"}, true},
		{[]string{"gzip; Q=0.5"}, true},
		{[]string{"br ; q=1 , gzip ; q=0.5"}, true},
		{[]string{"gzip;q=0.5, *;q=0"}, true},
		{nil, false},
		{[]string{""}, false},
		{[]string{"*"}, false},
		{[]string{"*;q=1"}, false},
		{[]string{"identity"}, false},
		{[]string{"x-gzip"}, false},
		{[]string{"gzip2, xgzip, gzi"}, false},
		{[]string{"br;q=1, deflate"}, false},
		{[]string{"gzip;q=0"}, false},
		{[]string{"gzip;q=0.0"}, false},
		{[]string{"gzip;q=0.000"}, false},
		{[]string{"gzip; q=0"}, false},
		{[]string{"gzip;\tq=0"}, false},
		{[]string{"gzip ;q=0, *"}, false},
		{[]string{"gzip;q=-1"}, false},
		{[]string{"gzip;q=nan"}, false},
		{[]string{"gzip;q="}, false},
		{[]string{"gzip;q=x"}, false},
		{[]string{"gzip;level=9"}, false},
		{[]string{"gzip;"}, false},
	} {
		var head []string
		for _, accept := range test.accept {
			head = append(head, "Accept-Encoding", accept)
		}
		w := ask(h, "GET", "/", head...)
		if got := w.Header().Get("Content-Encoding") == "gzip"; got != test.want {
			t.Errorf("Accept-Encoding %q: gzip %v, want %v", test.accept, got, test.want)
		}
		if !test.want && !bytes.Equal(w.Body.Bytes(), plainBytes(t, set)) {
			t.Errorf("Accept-Encoding %q: the body is not the plain form", test.accept)
		}
	}
}

func TestServeOne(t *testing.T) {
	keys := testKeys(t, 33, 300)
	set := buildSet(t, 17, keys[1:]...)
	h := handlerOf(set)
	h.Tombstone = func(*http.Request, *Set) (jwks.Key, bool) { return keys[9], true }
	stone := keys[9].KID().String()
	kid := keys[5].KID().String()
	want := string(plainBytes(t, buildSet(t, 1, keys[5])))
	for _, test := range []struct {
		name, method, target, match string
		code                        int
	}{
		{"published", "GET", "/?kid=" + kid, "", 200},
		{"with others", "GET", "/?a=1&kid=" + kid + "&b=2", "", 200},
		{"escaped", "GET", "/?kid=%" + strconv.FormatInt(int64(kid[0]), 16) + kid[1:], "", 200},
		{"head", "HEAD", "/?kid=" + kid, "", 200},
		{"unchanged", "GET", "/?kid=" + kid, `"` + kid + `"`, 304},
		{"unchanged, weak", "GET", "/?kid=" + kid, `W/"` + kid + `"`, 304},
		{"the tag of the set", "GET", "/?kid=" + kid, `"17"`, 200},
		{"not published", "GET", "/?kid=" + keys[0].KID().String(), "", 0},
		{"not published, any tag", "GET", "/?kid=" + keys[0].KID().String(), "*", 304},
		{"not published, the tombstone known", "GET", "/?kid=" + keys[0].KID().String(), `W/"` + stone + `"`, 304},
		{"not published, its own tag", "GET", "/?kid=" + keys[0].KID().String(), `"` + keys[0].KID().String() + `"`, 0},
		{"empty", "GET", "/?kid=", "", 0},
		{"without a value", "GET", "/?kid", "", 0},
		{"short", "GET", "/?kid=abc", "", 0},
		{"in other case", "GET", "/?kid=" + swapCase(kid), "", 0},
		{"padded", "GET", "/?kid=" + kid + "%3D", "", 0},
		{"line end", "GET", "/?kid=" + kid[:42] + "%0A", "", 0},
		{"repeated", "GET", "/?kid=" + kid + "&kid=" + kid, "", 0},
		{"repeated, empty first", "GET", "/?kid=&kid=" + kid, "", 0},
		{"bad escape", "GET", "/?kid=%zz", "", 0},
		{"bad escape elsewhere", "GET", "/?kid=" + kid + "&x=%", "", 0},
		{"semicolon", "GET", "/?a=1;kid=" + kid, "", 0},
		{"long", "GET", "/?kid=" + strings.Repeat("A", 1<<16), "", 0},
	} {
		w := ask(h, test.method, test.target, "If-None-Match", test.match, "Accept-Encoding", "gzip")
		code, want, tag := test.code, want, kid
		if code == 0 { // 0: the tombstone
			code, want = 200, string(plainBytes(t, buildSet(t, 1, keys[9])))
		}
		if strings.HasPrefix(test.name, "not published") || test.code == 0 {
			tag = stone
		}
		if w.Code != code {
			t.Errorf("%s: status %d, want %d", test.name, w.Code, code)
			continue
		}
		body, head := "", w.Header()
		if w.Code == 200 && test.method == "GET" {
			body = want
		}
		switch {
		case w.Body.String() != body:
			t.Errorf("%s: body %s, want %s", test.name, w.Body, body)
		case head.Get("Etag") != `"`+tag+`"` || head.Get("Content-Encoding") != "" ||
			head.Get("Cache-Control") != "public, max-age=5, no-transform":
			t.Errorf("%s: head %v", test.name, head)
		case w.Code == 200 && head.Get("Content-Length") != strconv.Itoa(len(want)):
			t.Errorf("%s: Content-Length %s, want %d", test.name, head.Get("Content-Length"), len(want))
		}
	}
	h.Tombstone = nil
	w := ask(h, "GET", "/?kid="+keys[0].KID().String())
	if w.Code != 404 || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Etag") != "" {
		t.Errorf("a handler without a tombstone: %d %v", w.Code, w.Header())
	}
}

func TestOtherMethods(t *testing.T) {
	h := handlerOf(buildSet(t, 1))
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"} {
		if w := ask(h, method, "/"); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: status %d, Allow: %s", method, w.Code, w.Header().Get("Allow"))
		}
	}
}

func TestNotFound(t *testing.T) {
	h := handlerOf(nil)
	if w := ask(h, "GET", "/", "If-None-Match", "*"); w.Code != 404 {
		t.Errorf("no set: status %d, want 404", w.Code)
	}
	h.NotFound = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	if w := ask(h, "GET", "/?kid=x"); w.Code != http.StatusGone {
		t.Errorf("NotFound is not asked: status %d", w.Code)
	}
}

// largeSet is a set of 9 MB. Its kids are not hashes, since computing hashes takes long under the race
// detector.
var largeSet = sync.OnceValue(func() *Set {
	random := newRand(34)
	var b Builder
	for i := range uint64(20_000) {
		var kid jwks.KID
		binary.BigEndian.PutUint64(kid[:], i<<49)
		if err := b.Add(forged(kid, randomModulus(random)), jwks.Attributes{}); err != nil {
			panic(err)
		}
	}
	set, err := b.Set(1)
	if err != nil {
		panic(err)
	}
	return set
})

// deadlines counts how often the Handler extends the write deadline.
type deadlines struct {
	http.ResponseWriter
	set []time.Time
}

func (d *deadlines) SetWriteDeadline(at time.Time) error { d.set = append(d.set, at); return nil }

func TestEachPieceHasItsTime(t *testing.T) {
	for accept, pieces := range map[string]int{"": 7, "gzip": 4} {
		w := &deadlines{ResponseWriter: &discard{head: http.Header{}}}
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Encoding", accept)
		before := time.Now()
		handlerOf(largeSet()).ServeHTTP(w, r)
		if len(w.set) < pieces || len(w.set) > pieces+2 {
			t.Errorf("Accept-Encoding %q: the deadline was set %d times", accept, len(w.set))
		}
		for _, at := range w.set {
			if at.Before(before.Add(writeWindow)) || at.After(time.Now().Add(writeWindow)) {
				t.Errorf("a deadline in %v", at.Sub(before))
			}
		}
	}
}

// A slow reader gets the complete set that it requested, even if other sets are published meanwhile, and
// can send another request on the same connection.
func TestSlowReader(t *testing.T) {
	keys := testKeys(t, 35, 4000)
	index := NewIndex(buildSet(t, 1, keys...))
	h := &Handler{Set: func(*http.Request) (*Set, bool) { return index.Set(), true }}
	server := httptest.NewUnstartedServer(h)
	defer server.Close()
	const kernel = 32 << 10 // limits the kernel's buffer, so that the handler has to wait
	server.Config.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		if err := conn.(*net.TCPConn).SetWriteBuffer(kernel); err != nil {
			t.Error(err)
		}
		return ctx
	}
	server.Start()
	client := server.Client()
	client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			err = conn.(*net.TCPConn).SetReadBuffer(kernel)
		}
		return conn, err
	}
	for _, accept := range []string{"identity", "gzip"} {
		was := index.Set()
		r, _ := http.NewRequest("GET", server.URL, nil)
		r.Header.Set("Accept-Encoding", accept)
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		var body bytes.Buffer
		if _, err := io.CopyN(&body, resp.Body, 1000); err != nil {
			t.Fatal(err)
		}
		// The Handler now waits for the reader, but writers do not wait.
		for _, key := range keys[:100] {
			err := index.Apply(jwks.Change{Version: index.Set().Version() + 1, Remove: []jwks.KID{key.KID()}})
			if err != nil {
				t.Fatal(err)
			}
		}
		keys = keys[100:]
		if _, err := io.Copy(&body, resp.Body); err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		got := io.Reader(&body)
		if accept == "gzip" {
			if got, err = gzip.NewReader(got); err != nil {
				t.Fatal(err)
			}
		}
		if text, err := io.ReadAll(got); err != nil || !bytes.Equal(text, plainBytes(t, was)) {
			t.Errorf("%s: %d bytes, %v, want version %d", accept, len(text), err, was.Version())
		}
	}
}

// discard is a ResponseWriter that discards the body.
type discard struct {
	head http.Header
	n    int
}

func (d *discard) Header() http.Header         { return d.head }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Write(b []byte) (int, error) { d.n += len(b); return len(b), nil }

func TestServingDoesNotCopyTheSet(t *testing.T) {
	h := handlerOf(largeSet())
	for _, accept := range []string{"", "gzip"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Encoding", accept)
		h.ServeHTTP(&discard{head: http.Header{}}, r) // compresses once
		w := &discard{head: http.Header{}}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		h.ServeHTTP(w, r)
		runtime.ReadMemStats(&after)
		if bytes := after.TotalAlloc - before.TotalAlloc; bytes > 64<<10 {
			t.Errorf("Accept-Encoding %q: %d bytes allocated to serve %d", accept, bytes, w.n)
		}
		if w.n < 5<<20 {
			t.Errorf("Accept-Encoding %q: %d bytes served", accept, w.n)
		}
	}
}

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r - 32
		} else if r >= 'A' && r <= 'Z' {
			return r + 32
		}
		return r
	}, s)
}
