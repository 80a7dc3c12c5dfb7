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

// Why a Stream refuses a reader, for errors.Is; any other error is that of
// Stream.Log.
var (
	ErrNoSet    = errors.New("there is no such set")
	ErrPosition = errors.New("the position in the stream is not a version")
	ErrBody     = errors.New("a request for the stream has no body")
	// ErrTooOld is what Stream.Log returns where the log does not reach back so
	// far. It refuses nobody: the reader is told to fetch the set again.
	ErrTooOld = errors.New("the log does not reach back so far")
)

// Limits of a Stream.
const (
	DefaultHeartbeat = 5 * time.Second
	MinHeartbeat     = 500 * time.Millisecond // the shortest that a reader may choose
	logPage          = 16                     // changes read from the log at once
	logBytes         = 8 << 10                // bytes of changes after which a reader gets no more at once
	logReads         = 4                      // readers of the log at one time
	logMost          = 10000                  // changes from the log for any one reader
	streamWindow     = 10 * time.Second       // longest time to send something
	streamBuffer     = 64 << 10               // bytes of the kernel's send buffer
	aheadCheck       = time.Second
)

// Stream serves the changes of a published set as Server-Sent Events: GET, from
// the version that after= or Last-Event-ID names. Each change is an event change
// with the version as its id; event reset says that the set must be fetched
// anew. Comments are heartbeats: Age and the time since the stream began, in
// seconds, and the version that all sent so far leads to, with its Fingerprint.
// A change is rendered once for all readers; one who does not take what is sent
// is dropped. It is made by NewStream. Its fields are not to be changed once it is in use; it is safe for
// concurrent use if its functions are.
type Stream struct {
	// Index returns what a request means to follow; false refuses it with ErrNoSet.
	Index func(*http.Request) (*Index, bool)
	// Log returns the changes behind a version, oldest first, at most limit, for
	// those who are further behind than the Index remembers. ErrTooOld.
	Log func(r *http.Request, after uint64, limit int) ([]jwks.Change, error)
	// Age is how long ago the Index that a request means was known to be current. Nil:
	// it always is.
	Age func(*http.Request) time.Duration
	// Refuse answers those who get no stream. Nil: in plain text.
	Refuse func(http.ResponseWriter, *http.Request, error)
	// Heartbeat is how long the stream is silent at most. 0: DefaultHeartbeat. A reader
	// may ask for less by heartbeat=, in seconds; where one address has very many readers
	// without a Key, they get no more than 500 heartbeats a second together.
	Heartbeat time.Duration
	// Who identifies a reader. Nil: all readers have the same address and no Key.
	Who func(*http.Request) StreamReader
	// Limits bounds the concurrent readers.
	Limits StreamLimits
	// Closing ends every stream once it is closed.
	Closing <-chan struct{}

	window  time.Duration // streamWindow, except in tests
	seats   seats
	dropped atomic.Int64
	logging chan struct{} // one element per reader of the log
}

// NewStream makes a Stream of an index and a log.
func NewStream(index func(*http.Request) (*Index, bool), log func(*http.Request, uint64, int) ([]jwks.Change, error)) *Stream {
	return &Stream{
		Index: index, Log: log, Heartbeat: DefaultHeartbeat, Limits: StreamPlaces(DefaultStreamReaders),
		window: streamWindow, logging: make(chan struct{}, logReads),
	}
}

// Readers returns how many follow the stream now.
func (s *Stream) Readers() int { return s.seats.of(publicPool) + s.Reserved() }

// Reserved returns how many of the readers have a reserved place.
func (s *Stream) Reserved() int { return s.seats.of(reservedPool) }

// Dropped returns how many were dropped for being slow.
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

// serve returns an error if nothing was sent, and nil once a stream has ended.
func (s *Stream) serve(w http.ResponseWriter, r *http.Request) error {
	if r.ContentLength != 0 { // it would be waited for, before the header is sent
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
		resets: index.watch(), w: w, rc: http.NewResponseController(w),
	}
	defer index.unwatch()
	boundBuffer(r)
	// The server's read limit would end the request.
	if err := reader.rc.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	err = reader.run(r.Context())
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.dropped.Add(1)
	}
	if reader.begun {
		return nil // a reader that is gone, or comes again, is nobody to report to
	}
	return err
}

// position returns the version that a request goes on behind. The header wins:
// a browser that reconnects sends it with the URL that it began with.
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

