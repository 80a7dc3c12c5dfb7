package publish

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// acceptBefore is the Accept header of older Followers, which only understand an ETag that is just the version.
const acceptBefore = jwks.MediaType + ", application/json"

// writeWindow is the time limit for writing one piece of a body. A large set has many pieces.
const writeWindow = 30 * time.Second

// Handler serves a published set: GET and HEAD, a strong ETag of version and fingerprint, 304, gzip on
// request, and ?kid= for a set of only that key, or of only the tombstone if the key is not published. Only
// the plain form of a very large set is rendered for each request.
type Handler struct {
	// Set returns the set for a request. If it returns false, the answer is 404.
	Set func(*http.Request) (*Set, bool)
	// MaxAge is the max-age of responses, in whole seconds.
	MaxAge time.Duration
	// Age returns the time since the set for a request was last known to be current. Responses contain it,
	// rounded up, in the header Age (RFC 9111 section 5.1). If nil, sets are always current.
	Age func(*http.Request) time.Duration
	// Tombstone returns the published key with which no token was ever signed. It is the answer to ?kid=
	// for an unpublished key: clients treat a 404 and an empty set as failed fetches, and continue to use
	// the key that they have. If Tombstone is nil or returns false, NotFound answers.
	Tombstone func(*http.Request, *Set) (jwks.Key, bool)
	// NotFound answers if the set does not exist. The default is http.NotFound.
	NotFound http.Handler

	cacheOnce    sync.Once
	cacheControl []string // shared by all answers
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	if h.Age != nil { // called before Set, so the set is at least as new
		w.Header()["Age"] = ageField(h.Age(r))
	}
	set, ok := h.Set(r)
	if !ok {
		h.notFound(w, r)
		return
	}
	if r.URL.RawQuery == "" {
		h.serveSet(w, r, set)
		return
	}
	if key, one := askedFor(r.URL.RawQuery, set); one {
		h.serveOne(w, r, set, key)
		return
	}
	h.serveSet(w, r, set)
}

// askedFor reports whether a query requests one key, and returns that key if it is published.
func askedFor(rawQuery string, set *Set) (key *jwks.Key, one bool) {
	if text, plain := strings.CutPrefix(rawQuery, "kid="); plain { // the usual query, parsed without a map
		if kid, err := jwks.ParseKID(text); err == nil {
			return set.root.lookup(&kid), true
		}
	}
	query, err := url.ParseQuery(rawQuery)
	if err != nil { // a request for one key must not get all
		return nil, true
	}
	kids, one := query["kid"]
	if len(kids) == 1 {
		if kid, err := jwks.ParseKID(kids[0]); err == nil {
			return set.root.lookup(&kid), true
		}
	}
	return nil, one
}

func (h *Handler) notFound(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Del("Age")
	if h.NotFound != nil {
		h.NotFound.ServeHTTP(w, r)
		return
	}
	http.NotFound(w, r)
}

// heads are the values of the header fields for a set. They are computed at the first request and shared by
// all responses, so they must not be changed.
type heads struct {
	once           sync.Once
	plain, zipped  []string // Etag
	bare, bareZip  []string // ETags for older Followers
	print, version []string
}

func (s *Set) fields() *heads {
	s.heads.once.Do(func() {
		version := strconv.FormatUint(s.version, 10)
		tags := func(tag string) (plain, zipped []string) { return []string{tag}, []string{jwks.GzipETag(tag)} }
		s.heads.plain, s.heads.zipped = tags(jwks.ETag(s.version, s.print))
		s.heads.bare, s.heads.bareZip = tags(`"` + version + `"`)
		s.heads.print, s.heads.version = []string{s.print.String()}, []string{version}
	})
	return &s.heads
}

// ageField returns the value of Age, rounded up. It allocates only for an age of more than a second.
func ageField(age time.Duration) []string {
	switch seconds := (age + time.Second - 1) / time.Second; seconds {
	case 0:
		return noAge
	case 1:
		return oneSecond
	default:
		return []string{strconv.FormatInt(int64(seconds), 10)}
	}
}

// Values of header fields that are the same for every set, shared by all responses.
var (
	noAge, oneSecond = []string{"0"}, []string{"1"}

	mediaType      = []string{jwks.MediaType}
	acceptEncoding = []string{"Accept-Encoding"}
	nosniff        = []string{"nosniff"}
	anyOrigin      = []string{"*"}
	noStore        = []string{"no-store"}
)

func (h *Handler) setHead(w http.ResponseWriter, etag []string) {
	head := w.Header()
	head["Content-Type"] = mediaType
	head["Cache-Control"] = h.cacheField()
	head["Etag"] = etag
	head["Vary"] = acceptEncoding
	head["X-Content-Type-Options"] = nosniff
	// The set is public, so a page of any origin may read it.
	head["Access-Control-Allow-Origin"] = anyOrigin
}

