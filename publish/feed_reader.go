package publish

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"
)

// feedReader is a connected reader of the feed. Only its own goroutine uses it, except for the queue.
type feedReader struct {
	*Feed
	request FeedRequest
	seat    *seat
	since   time.Time
	beat    time.Duration
	group   time.Duration
	places  map[string]*feedPlace
	queue   *feedQueue
	ahead   []string // workspaces of which the reader has a later version than this server

	owing  bool // the heartbeat is sent once the queue no longer owes anything
	beaten bool // the first heartbeat was sent
	beats  feedHeartbeat

	tasks  sync.WaitGroup // that read logs
	buffer []byte         // to be sent
	sender
}

// feedPlace is a reader's place in the feed of one workspace.
type feedPlace struct {
	index  *Index
	begun  bool
	last   uint64   // the last version that was sent
	resets uint64   // resets of the index that the reader knows of
	log    *feedLog // nil: not read
}

// feedLog is a page of a workspace's log, which another goroutine reads.
type feedLog struct {
	done chan struct{} // closed once the rest is valid
	page []byte
	last uint64
	ok   bool
}

// feedHeartbeat is what a heartbeat says.
type feedHeartbeat struct {
	at, age time.Duration
	lagging map[string]time.Duration
}

func (d *feedReader) close() {
	d.tasks.Wait()
	d.Publisher.unsubscribe(d.queue)
	for _, place := range d.places {
		place.index.unwatchFeed()
	}
}

// run sends everything until the reader disconnects or something fails.
func (d *feedReader) run(ctx context.Context) error {
	d.begin()
	timer := time.NewTimer(d.pause())
	defer timer.Stop()
	for {
		if !d.request.Reader.Holds() {
			return ErrReaders
		}
		more := d.turn(ctx)
		if d.owing && !d.queue.owes() {
			d.sendHeartbeat()
		}
		if len(d.buffer) >= feedPage || !more {
			if err := d.flush(); err != nil {
				return err
			}
		}
		wake := d.queue.wake
		if more {
			wake = always
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.Stream.Closing:
			return nil
		case <-wake:
		case <-timer.C:
			d.oweHeartbeat()
			timer.Reset(d.pause())
		}
	}
}

// always is ready to receive.
var always = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func (d *feedReader) pause() time.Duration { return untilPulse(time.Now(), d.beat, d.group) }

func (d *feedReader) flush() error {
	if len(d.buffer) == 0 {
		return nil
	}
	err := d.send(d.buffer)
	if d.buffer = d.buffer[:0]; cap(d.buffer) > 4*feedPage {
		d.buffer = nil
	}
	return err
}

// begin queues all workspaces, and reports those that the reader names but that do not exist.
func (d *feedReader) begin() {
	for _, workspace := range d.Publisher.subscribe(d.queue) {
		d.queue.mark(workspace)
	}
	named := maps.Clone(d.request.Workspaces)
	if named == nil {
		named = make(map[string]bool)
	}
	for workspace := range d.request.After {
		named[workspace] = true
	}
	for workspace := range named {
		if d.follows(workspace) && !d.Publisher.exists(workspace) {
			d.buffer = fmt.Appendf(d.buffer, "event: gone\ndata: {\"workspace\":%q}\n\n", workspace)
		}
	}
	d.oweHeartbeat()
}

// oweHeartbeat prepares a heartbeat, which is sent after everything that is known now. The ages are read first, so
// that the sets are at least as new. A workspace for which the last heartbeat still waits gets an age of its own.
// The first heartbeat waits for all.
func (d *feedReader) oweHeartbeat() {
	for _, workspace := range d.ahead {
		d.queue.mark(workspace)
	}
	d.ahead = nil
	if d.owing && d.beaten {
		d.exceptOwed()
		d.sendHeartbeat()
	}
	if d.owing {
		return
	}
	d.owing = true
	d.beats.at = time.Since(d.since)
	d.beats.age, d.beats.lagging = d.Publisher.feedAges()
	for workspace := range d.beats.lagging {
		if !d.follows(workspace) {
			delete(d.beats.lagging, workspace)
		}
	}
	d.queue.owe()
}

func (d *feedReader) sendHeartbeat() {
	d.owing, d.beaten = false, true
	d.buffer = d.beats.append(d.buffer)
}

// exceptOwed adds the workspaces for which the heartbeat waits to those that lag.
func (d *feedReader) exceptOwed() {
	at := d.since.Add(d.beats.at)
	oldest := d.beats.age
	if d.beats.lagging == nil {
		d.beats.lagging = make(map[string]time.Duration)
	}
	for workspace, since := range d.queue.owedSince() {
		if !d.follows(workspace) {
			continue
		}
		age := max(d.beats.lagging[workspace], d.beats.age+max(0, at.Sub(since)))
		d.beats.lagging[workspace], oldest = age, max(oldest, age)
	}
	if len(d.beats.lagging) > feedLagging {
		d.beats.age, d.beats.lagging = oldest, nil
	}
}

