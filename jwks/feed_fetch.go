package jwks

import (
	"context"
	"fmt"
	"time"
)

// fetch begins to fetch a member's set, which must have at least a version.
func (c *feedCourse) fetch(ctx context.Context, m *member, least uint64) {
	m.changing.Lock()
	defer m.changing.Unlock()
	m.least, m.waiting, m.newSet = least, nil, nil
	if m.fetching {
		return
	}
	m.fetching = true
	c.setInStep(m, false)
	c.tasks.Go(func() { c.fetchUntilDone(ctx, m) })
}

// fetchUntilDone fetches a member's set until it is in step again, or ctx ends.
func (c *feedCourse) fetchUntilDone(ctx context.Context, m *member) {
	retries := c.limits.backoff()
	for {
		err := c.fetchOnce(ctx, m)
		if ctx.Err() != nil {
			return
		}
		m.changing.Lock()
		if err == nil || m.newSet != nil {
			err = c.finish(m)
		}
		m.changing.Unlock()
		m.report(ctx, err)
		if err == nil {
			return
		}
		select {
		case <-time.After(max(retries.NextBackOff(), asked(err))):
		case <-ctx.Done():
			return
		}
	}
}

// fetchOnce fetches a member's set, unless the stream brings one meanwhile.
func (c *feedCourse) fetchOnce(ctx context.Context, m *member) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m.changing.Lock()
	m.cancel = cancel
	if m.newSet != nil {
		cancel()
	}
	m.changing.Unlock()
	select {
	case c.fetches <- struct{}{}:
		defer func() { <-c.fetches }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return (&course{Follower: m.Follower, whole: true}).fetch(ctx)
}

// finish installs what the stream brought while the set was fetched. If nothing is missing, the member is in step.
// The caller holds the lock.
func (c *feedCourse) finish(m *member) error {
	e, waiting := m.newSet, m.waiting
	m.newSet, m.waiting = nil, nil
	if e != nil {
		m.least = e.Version
		if err := c.installSet(m, e); err != nil {
			return err
		}
	}
	if have := m.Version(); have < m.least {
		return fmt.Errorf("%w: version %d, not %d", errOlder, have, m.least)
	}
	for _, change := range waiting {
		if _, err := m.content().apply(change); err != nil {
			m.least = change.Version
			return err
		}
	}
	m.fetching = false
	c.setInStep(m, true)
	return nil
}