func (h *Handler) cacheField() []string {
	h.cacheOnce.Do(func() {
		h.cacheControl = []string{"public, max-age=" + strconv.Itoa(int(h.MaxAge/time.Second)) + ", no-transform"}
	})
	return h.cacheControl
}

func (h *Handler) serveSet(w http.ResponseWriter, r *http.Request, set *Set) {
	fields := set.fields()
	gzip := acceptsGzip(r.Header["Accept-Encoding"])
	etag := fields.plain
	if gzip {
		etag = fields.zipped
	}
	h.setHead(w, etag)
	head := w.Header()
	head[jwks.FingerprintHeader], head[jwks.VersionHeader] = fields.print, fields.version
	if isBefore(r) {
		h.setBareTag(w, fields, gzip)
	} else if matches(r.Header["If-None-Match"], fields.plain[0], fields.zipped[0]) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if gzip {
		w.Header().Set("Content-Encoding", "gzip")
	} else {
		w.Header().Set("Content-Length", strconv.FormatInt(set.Size(), 10))
	}
	if r.Method == http.MethodHead {
		return
	}
	out := &patient{w: w, rc: http.NewResponseController(w)}
	// An error means that the client has disconnected.
	if gzip {
		_ = set.WriteGzip(out)
	} else {
		_, _ = set.WriteTo(out)
	}
}

// isBefore reports whether the request comes from an older Follower, by its Accept header.
func isBefore(r *http.Request) bool {
	accept := r.Header["Accept"]
	return len(accept) == 1 && accept[0] == acceptBefore
}

// setBareTag sets the ETag that an older Follower understands. After a restore the same ETag can name
// another set, so caches must not store the response, and it never gets a 304.
func (h *Handler) setBareTag(w http.ResponseWriter, fields *heads, gzip bool) {
	w.Header()["Etag"], w.Header()["Cache-Control"] = fields.bare, noStore
	if gzip {
		w.Header()["Etag"] = fields.bareZip
	}
}

// serveOne serves a set of one key: the requested key, or the tombstone if the requested key is not
// published. A JWK never changes, so its kid serves as the ETag.
func (h *Handler) serveOne(w http.ResponseWriter, r *http.Request, set *Set, key *jwks.Key) {
	if key == nil && h.Tombstone != nil {
		if stone, ok := h.Tombstone(r, set); ok {
			key = &stone
		}
	}
	if key == nil {
		h.notFound(w, r)
		return
	}
	kid := key.KID()
	var quoted [jwks.KIDTextLen + 2]byte
	etag := string(append(base64.RawURLEncoding.AppendEncode(append(quoted[:0], '"'), kid[:]), '"'))
	h.setHead(w, []string{etag})
	if matches(r.Header["If-None-Match"], etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := append(key.AppendJWK(append(make([]byte, 0, entryLen+len(setHead)+len(setTail)), setHead...)), setTail...)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(body) // an error means that the client has gone
	}
}

// patient gives each piece of a body its own time limit. A limit for the whole body would cut off clients
// that read a large set over a slow connection.
type patient struct {
	w    io.Writer
	rc   *http.ResponseController
	sent int
}

// pieceLen is the length of a piece, in bytes.
const pieceLen = 1 << 20

func (p *patient) Write(b []byte) (n int, err error) {
	for err == nil && n < len(b) {
		if p.sent == 0 || p.sent >= pieceLen {
			// A writer without support for deadlines has the server's own limit.
			_ = p.rc.SetWriteDeadline(time.Now().Add(writeWindow))
			p.sent = 0
		}
		var some int
		some, err = p.w.Write(b[n:min(len(b), n+pieceLen)])
		n, p.sent = n+some, p.sent+some
	}
	return n, err
}

// matches reports whether If-None-Match has one of the tags, by weak comparison (RFC 9110 section 13.1.2).
func matches(headers []string, tags ...string) bool {
	for _, header := range headers {
		for want := range strings.SplitSeq(header, ",") {
			want = strings.TrimPrefix(strings.TrimSpace(want), "W/")
			for _, tag := range tags {
				if want == "*" || want == tag {
					return true
				}
			}
		}
	}
	return false
}

// acceptsGzip reports whether gzip is accepted by name, not "*", with a weight above 0 (RFC 9110 section
// 12.5.3).
func acceptsGzip(headers []string) bool {
	for _, header := range headers {
		for coding := range strings.SplitSeq(header, ",") {
			name, params, weighted := strings.Cut(coding, ";")
			if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
				continue
			}
			if !weighted {
				return true
			}
			weight, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(params)), "q=")
			q, err := strconv.ParseFloat(weight, 64)
			return ok && err == nil && q > 0
		}
	}
	return false
}
