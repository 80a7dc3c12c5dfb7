package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// Reasons to refuse a reader, for errors.Is. All other errors come from Stream.Log.
var (
	ErrNoSet    = errors.New("no such set")
	ErrPosition = errors.New("invalid position in the stream: must be a version")
	ErrBody     = errors.New("a request for the stream must not have a body")
	// ErrTooOld is returned by Stream.Log if the log no longer has the changes after a version. The Stream
	// then notifies the reader to fetch the set again.
	ErrTooOld = errors.New("the log no longer has these changes")
)

// Limits of a Stream.
const (
	DefaultHeartbeat = 5 * time.Second
	MinHeartbeat     = 500 * time.Millisecond // the shortest that a reader can request
	logPage          = 16                     // changes per read of the log
	logBytes         = 8 << 10                // bytes of changes after which a page ends
	logReads         = 4                      // concurrent reads of the log
	logMost          = 10000                  // a reader that lags more may be told to fetch the set
	streamWindow     = 10 * time.Second       // time limit of a write
	streamBuffer     = 64 << 10               // size of the kernel's send buffer, in bytes
	aheadCheck       = time.Second
)

// Stream serves the changes of a published set as Server-Sent Events, after the version in the parameter
// after or in Last-Event-ID. A change is an event "change" with the version as its id. An event "reset"
// tells the reader to fetch the set again. Comments are heartbeats: the age of the set and the time since
// the beginning of the stream, in seconds, and the version and fingerprint after everything sent so far. A
// change is rendered once for all readers. A reader that does not read is disconnected.
//
// NewStream returns a Stream. Its fields must not change after the first use. It is safe for concurrent use
// if its functions are.
type Stream struct {
	// Index returns the index for a request. If it returns false, the request is refused with ErrNoSet.
	Index func(*http.Request) (*Index, bool)
	// Log returns up to limit changes after a version, oldest first, or ErrTooOld. It is called for a
	// reader that lags by more changes than the Index stores.
	Log func(r *http.Request, after uint64, limit int) ([]jwks.Change, error)
	// Age returns the time since the index for a request was last known to be current. If nil, the age is 0.
	Age func(*http.Request) time.Duration
	// Refuse answers refused requests. If nil, the response is plain text.
	Refuse func(http.ResponseWriter, *http.Request, error)
	// Heartbeat is the interval of heartbeats. A reader can request a shorter interval by the parameter
	// heartbeat, in seconds. All readers from one address without a Key together get at most 500 heartbeats
	// a second.
	Heartbeat time.Duration
	// Who returns the reader that sends a request. If nil, all share one address, without a Key.
	Who func(*http.Request) StreamReader
	// Limits bounds the concurrent readers.
	Limits StreamLimits
	// All streams end when Closing is closed.
	Closing <-chan struct{}

	window  time.Duration // streamWindow, except in tests
	seats   seats
	dropped atomic.Int64
	logging chan struct{} // one element per concurrent read of the log
}

// NewStream returns a Stream with the default limits.
func NewStream(index func(*http.Request) (*Index, bool), log func(*http.Request, uint64, int) ([]jwks.Change, error)) *Stream {
	return &Stream{
		Index: index, Log: log, Heartbeat: DefaultHeartbeat, Limits: StreamPlaces(DefaultStreamReaders),
		window: streamWindow, logging: make(chan struct{}, logReads),
	}
}

// Readers returns the number of connected readers.
func (s *Stream) Readers() int { return s.seats.of(publicPool) + s.Reserved() }

// Reserved returns the number of readers with a reserved place.
func (s *Stream) Reserved() int { return s.seats.of(reservedPool) }

// Dropped returns the number of readers that were disconnected for reading too slowly.
func (s *Stream) Dropped() int { return int(s.dropped.Load()) }

func (s *Stream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", "GET")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	if err := s.serve(w, r); err != nil {
		w.Header().Set("Cache-Control", "no-store")
		s.refuse(w, r, err)
	}
}

func (s *Stream) refuse(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case s.Refuse != nil:
		s.Refuse(w, r, err)
	case errors.Is(err, ErrNoSet):
		http.Error(w, err.Error(), http.StatusNotFound)
	case errors.Is(err, ErrPosition), errors.Is(err, ErrBody):
		http.Error(w, err.Error(), http.StatusBadRequest)
	default:
		w.Header().Set("Retry-After", "1")
		http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
	}
}

// serve serves a stream. It returns an error only if nothing was sent.
func (s *Stream) serve(w http.ResponseWriter, r *http.Request) error {
	if r.ContentLength != 0 { // the server would wait for it before sending the header
		return ErrBody
	}
	index, ok := s.Index(r)
	if !ok {
		return ErrNoSet
	}
	after, err := position(r)
	if err != nil {
		return err
	}
	seat := &seat{stream: s, index: index}
	if s.Who != nil {
		seat.who = s.Who(r)
	}
	if err := seat.enter(); err != nil {
		return err
	}
	defer seat.leave()
	reader := &reader{
		Stream: s, seat: seat, beatAsked: s.beat(r), group: newGroup(), r: r, since: time.Now(), index: index, last: after,
		resets: index.watch(), sender: newSender(w, s.window, true),
	}
	defer index.unwatch()
	return s.stream(r, &reader.sender, reader.run)
}

// stream prepares a request for a stream and calls run, which sends it. It returns an error only if nothing was
// sent.
func (s *Stream) stream(r *http.Request, out *sender, run func(context.Context) error) error {
	boundBuffer(r)
	// The server's read limit would end the stream.
	if err := out.rc.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	err := run(r.Context())
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.dropped.Add(1)
	}
	if out.begun {
		return nil // the header is already sent
	}
	return err
}

