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
	errMixed    = errors.New("the answer's header does not match its set: a cache in front of the server has mixed two sets")
	errEmpty    = errors.New("the set is empty, which a published set never is")
	errEncoding = errors.New("the answer has a content encoding that was not asked for")
	// errOlder: of several servers one may lag behind the others, and says by its age
	// that it has not looked since. But one that has looked, and shows a version that
	// was there before, has a database that was put back to an earlier state, and then
	// what it says holds: keys that were issued since are gone, and those revoked since
	// are to be revoked again.
	errOlder = errors.New("the server shows an older set")
)

// fetch brings the set up to date by asking for it whole, or with If-None-Match
// where it is only to be confirmed. After an error all is as it was.
func (c *course) fetch(ctx context.Context) error {
	asked := c.now()
	dog := watch(ctx, c.limits.head)
	defer dog.stop()
	resp, err := c.askSet(dog.ctx)
	if err != nil {
		return dog.explain(err)
	}
	defer resp.Body.Close()
	age, _ := seconds(resp.Header.Get("Age")) // also of caches on the way
	have, said := c.table.state(), describe(resp.Header)
	if resp.StatusCode == http.StatusNotModified && resp.Request.Header.Get("If-None-Match") != "" {
		if !have.mayBe(said.print) {
			c.whole = true
			return errDiverged
		}
		c.confirm(asked.Add(-age))
		return nil
	}
	if resp.StatusCode != http.StatusOK {
		return c.noSet(newStatusError("the set", resp, c.limits.retryAfter))
	}
	c.noteTag(ctx, said)
	if said.version == 0 && said.print != "" && have.mayBe(said.print) {
		said.version = have.version // the same keys
	}
	if said.isOf(have) && !c.whole {
		c.confirm(asked.Add(-age)) // by a server that knows no If-None-Match
		return nil
	}
	if said.version <= have.version && !asked.Add(-age).After(c.since) {
		return fmt.Errorf("%w: version %d, after %d", errOlder, said.version, have.version)
	}
	dog.allow(c.limits.stall)
	next := c.table.refresh()
	if err := readBody(resp, &watched{resp.Body, dog, c.limits.stall}, next.Add); err != nil {
		next.abort()
		return dog.explain(err)
	}
	if read := (shown{print: next.print}); !read.mayBe(said.print) {
		next.abort()
		c.whole = true
		return errMixed
	}
	if err := c.install(ctx, next, said.version, asked.Add(-age)); err != nil {
		return err
	}
	c.announce()
	return nil
}

func (c *course) askSet(ctx context.Context) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+SetPath, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", acceptSet)
	req.Header.Set("Accept-Encoding", "gzip")
	if have := c.table.state(); have.version != 0 && !c.whole {
		req.Header.Set("If-None-Match", c.tagOf(have))
	} else {
		req.Header.Set("Cache-Control", "no-cache") // of what a cache has, we may have seen the end
	}
	return c.client.Do(req)
}

// noSet says of a 404 what it means: the URL is right but for its end, most often.
func (c *course) noSet(err *statusError) error {
	if err.code != http.StatusNotFound {
		return err
	}
	return fmt.Errorf("%w %q: %w", ErrNoWorkspace, path.Base(c.url), err)
}

// install shows a fetched set, which was the server's current one at the given time.
func (c *course) install(ctx context.Context, next *refresh, version uint64, at time.Time) error {
	have := c.Version()
	if have == version && c.hasSet() && !next.differs() {
		c.setCurrent(at)
		return nil
	}
	err := next.install(version, func(show func()) {
		c.showCurrent(at, func() {
			show()
			if c.journal != nil {
				c.journal.setWhole()
			}
		})
	})
	if err != nil {
		next.abort()
		return err
	}
	if version <= have && version != 0 {
		c.log.WarnContext(ctx, "the server's history was replaced", "url", c.shownURL(), "version", version, "before", have)
	}
	c.since = c.now()
	shown := c.table.state()
	c.log.InfoContext(ctx, "fetched the published keys", "url", c.shownURL(), "version", shown.version, "keys", shown.keys)
	return nil
}

// readBody reads a set to its end, and is content with nothing less.
func readBody(resp *http.Response, body io.Reader, yield func(Key) error) error {
	switch resp.Header.Get("Content-Encoding") {
	case "", "identity":
	case "gzip":
		zipped, err := gzip.NewReader(body)
		if err != nil {
			return err
		}
		body = zipped
	default:
		return errEncoding
	}
	empty := true
	err := ReadSet(body, func(key Key) error { empty = false; return yield(key) })
	if err == nil && empty {
		err = errEmpty
	}
	return err
}
