package jwks

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
)

var (
	errETag     = errors.New("the set's ETag is no version")
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
	have := c.table.state()
	if resp.StatusCode == http.StatusNotModified && resp.Request.Header.Get("If-None-Match") != "" {
		if !have.mayBe(resp.Header.Get(FingerprintHeader)) {
			c.whole = true
			return errDiverged
		}
		c.confirm(asked.Add(-age))
		return nil
	}
	if resp.StatusCode != http.StatusOK {
		return c.noSet(newStatusError("the set", resp, c.limits.retryAfter))
	}
	version, err := etagVersion(resp.Header.Get("Etag"))
	if err != nil {
		return err
	}
	if version == have.version && !c.whole && have.mayBe(resp.Header.Get(FingerprintHeader)) {
		c.confirm(asked.Add(-age)) // by a server that knows no If-None-Match
		return nil
	}
	if version <= have.version && !asked.Add(-age).After(c.since) {
		return fmt.Errorf("%w: version %d, after %d", errOlder, version, have.version)
	}
	dog.allow(c.limits.stall)
	next := c.table.refresh()
	if err := readBody(resp, &watched{resp.Body, dog, c.limits.stall}, next.Add); err != nil {
		next.abort()
		return dog.explain(err)
	}
	if err := c.install(ctx, next, version); err != nil {
		return err
	}
	c.setCurrent(asked.Add(-age))
	c.announce()
	return nil
}

func (c *course) askSet(ctx context.Context) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/.well-known/jwks.json", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", MediaType+", application/json")
	req.Header.Set("Accept-Encoding", "gzip")
	if have := c.Version(); have != 0 && !c.whole {
		req.Header.Set("If-None-Match", `"`+strconv.FormatUint(have, 10)+`"`)
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

// install shows what was fetched.
func (c *course) install(ctx context.Context, next *refresh, version uint64) error {
	have := c.Version()
	if have == version && !next.differs() {
		return nil
	}
	if err := next.install(version); err != nil {
		next.abort()
		return err
	}
	if version <= have {
		c.log.WarnContext(ctx, "the server's history was replaced", "url", c.shownURL(), "version", version, "before", have)
	}
	c.since = c.now()
	if c.journal != nil {
		c.journal.setWhole()
	}
	c.log.InfoContext(ctx, "fetched the published keys", "url", c.shownURL(), "version", version, "keys", c.Len())
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

// etagVersion reads "17", "17-gzip", and the weak form that a proxy makes of
// either when it compresses: the keys are the same.
func etagVersion(etag string) (uint64, error) {
	text, ok := strings.CutPrefix(strings.TrimPrefix(etag, "W/"), `"`)
	if ok {
		text, ok = strings.CutSuffix(text, `"`)
	}
	text = strings.TrimSuffix(text, "-gzip")
	version, err := strconv.ParseUint(text, 10, 63)
	if !ok || err != nil || version == 0 || text != strconv.FormatUint(version, 10) {
		return 0, errETag
	}
	return version, nil
}