// reader is one who follows a stream.
type reader struct {
	*Stream
	seat   *seat
	r      *http.Request
	index  *Index
	last   uint64 // the version that was sent
	shown  shown
	resets uint64 // of the index, as far as the reader was told
	since  time.Time
	// aheadSince is when the reader was first seen to have a later version.
	aheadSince time.Time

	beatAsked time.Duration // the longest silence requested
	group     time.Duration // group of readers with simultaneous heartbeats, below pulses

	age time.Duration // of what the Index showed at the last look

	w     http.ResponseWriter
	rc    *http.ResponseController
	until time.Time // the write deadline
	begun bool      // the header is sent
}

// run sends what there is and waits for more, until the reader is gone or
// something fails.
func (d *reader) run(ctx context.Context) error {
	gone := ctx.Done()
	timer := time.NewTimer(d.pause())
	defer timer.Stop()
	due := true // a heartbeat, once all that there is was sent
	for {
		if err := d.seat.keep(); err != nil {
			return err
		}
		d.age = d.ageNow() // asked before the Index, which is then at least so new
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

// next returns what is to be sent now; if nothing, then wake is closed once
// there may be something.
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
		d.shown = news.shown
		return nil, news.wake, nil
	}
	if news.events != nil {
		d.last, d.shown = news.version, news.shown
		return append(news.events, d.heartbeat()), nil, nil
	}
	return d.read(news)
}

// isAhead reports whether the reader has a version that is none. Another server
// may have shown it one that this server has yet to see, which it will have once
// its sets were checked after the reader came.
func (d *reader) isAhead() bool {
	now := time.Now()
	if d.aheadSince.IsZero() {
		d.aheadSince = now
	}
	return d.Age == nil || now.Add(-d.age).After(d.aheadSince)
}

// read returns changes from the log.
func (d *reader) read(news news) (events [][]byte, wake <-chan struct{}, err error) {
	if behind := news.version - d.last; behind > logMost && behind > uint64(news.keys)/2 {
		return d.reset(news), nil, nil // the set is the shorter way
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
		// A log that is behind the index; not to be asked again and again.
		return nil, news.wake, nil
	}
	var page []byte
	for _, c := range changes {
		if c.Version != d.last+1 {
			return nil, nil, fmt.Errorf("%w: version %d in the log behind %d", jwks.ErrVersionGap, c.Version, d.last)
		}
		d.last = c.Version
		page = appendChange(page, c)
		if len(page) >= logBytes {
			break // kept until the reader takes it
		}
	}
	return [][]byte{page}, nil, nil
}

// reset tells the reader to fetch the set, which has at least this version. The
// event has no id: who is cut off before he has done so must be told again.
func (d *reader) reset(news news) [][]byte {
	d.last, d.resets, d.aheadSince = news.version, news.resets, time.Time{}
	return [][]byte{fmt.Appendf(nil, "event: reset\ndata: {\"version\":%d}\n\n", news.version)}
}

// send sends events, and before the first ones the header.
func (d *reader) send(events ...[]byte) error {
	if err := d.extend(time.Now()); err != nil {
		return err
	}
	if !d.begun {
		head := d.w.Header()
		head.Set("Content-Type", jwks.StreamType)
		head.Set("Cache-Control", "no-store, no-transform")
		head.Set("X-Accel-Buffering", "no") // nginx would hold events back
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("Access-Control-Allow-Origin", "*")
		d.w.WriteHeader(http.StatusOK)
		d.begun = true
	}
	for _, event := range events {
		if _, err := d.w.Write(event); err != nil {
			return err
		}
	}
	return d.rc.Flush()
}

// extend renews the write deadline after a quarter of the window: renewing it at each heartbeat
// would take a tenth of a heartbeat's cost.
func (d *reader) extend(now time.Time) error {
	if d.until.Sub(now) > d.window*3/4 {
		return nil
	}
	d.until = now.Add(d.window)
	if err := d.rc.SetWriteDeadline(d.until); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// appendChange appends the event of a change.
func appendChange(dst []byte, c jwks.Change) []byte {
	dst = fmt.Appendf(dst, "id: %d\nevent: change\ndata: ", c.Version)
	data, err := json.Marshal(c)
	if err != nil {
		panic(err) // numbers and base64url
	}
	dst = append(dst, data...)
	return append(dst, "\n\n"...)
}
