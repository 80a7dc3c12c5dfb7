package publish

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// Limits of a Feed.
const (
	feedSmall    = 100       // keys up to which a set is sent in the stream
	feedEventMax = 256 << 10 // bytes of a set or change that is sent in the stream; a reader accepts 1 MiB
	feedPage     = 64 << 10  // bytes of one workspace's events after which other workspaces have a turn
	feedLagging  = 100       // workspaces whose ages are sent separately
)

// Feed serves the changes of all workspaces' sets with their attributes and limits, over one connection, for
// readers with a reserved place of a Stream. It is safe for concurrent use.
type Feed struct {
	Publisher *Publisher
	// Stream has the places, intervals and limits that its readers and those of the Feed share.
	Stream *Stream

	readers atomic.Int64
}

// Readers returns the number of connected readers.
func (f *Feed) Readers() int { return int(f.readers.Load()) }

// FeedRequest is what a reader of the feed asks for.
type FeedRequest struct {
	Reader StreamReader // with a Key
	// After has the reader's versions and fingerprints by workspace.
	After map[string]FeedPosition
	// Workspaces are those to follow. Nil: all that May allows, also those that are made later.
	Workspaces map[string]bool
	// May reports whether the reader may follow a workspace.
	May func(workspace string) bool
	// Heartbeat is the requested interval; 0: that of the Stream.
	Heartbeat time.Duration
}

// FeedPosition is a version and the fingerprint of the feed at this version.
type FeedPosition struct {
	Version uint64
	Print   string
}

// Serve answers a request with the feed until the reader disconnects. It returns an error, one of those of Stream,
// only if nothing was sent.
func (f *Feed) Serve(w http.ResponseWriter, r *http.Request, request FeedRequest) error {
	seat := &seat{stream: f.Stream, who: request.Reader}
	if err := seat.reserve(); err != nil {
		return err
	}
	defer seat.leave()
	f.readers.Add(1)
	defer f.readers.Add(-1)
	reader := &feedReader{
		Feed: f, request: request, seat: seat, since: time.Now(), beat: f.Stream.beatOf(request.Heartbeat), group: newGroup(),
		places: make(map[string]*feedPlace), queue: newFeedQueue(), sender: newSender(w, f.Stream.window, false),
	}
	defer reader.close()
	return f.Stream.stream(r, &reader.sender, reader.run)
}

// subscribe makes changes mark their workspaces in a queue until unsubscribe, and returns the present workspaces.
func (p *Publisher) subscribe(q *feedQueue) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.feeds[q] = struct{}{}
	return slices.Sorted(maps.Keys(p.sets))
}

// mark marks a workspace for the readers of the feed.
func (p *Publisher) mark(workspace string) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for queue := range p.feeds {
		queue.mark(workspace)
	}
}

func (p *Publisher) unsubscribe(q *feedQueue) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.feeds, q)
}

// feedAges returns the time since the sets were last known to be up to date, and for up to feedLagging sets
// that were not up to date then, or are damaged, their own times. If there are more such sets, the common time covers all.
func (p *Publisher) feedAges() (common time.Duration, lagging map[string]time.Duration) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	common, lagging = time.Since(p.ages.checked), make(map[string]time.Duration)
	oldest := common
	for workspace := range p.ages.lagging {
		if at := p.currentAt(workspace, p.setOf(workspace)); at.Before(p.ages.checked) {
			lagging[workspace] = time.Since(at)
			oldest = max(oldest, lagging[workspace])
		}
	}
	if len(lagging) > feedLagging {
		return oldest, nil
	}
	return common, lagging
}

// exists reports whether a workspace is known, perhaps without a set so far.
func (p *Publisher) exists(workspace string) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	_, lagging := p.ages.lagging[workspace]
	return lagging || p.setOf(workspace) != nil
}

// changesForFeed returns the changes of a log as events, up to feedPage bytes, and the version of the last. It
// returns false if the log cannot be used or an event is too long.
func (f *Feed) changesForFeed(ctx context.Context, workspace string, after uint64, set *Set) (page []byte, last uint64, ok bool) {
	select {
	case f.Stream.logging <- struct{}{}:
		defer func() { <-f.Stream.logging }()
	case <-ctx.Done():
		return nil, after, false
	}
	changes, err := f.Publisher.Changes(ctx, workspace, after, logPage)
	if err != nil || len(changes) == 0 {
		return nil, after, false
	}
	last = after
	for _, c := range changes {
		if c.Version != last+1 || c.Version > set.Version() {
			break
		}
		before := len(page)
		if page = appendFeedChange(page, workspace, c, set); len(page)-before > feedEventMax {
			return nil, after, false
		}
		if last = c.Version; len(page) >= feedPage {
			break
		}
	}
	return page, last, last > after
}

func (s *Set) isAt(p FeedPosition) bool {
	return p.Version == s.version && p.Print == s.feedPrint.String()
}

// ServeFeedSet answers a request for the whole set of the feed: the keys with their attributes, and the limits that
// they share. Unlike the public set, it must not be stored by caches.
func ServeFeedSet(w http.ResponseWriter, r *http.Request, set *Set) {
	tag := jwks.ETag(set.version, set.feedPrint)
	zipped := acceptsGzip(r.Header["Accept-Encoding"])
	head := w.Header()
	head.Set("Content-Type", "application/json")
	head.Set("Cache-Control", "no-store")
	head.Set("Vary", "Accept-Encoding")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Etag", tag)
	head.Set(jwks.FingerprintHeader, set.feedPrint.String())
	head.Set(jwks.VersionHeader, strconv.FormatUint(set.version, 10))
	if zipped {
		head.Set("Etag", jwks.GzipETag(tag))
	}
	if matches(r.Header["If-None-Match"], tag, jwks.GzipETag(tag)) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if zipped {
		head.Set("Content-Encoding", "gzip")
	}
	_ = set.writeFeed(&patient{w: w, rc: http.NewResponseController(w)}, zipped) // an error: the client has disconnected
}
