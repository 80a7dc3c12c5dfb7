package jwks

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"time"
)

var (
	errMixed    = errors.New("the response's header does not match its set: a cache in front of the server mixed two sets")
	errEmpty    = errors.New("the set is empty; a published set never is")
	errEncoding = errors.New("the response has a content encoding that was not requested")
	// errOlder is returned for an older set from a server that lags: the set's age shows that the server
	// has not checked its database since the Follower got a newer set. If the server has checked, its
	// database was restored, and the older set is right: keys issued after the backup are gone, and keys
	// revoked after it must be revoked again.
	errOlder = errors.New("the server shows an older set")
)

// fetch requests the whole set, with If-None-Match if the current set only needs to be confirmed. After an
// error the set is unchanged.
func (c *course) fetch(ctx context.Context) error {
	asked := c.now()
	dog := watch(ctx, c.limits.head)
	defer dog.stop()
	resp, err := c.askSet(dog.ctx)
	if err != nil {
		return dog.explain(err)
	}
	defer resp.Body.Close()
	age, _ := seconds(resp.Header.Get("Age")) // also set by caches
	have, got := c.content().state(), describe(resp.Header)
	if resp.StatusCode == http.StatusNotModified && resp.Request.Header.Get("If-None-Match") != "" {
		if !have.mayBe(got.print) {
			c.whole = true
			return errDiverged
		}
		c.confirm(asked.Add(-age))
		return nil
	}
	if resp.StatusCode != http.StatusOK {
		return c.noSet(newStatusError("the set", resp, c.limits.retryAfter))
	}
	c.noteTag(ctx, got)
	if got.version == 0 && got.print != "" && have.mayBe(got.print) {
		got.version = have.version // the keys are the same
	}
	if got.isOf(have) && !c.whole {
		c.confirm(asked.Add(-age)) // by a server without If-None-Match
		return nil
	}
	if got.version <= have.version && !asked.Add(-age).After(c.since) {
		return fmt.Errorf("%w: version %d, after %d", errOlder, got.version, have.version)
	}
	dog.allow(c.limits.stall)
	next, err := c.readBody(resp, &watched{resp.Body, dog, c.limits.stall})
	if err != nil {
		return dog.explain(err)
	}
	if read := (setState{print: c.content().printOf(next)}); !read.mayBe(got.print) {
		next.abort()
		c.whole = true
		return errMixed
	}
	if err := c.install(ctx, next, got.version, asked.Add(-age)); err != nil {
		return err
	}
	c.announce()
	return nil
}

func (c *course) askSet(ctx context.Context) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.setURL(), nil)
	if err != nil {
		return nil, err
	}
	if c.feed != nil {
		if err := c.feed.authorize(req); err != nil {
			return nil, err
		}
	}
	req.Header.Set("Accept", acceptSet)
	req.Header.Set("Accept-Encoding", "gzip")
	if have := c.content().state(); have.version != 0 && !c.whole {
		req.Header.Set("If-None-Match", c.tagOf(have))
	} else {
		req.Header.Set("Cache-Control", "no-cache") // a cached set may be one that we have already replaced
	}
	return c.client.Do(req)
}

// setURL is the address of the whole set.
func (f *Follower) setURL() string {
	if f.feed != nil {
		return f.feed.setURL(path.Base(f.url))
	}
	return f.url + SetPath
}

// noSet explains a 404: usually only the last part of the URL, the workspace, is wrong.
func (c *course) noSet(err *statusError) error {
	if err.code != http.StatusNotFound {
		return err
	}
	return fmt.Errorf("%w %q: %w", ErrNoWorkspace, path.Base(c.url), err)
}

// install makes the content show a fetched set, which was current at the given time.
func (c *course) install(ctx context.Context, next *refresh, version uint64, at time.Time) error {
	have := c.Version()
	if have == version && c.hasSet() && !next.differs() {
		c.setCurrent(at)
		return nil
	}
	err := next.install(version, func(show func()) { c.showCurrent(at, show) })
	if err != nil {
		next.abort()
		return err
	}
	if version <= have && version != 0 {
		c.log.WarnContext(ctx, "the server's history was replaced", "url", c.shownURL(), "version", version, "before", have)
	}
	c.since = c.now()
	now := c.content().state()
	c.log.InfoContext(ctx, "fetched the published keys", "url", c.shownURL(), "version", now.version, "keys", now.keys)
	return nil
}

// readBody reads a complete set, plain or compressed by gzip.
func (c *course) readBody(resp *http.Response, body io.Reader) (*refresh, error) {
	switch resp.Header.Get("Content-Encoding") {
	case "", "identity":
	case "gzip":
		zipped, err := gzip.NewReader(body)
		if err != nil {
			return nil, err
		}
		body = zipped
	default:
		return nil, errEncoding
	}
	return c.content().read(body)
}
