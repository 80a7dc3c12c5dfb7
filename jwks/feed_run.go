package jwks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/burnkey/burnkey/jwks/internal/sse"
)

// feedCourse is the state of a Feed while it runs.
type feedCourse struct {
	*Feed
	tasks sync.WaitGroup // those that fetch large sets
	seen  bool           // this stream has sent something
	asked anchor         // when this stream was requested

	// lagging contains the ages of the workspaces that lag at the server, up to the next heartbeat, and lagged
	// those at the last heartbeat.
	lagging, lagged map[*member]time.Duration
}

// Run keeps the sets up to date until ctx ends, and then returns nil. It releases the state file and leaves no
// goroutine running. Run can be called only once.
func (f *Feed) Run(ctx context.Context) error {
	if f.ran.Swap(true) {
		return errors.New("the Feed has already run or is closed")
	}
	ctx, cancel := context.WithCancel(ctx)
	if f.journal != nil {
		defer f.journal.start()()
	}
	if f.ownClient {
		defer f.client.CloseIdleConnections()
	}
	c := &feedCourse{Feed: f, lagged: make(map[*member]time.Duration)}
	defer c.tasks.Wait()
	defer cancel()
	retries := f.limits.backoff()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		began := time.Now()
		err := c.stream(ctx)
		if ctx.Err() != nil {
			return nil
		}
		c.report(ctx, err)
		if c.seen && time.Since(began) >= f.limits.healthy {
			retries.Reset()
		}
		timer.Reset(max(retries.NextBackOff(), asked(err)))
	}
}

// report records and logs success or failure.
func (f *Feed) report(ctx context.Context, err error) {
	f.mu.Lock()
	due, ended := f.failure.note(err)
	f.mu.Unlock()
	if due {
		f.log.WarnContext(ctx, "lost the feed; the last known keys stay in use", "server", f.server, "error", err)
	}
	if ended {
		f.log.InfoContext(ctx, "the feed works again", "server", f.server)
	}
}

// stream applies events until the stream ends, and returns why it ended.
func (c *feedCourse) stream(ctx context.Context) error {
	dog := watch(ctx, c.limits.head)
	defer dog.stop()
	c.seen, c.asked, c.lagging = false, anchor{c.now(), time.Now()}, make(map[*member]time.Duration)
	resp, err := c.open(dog.ctx)
	if err != nil {
		return dog.explain(err)
	}
	defer resp.Body.Close()
	dog.allow(c.limits.first)
	in := sse.NewReader(&watched{resp.Body, dog, c.limits.silence})
	defer c.streaming.Store(false)
	for {
		msg, err := in.Next()
		if errors.Is(err, sse.ErrTooLong) {
			return fmt.Errorf("%w: %w", errEvent, err)
		}
		if err != nil {
			return dog.explain(err)
		}
		if err := c.take(ctx, msg); err != nil {
			return err
		}
		c.seen = true
	}
}

// position is the body of a request for the feed.
type position struct {
	After      map[string]string `json:"after"`
	Workspaces []string          `json:"workspaces,omitempty"`
	Heartbeat  float64           `json:"heartbeat,omitzero"` // seconds
}

// position returns the versions and fingerprints of all sets.
func (f *Feed) position() position {
	p := position{After: make(map[string]string), Workspaces: f.workspaces, Heartbeat: f.heartbeat.Seconds()}
	f.mu.RLock()
	defer f.mu.RUnlock()
	for workspace, m := range f.members {
		if have := m.content().state(); have.version != 0 && !m.isFetching() {
			p.After[workspace] = strconv.FormatUint(have.version, 10) + "." + have.print.String()
		}
	}
	return p
}

func (f *Feed) open(ctx context.Context) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.server+FeedPath, bytes.NewReader(mustMarshal(f.position())))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", StreamType)
	req.Header.Set("Accept-Encoding", "identity")
	if err := f.authorize(req); err != nil {
		return nil, err
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, err
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case resp.StatusCode != http.StatusOK:
		err = f.refused(newStatusError("the feed", resp, f.limits.retryAfter))
	case kind != StreamType:
		err = errNoStream
	default:
		return resp, nil
	}
	resp.Body.Close()
	return nil, err
}

// refused adds the usual cause of a status to the error.
func (f *Feed) refused(err *statusError) error {
	switch err.code {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("the management key must be valid and have the scope gateway: %w", err)
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return fmt.Errorf("the server has no feed: it must be upgraded first, or the URL is wrong: %w", err)
	}
	return err
}

// take handles one message.
func (c *feedCourse) take(ctx context.Context, msg sse.Message) error {
	if msg.Comment {
		return c.heartbeat(ctx, string(msg.Data))
	}
	e, err := readFeedEvent(msg)
	if err != nil || e == nil || !c.follows(e.Workspace) {
		return err
	}
	switch msg.Name {
	case "set":
		return c.takeSet(c.enter(e.Workspace), e)
	case "reset":
		c.fetch(ctx, c.enter(e.Workspace), e.Version)
	case "change":
		m := c.member(e.Workspace)
		if m == nil {
			return fmt.Errorf("%w: a change of a workspace without a set", errEvent)
		}
		if err := m.takeChange(e); err != nil {
			c.log.WarnContext(ctx, "a change does not match the keys; fetching them", "workspace", e.Workspace, "error", err)
			c.fetch(ctx, m, e.Version)
		}
	case "gone":
		c.takeGone(ctx, e.Workspace)
	case "age":
		if m := c.member(e.Workspace); m != nil {
			c.lagging[m] = time.Duration(e.Age * float64(time.Second))
		}
	}
	return nil
}

// heartbeat records that all sets in step are current, except those that lag at the server.
func (c *feedCourse) heartbeat(ctx context.Context, text string) error {
	beat, ok := parseHeartbeat(text)
	if !ok {
		return nil
	}
	if c.asked.isOff(c.now()) {
		return errClock
	}
	if !c.streaming.Swap(true) {
		c.report(ctx, nil)
	}
	for m, age := range c.lagging {
		c.setInStep(m, false)
		m.confirm(c.asked.at.Add(beat.at - age))
	}
	for m := range c.lagged {
		if _, still := c.lagging[m]; !still && !m.isFetching() {
			c.setInStep(m, true)
		}
	}
	c.lagged, c.lagging = c.lagging, make(map[*member]time.Duration)
	at := c.asked.at.Add(beat.at - beat.age)
	if at.After(c.lastCurrent()) {
		c.current.Store(&at)
	}
	if c.journal != nil && c.outOfStep.Load() == 0 {
		c.journal.confirm(c.lastCurrent())
	}
	c.announce()
	if beat.age > c.limits.lag {
		return errLags
	}
	return nil
}

// takeGone handles that a workspace does not exist. One that the options name can be made later.
func (c *feedCourse) takeGone(ctx context.Context, workspace string) {
	m := c.member(workspace)
	switch {
	case m == nil:
	case len(c.workspaces) == 0:
		c.remove(workspace, m)
	default:
		c.setInStep(m, true)
		m.report(ctx, fmt.Errorf("%w %q", ErrNoWorkspace, workspace))
	}
}
