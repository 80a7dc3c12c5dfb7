package jwks_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/burnkey/burnkey/jwks"
)

const feedKey = "the-management-key"

// feedOrigin is a server of feeds whose faults a test chooses.
type feedOrigin struct {
	*httptest.Server
	t *testing.T

	mu         sync.Mutex
	workspaces map[string]*feedSet
	events     []string      // sent to every stream
	news       chan struct{} // closed at the next event
	positions  []map[string]string
	fetched    map[string]int
	small      int                                         // keys up to which a set is sent in the stream
	breaks     int                                         // raised to end all streams
	onFetch    func(w http.ResponseWriter, ws string) bool // ok: it has answered
	age        string
}

// feedSet is one workspace.
type feedSet struct {
	version    uint64
	keys       []Key
	attributes map[KID]Attributes
	limits     map[string]LimitSet
	settings   Settings
}

func newFeedOrigin(t *testing.T) *feedOrigin {
	o := &feedOrigin{
		t: t, workspaces: map[string]*feedSet{}, news: make(chan struct{}), fetched: map[string]int{}, small: 100, age: "0.000",
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+FeedPath, o.stream)
	mux.HandleFunc("GET /v1/workspaces/{ws}/feed", o.snapshot)
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+feedKey {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { o.breakStreams(); o.Close() })
	return o
}

func (s *feedSet) print() (print Fingerprint) {
	toggle := func(part Fingerprint) { print.Toggle((*KID)(&part)) }
	for _, key := range s.keys {
		toggle(Fingerprint(key.KID()))
	}
	for kid, a := range s.attributes {
		toggle((&KeyAttributes{KID: kid, Attributes: a}).Print())
	}
	for _, set := range s.limits {
		toggle(set.Print())
	}
	toggle(s.settings.Print())
	return print
}

// members returns the members of a whole set.
func (s *feedSet) members() map[string]any {
	set := map[string]Attributes{}
	for kid, a := range s.attributes {
		set[kid.String()] = a
	}
	limits := []LimitSet{}
	for _, l := range s.limits {
		limits = append(limits, l)
	}
	members := map[string]any{"keys": s.keys, "set": set, "limits": limits}
	if !s.settings.IsDefault() {
		members["settings"] = s.settings
	}
	return members
}

// create adds a workspace and sends its set.
func (o *feedOrigin) create(ws string, version uint64, keys ...Key) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.workspaces[ws] = &feedSet{version, slices.Clone(keys), map[KID]Attributes{}, map[string]LimitSet{}, Settings{}}
	o.send(o.setEvent(ws))
}

// change applies a change and sends it.
func (o *feedOrigin) change(ws string, c Change) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.send(o.apply(ws, c))
}

// apply applies a change and returns its event.
func (o *feedOrigin) apply(ws string, c Change) string {
	s := o.workspaces[ws]
	s.version++
	for _, kid := range c.Remove {
		for i, key := range s.keys {
			if key.KID() == kid {
				s.keys = append(append([]Key{}, s.keys[:i]...), s.keys[i+1:]...)
				break
			}
		}
		delete(s.attributes, kid)
	}
	s.keys = append(s.keys, c.Add...)
	for _, k := range c.Unsigned.Set {
		delete(s.attributes, k.KID)
		if !k.Attributes.IsZero() {
			s.attributes[k.KID] = k.Attributes
		}
	}
	for _, l := range c.Unsigned.Limits {
		delete(s.limits, l.On+"/"+l.Name)
		if len(l.Limits) > 0 {
			s.limits[l.On+"/"+l.Name] = l
		}
	}
	if c.Unsigned.Settings != nil {
		s.settings = *c.Unsigned.Settings
	}
	c.Version = s.version
	return changeEvent(o.t, ws, c, s.print().String())
}

func changeEvent(t *testing.T, ws string, c Change, print string) string {
	data := map[string]any{}
	for _, part := range []any{c, c.Unsigned} {
		text, err := json.Marshal(part)
		if err == nil {
			err = json.Unmarshal(text, &data)
		}
		if err != nil {
			t.Error(err)
		}
	}
	data["workspace"], data["fingerprint"] = ws, print
	return event(t, ws, "change", data)
}

func event(t *testing.T, ws, name string, data map[string]any) string {
	data["workspace"] = ws
	text, err := json.Marshal(data)
	if err != nil {
		t.Error(err)
	}
	return fmt.Sprintf("event: %s\ndata: %s\n\n", name, text)
}

func (o *feedOrigin) setEvent(ws string) string {
	s := o.workspaces[ws]
	if len(s.keys) > o.small {
		return event(o.t, ws, "reset", map[string]any{"version": s.version})
	}
	data := s.members()
	data["version"], data["fingerprint"] = s.version, s.print().String()
	return event(o.t, ws, "set", data)
}

// send sends an event to all streams. The caller holds the lock.
func (o *feedOrigin) send(text string) {
	o.events = append(o.events, text)
	close(o.news)
	o.news = make(chan struct{})
}

func (o *feedOrigin) sendRaw(text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.send(text)
}

func (o *feedOrigin) breakStreams() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.breaks++
	o.send("")
}

func (o *feedOrigin) set(edit func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	edit()
}

func (o *feedOrigin) stream(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	var position struct {
		After      map[string]string `json:"after"`
		Workspaces []string          `json:"workspaces"`
	}
	if err := json.NewDecoder(r.Body).Decode(&position); err != nil {
		o.t.Error(err)
	}
	w.Header().Set("Content-Type", StreamType)
	o.mu.Lock()
	o.positions = append(o.positions, position.After)
	at, breaks := len(o.events), o.breaks
	first := ""
	for ws, s := range o.workspaces {
		if position.After[ws] != strconv.FormatUint(s.version, 10)+"."+s.print().String() {
			first += o.setEvent(ws)
		}
	}
	for ws := range position.After {
		if o.workspaces[ws] == nil {
			first += event(o.t, ws, "gone", map[string]any{})
		}
	}
	for _, ws := range position.Workspaces {
		if o.workspaces[ws] == nil {
			first += event(o.t, ws, "gone", map[string]any{})
		}
	}
	o.mu.Unlock()
	beat := time.NewTicker(20 * time.Millisecond)
	defer beat.Stop()
	text := first
	for {
		o.mu.Lock()
		text += strings.Join(o.events[at:], "")
		at = len(o.events)
		news, ended, age := o.news, o.breaks != breaks, o.age
		o.mu.Unlock()
		if ended {
			return
		}
		_, _ = fmt.Fprintf(w, "%s: age=%s at=%.3f\n\n", text, age, time.Since(began).Seconds())
		w.(http.Flusher).Flush()
		text = ""
		select {
		case <-news:
		case <-beat.C:
		case <-r.Context().Done():
			return
		}
	}
}

func (o *feedOrigin) snapshot(w http.ResponseWriter, r *http.Request) {
	ws := r.PathValue("ws")
	o.mu.Lock()
	o.fetched[ws]++
	hook := o.onFetch
	o.mu.Unlock()
	if hook != nil && hook(w, ws) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.workspaces[ws]
	if s == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Etag", ETag(s.version, s.print()))
	w.Header().Set(VersionHeader, strconv.FormatUint(s.version, 10))
	w.Header().Set(FingerprintHeader, s.print().String())
	parts := s.members()
	for i, name := range []string{"keys", "set", "limits", "settings"} {
		if part, has := parts[name]; has {
			text, _ := json.Marshal(part)
			_, _ = fmt.Fprintf(w, `%c"%s":%s`, "{,,,"[i], name, text)
		}
	}
	_, _ = fmt.Fprint(w, "}")
}
