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
)

// Why a stream cannot be gone on with.
var (
	errReset    = errors.New("the server has the set fetched anew")
	errDiverged = errors.New("a change does not fit the set")
	errEvent    = errors.New("an event does not read, or changes are missing before it")
	errNoStream = errors.New("the answer is no event stream")
)

// streamSet applies changes as they come until the stream ends, and returns why it
// did, and whether anything came at all.
func (c *course) streamSet(ctx context.Context) (got bool, err error) {
	dog := watch(ctx, c.limits.head)
	defer dog.stop()
	asked := c.now()
	resp, err := c.openStream(dog.ctx)
	if err != nil {
		return false, dog.explain(err)
	}
	defer resp.Body.Close()
	dog.allow(c.limits.first)
	in := newMessages(&watched{resp.Body, dog, c.limits.silence})
	defer c.setStreaming(false)
	for {
		msg, err := in.next()
		if errors.Is(err, errTooLong) {
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
	after := strconv.FormatUint(c.Version(), 10)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/changes?after="+after, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", StreamType)
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("Cache-Control", "no-store")
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

// take applies one message of a stream that was asked for at a time.
func (c *course) take(msg message, asked time.Time) error {
	if msg.comment {
		if age, at, ok := parseHeartbeat(string(msg.data)); ok {
			// It was sent so long after the stream began, and that began after it was
			// asked for. When it arrived says less: it may have been long on its way.
			c.confirm(asked.Add(at - age))
		}
		return nil
	}
	switch msg.name {
	case "change":
		return c.applyChange(msg)
	case "reset":
		return errReset
	}
	return nil // of a later server; a gap would show
}

func (c *course) applyChange(msg message) error {
	var change Change
	if err := change.UnmarshalJSON(msg.data); err != nil {
		return fmt.Errorf("%w: %w", errEvent, err)
	}
	if msg.id != strconv.FormatUint(change.Version, 10) {
		return fmt.Errorf("%w: its id is not its version", errEvent)
	}
	index := c.Index()
	if change.Version <= index.Set().version {
		return nil
	}
	err := index.Apply(change)
	switch {
	case errors.Is(err, ErrVersionGap):
		return fmt.Errorf("%w: %w", errEvent, err)
	case err != nil:
		return fmt.Errorf("%w: %w", errDiverged, err)
	}
	if c.journal != nil {
		c.journal.add(change, index.Set())
	}
	return nil
}

// parseHeartbeat reads a comment of Stream's.
func parseHeartbeat(text string) (age, at time.Duration, ok bool) {
	first, second, _ := strings.Cut(strings.TrimSpace(text), " ")
	ageText, okAge := strings.CutPrefix(first, "age=")
	atText, okAt := strings.CutPrefix(second, "at=")
	age, errAge := time.ParseDuration(ageText + "s")
	at, errAt := time.ParseDuration(atText + "s")
	return age, at, okAge && okAt && errAge == nil && errAt == nil && age >= 0 && at >= 0
}
