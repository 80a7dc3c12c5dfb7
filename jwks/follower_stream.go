package jwks

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/burnkey/burnkey/jwks/internal/sse"
)

// Reasons to end a stream.
var (
	errReset    = errors.New("the server requests that the set is fetched again")
	errDiverged = errors.New("the set does not belong to the server's history")
	errEvent    = errors.New("an event is invalid, or changes are missing before it")
	errNoStream = errors.New("the response is not an event stream")
	errLags     = errors.New("the server's own set is out of date")
	errClock    = errors.New("the clock was set")
)

// streamSet applies changes until the stream ends. It returns why it ended, and whether any message arrived.
func (c *course) streamSet(ctx context.Context) (got bool, err error) {
	dog := watch(ctx, c.limits.head)
	defer dog.stop()
	asked := anchor{c.now(), time.Now()}
	resp, err := c.openStream(dog.ctx)
	if err != nil {
		return false, dog.explain(err)
	}
	defer resp.Body.Close()
	dog.allow(c.limits.first)
	in := sse.NewReader(&watched{resp.Body, dog, c.limits.silence})
	defer c.setStreaming(false)
	for {
		msg, err := in.Next()
		if errors.Is(err, sse.ErrTooLong) {
			return got, fmt.Errorf("%w: %w", errEvent, err)
		}
		if err != nil {
			return got, dog.explain(err)
		}
		if !got {
			got = true
			c.setStreaming(true)
			c.report(ctx, nil)
		}
		if err := c.take(msg, asked); err != nil {
			return got, err
		}
	}
}

func (c *course) openStream(ctx context.Context) (*http.Response, error) {
	query := "?after=" + strconv.FormatUint(c.Version(), 10)
	if c.heartbeat > 0 {
		query += "&heartbeat=" + strconv.FormatFloat(c.heartbeat.Seconds(), 'f', 3, 64)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+ChangesPath+query, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", StreamType)
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("Cache-Control", "no-store")
	c.authorize(req)
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	coding := resp.Header.Get("Content-Encoding")
	switch {
	case resp.StatusCode != http.StatusOK:
		err = newStatusError("the change stream", resp, c.limits.retryAfter)
	case kind != StreamType || coding != "" && coding != "identity":
		err = errNoStream
	default:
		return resp, nil
	}
	resp.Body.Close()
	return nil, err
}

// authorize adds the management key, which entitles the Follower to a reserved place.
func (c *course) authorize(req *http.Request) {
	if c.key == nil {
		return
	}
	key, err := c.key()
	if err != nil {
		c.log.DebugContext(req.Context(), "requesting the change stream without a management key", "error", err)
		return
	}
	req.Header.Set("Authorization", "Bearer "+key)
}

// anchor is the time of a request, by the Follower's clock and by the monotonic clock.
type anchor struct{ at, counted time.Time }

// isOff reports whether the clock was set or the machine slept since the anchor. Times relative to the
// anchor are then wrong.
func (a anchor) isOff(now time.Time) bool {
	off := now.Round(0).Sub(a.at.Round(0)) - time.Since(a.counted)
	return off.Abs() > time.Second
}

// take handles one message of a stream that was requested at the time asked.
func (c *course) take(msg sse.Message, asked anchor) error {
	if msg.Comment {
		beat, ok := parseHeartbeat(string(msg.Data))
		if !ok {
			return nil
		}
		if have := c.content().state(); beat.version == have.version && !have.mayBe(beat.print) {
			return errDiverged
		}
		if asked.isOff(c.now()) {
			return errClock
		}
		// beat.at is the time from the start of the stream to the sending of the heartbeat. It is more
		// exact than the time of arrival, since a heartbeat can take long to arrive.
		c.confirm(asked.at.Add(beat.at - beat.age))
		if beat.age > c.limits.lag {
			return errLags
		}
		return nil
	}
	switch msg.Name {
	case "change":
		change, err := readChange(msg.ID, msg.Data)
		if err != nil {
			return err
		}
		applied, err := c.content().apply(change)
		if applied {
			c.since = c.now()
		}
		return err
	case "reset":
		return errReset
	}
	return nil // from a newer server; a missing change would be noticed as a gap
}

// heartbeat is a comment in the stream.
type heartbeat struct {
	age, at time.Duration
	version uint64 // 0 if missing
	print   string // empty if missing
}

// parseHeartbeat parses a comment of the stream. It ignores unknown fields, which a newer server can send.
func parseHeartbeat(text string) (heartbeat, bool) {
	fields := make(map[string]string)
	for pair := range strings.FieldsSeq(text) {
		name, value, _ := strings.Cut(pair, "=")
		fields[name] = value
	}
	age, errAge := time.ParseDuration(fields["age"] + "s")
	at, errAt := time.ParseDuration(fields["at"] + "s")
	if errAge != nil || errAt != nil || age < 0 || at < 0 {
		return heartbeat{}, false
	}
	version, err := strconv.ParseUint(fields["version"], 10, 63)
	if err != nil {
		version = 0
	}
	return heartbeat{age, at, version, fields["fingerprint"]}, true
}