func (h *feedHeartbeat) append(dst []byte) []byte {
	for workspace, age := range h.lagging {
		dst = fmt.Appendf(dst, "event: age\ndata: {\"workspace\":%q,\"age\":", workspace)
		dst = append(appendSeconds(dst, age), "}\n\n"...)
	}
	dst = appendSeconds(append(dst, ": age="...), h.age)
	return append(appendSeconds(append(dst, " at="...), h.at), "\n\n"...)
}

func (d *feedReader) follows(workspace string) bool {
	return (d.request.Workspaces == nil || d.request.Workspaces[workspace]) && d.request.May(workspace)
}

// turn appends a page of the first workspace in the queue. It returns false if the queue was empty.
func (d *feedReader) turn(ctx context.Context) bool {
	workspace, ok := d.queue.take()
	if !ok {
		return false
	}
	if place := d.place(workspace); place == nil || d.page(ctx, workspace, place) {
		d.queue.done(workspace)
	}
	return true
}

// place returns the place in a workspace's feed, or nil if the reader does not follow it or it has no set yet.
func (d *feedReader) place(workspace string) *feedPlace {
	if place := d.places[workspace]; place != nil {
		return place
	}
	index, ok := d.Publisher.Index(workspace)
	if !ok || !d.follows(workspace) {
		return nil
	}
	index.watchFeed()
	place := &feedPlace{index: index}
	d.places[workspace] = place
	return place
}

// page appends what a workspace's reader lacks, up to about feedPage bytes. It returns false if there is more; the
// workspace then returns to the queue.
func (d *feedReader) page(ctx context.Context, workspace string, p *feedPlace) (done bool) {
	set, resets, events := p.index.sinceFeed(p.last)
	has := d.request.After[workspace]
	switch {
	case !p.begun && (has.Version == 0 || has.Version == set.version && !set.isAt(has)), p.begun && resets != p.resets:
		return d.whole(workspace, p, set, resets)
	case !p.begun:
		p.begun, p.last, p.resets = true, has.Version, resets
		delete(d.request.After, workspace)
		return d.page(ctx, workspace, p)
	case set.version == p.last:
		return true
	case set.version < p.last:
		return d.isAhead(workspace, p, set, resets)
	case events != nil:
		return d.stored(workspace, p, events)
	case set.entries() <= feedSmall || set.version-p.last > logMost && set.version-p.last > uint64(set.entries())/2:
		return d.whole(workspace, p, set, resets)
	}
	return d.logged(ctx, workspace, p, set, resets)
}

// stored appends changes that the Index stores.
func (d *feedReader) stored(workspace string, p *feedPlace, events [][]byte) (done bool) {
	p.log = nil
	size := 0
	for _, event := range events {
		if len(event) > feedEventMax {
			set, resets, _ := p.index.sinceFeed(p.last)
			return d.whole(workspace, p, set, resets)
		}
		if size > feedPage {
			d.queue.mark(workspace)
			return false
		}
		d.buffer = append(d.buffer, event...)
		size += len(event)
		p.last++
	}
	return true
}

// whole appends the whole set, or the request to fetch it.
func (d *feedReader) whole(workspace string, p *feedPlace, set *Set, resets uint64) (done bool) {
	p.begun, p.last, p.resets, p.log = true, set.version, resets, nil
	delete(d.request.After, workspace)
	var ok bool
	if d.buffer, ok = appendFeedSet(d.buffer, workspace, set); !ok {
		d.buffer = appendFeedReset(d.buffer, workspace, set.version)
	}
	return true
}

// isAhead handles a reader with a later version than this server's. Another server may have sent it: then this
// server has it after its next check at the latest. If it does not, the version does not exist.
func (d *feedReader) isAhead(workspace string, p *feedPlace, set *Set, resets uint64) (done bool) {
	if time.Since(d.since) > d.Publisher.AgeOf(workspace) {
		return d.whole(workspace, p, set, resets)
	}
	d.ahead = append(d.ahead, workspace)
	return true
}

// logged appends a page of the log. The log is read in another goroutine, so that other workspaces do not wait for
// the database.
func (d *feedReader) logged(ctx context.Context, workspace string, p *feedPlace, set *Set, resets uint64) (done bool) {
	if p.log == nil {
		log, after := &feedLog{done: make(chan struct{})}, p.last
		p.log = log
		finished := d.queue.read(workspace)
		d.tasks.Go(func() {
			log.page, log.last, log.ok = d.changesForFeed(ctx, workspace, after, set)
			close(log.done)
			finished()
		})
		return false
	}
	<-p.log.done
	log := p.log
	if p.log = nil; !log.ok {
		return d.whole(workspace, p, set, resets)
	}
	d.buffer, p.last = append(d.buffer, log.page...), log.last
	d.queue.mark(workspace)
	return false
}