// position returns the version after which the stream begins. The header takes precedence over the query: a
// reconnecting browser sends the header with the original URL.
func position(r *http.Request) (uint64, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return 0, ErrPosition
	}
	values := r.Header.Values("Last-Event-ID")
	if len(values) == 0 {
		values = query["after"]
	}
	if len(values) == 0 {
		return 0, nil
	}
	version, err := strconv.ParseUint(values[0], 10, 63)
	if err != nil || len(values) > 1 || values[0] != strconv.FormatUint(version, 10) {
		return 0, ErrPosition
	}
	return version, nil
}

// reader is a connected reader.
type reader struct {
	*Stream
	seat   *seat
	r      *http.Request
	index  *Index
	last   uint64 // the last version that was sent
	sent   state  // of the same version
	resets uint64 // resets of the index that the reader knows of
	since  time.Time
	// aheadSince is when the reader's version was first found to be later than the index's version.
	aheadSince time.Time

	beatAsked time.Duration // the requested interval
	group     time.Duration // readers with the same group have simultaneous heartbeats; below pulses

	age time.Duration // of the set when it was last read

	sender
}

// run sends changes and heartbeats until the reader disconnects or something fails.
func (d *reader) run(ctx context.Context) error {
	gone := ctx.Done()
	timer := time.NewTimer(d.pause())
	defer timer.Stop()
	due := true // a heartbeat, after all changes
	for {
		if err := d.seat.keep(); err != nil {
			return err
		}
		d.age = d.ageNow() // called before the Index is read, which is then at least as new
		events, wake, err := d.next()
		if err != nil {
			return err
		}
		if len(events) > 0 {
			if err := d.send(events...); err != nil {
				return err
			}
			continue
		}
		if due {
			due = false
			if err := d.send(d.heartbeat()); err != nil {
				return err
			}
		}
		wait := d.pause()
		if !d.aheadSince.IsZero() {
			wait = min(wait, aheadCheck)
		}
		timer.Reset(wait)
		select {
		case <-gone:
			return ctx.Err()
		case <-d.Closing:
			return nil
		case <-wake:
		case <-timer.C:
			due = true
		}
	}
}

func (d *reader) ageNow() time.Duration {
	if d.Age == nil {
		return 0
	}
	return d.Age(d.r)
}

// next returns the events that must be sent now. Without events, it returns a channel that is closed when
// some can be available.
func (d *reader) next() (events [][]byte, wake <-chan struct{}, err error) {
	news := d.index.since(d.last, d.seat.keyed)
	if d.resets != news.resets {
		return d.reset(news), nil, nil
	}
	if news.version < d.last {
		if d.isAhead() {
			return d.reset(news), nil, nil
		}
		return nil, news.wake, nil
	}
	d.aheadSince = time.Time{}
	if news.version == d.last {
		d.sent = news.state
		return nil, news.wake, nil
	}
	if news.events != nil {
		d.last, d.sent = news.version, news.state
		return append(news.events, d.heartbeat()), nil, nil
	}
	return d.read(news)
}

// isAhead reports whether the reader's later version does not exist. Another server can have sent a version
// that this server does not have yet; this server has it at the latest after its next check.
func (d *reader) isAhead() bool {
	now := time.Now()
	if d.aheadSince.IsZero() {
		d.aheadSince = now
	}
	return d.Age == nil || now.Add(-d.age).After(d.aheadSince)
}

// read returns changes from the log.
func (d *reader) read(news news) (events [][]byte, wake <-chan struct{}, err error) {
	if lag := news.version - d.last; lag > logMost && lag > uint64(news.keys)/2 {
		return d.reset(news), nil, nil // fetching the set is faster
	}
	select {
	case d.logging <- struct{}{}:
		defer func() { <-d.logging }()
	case <-d.r.Context().Done():
		return nil, nil, d.r.Context().Err()
	}
	changes, err := d.Log(d.r, d.last, logPage)
	switch {
	case errors.Is(err, ErrTooOld):
		return d.reset(news), nil, nil
	case err != nil:
		return nil, nil, err
	case len(changes) == 0:
		// The log is older than the index. Wait instead of reading the log again and again.
		return nil, news.wake, nil
	}
	var page []byte
	for _, c := range changes {
		if c.Version != d.last+1 {
			return nil, nil, fmt.Errorf("%w: version %d in the log after %d", jwks.ErrVersionGap, c.Version, d.last)
		}
		d.last = c.Version
		page = appendChange(page, c)
		if len(page) >= logBytes {
			break // the page is buffered until the reader reads it
		}
	}
	return [][]byte{page}, nil, nil
}

// reset returns an event that tells the reader to fetch the set, which has at least this version. The event
// has no id, so a reader that disconnects before fetching the set gets it again.
func (d *reader) reset(news news) [][]byte {
	d.last, d.resets, d.aheadSince = news.version, news.resets, time.Time{}
	return [][]byte{fmt.Appendf(nil, "event: reset\ndata: {\"version\":%d}\n\n", news.version)}
}

// appendChange appends the event of a change.
func appendChange(dst []byte, c jwks.Change) []byte {
	dst = fmt.Appendf(dst, "id: %d\nevent: change\ndata: ", c.Version)
	data, err := json.Marshal(c)
	if err != nil {
		panic(err) // cannot happen: numbers and base64url
	}
	dst = append(dst, data...)
	return append(dst, "\n\n"...)
}
