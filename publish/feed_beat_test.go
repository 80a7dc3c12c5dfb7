package publish

import (
	"strings"
	"testing"
	"time"
)

// A workspace that always lags delays the first heartbeat alone. Later ones except it.
func TestFeedHeartbeatExceptsTheOwed(t *testing.T) {
	d := &feedReader{
		Feed: &Feed{Publisher: NewPublisher(nil, nil)}, request: FeedRequest{May: func(ws string) bool { return ws != "hidden" }},
		queue: newFeedQueue(), since: time.Now(),
	}
	d.Publisher.ages.checked = time.Now()
	d.queue.mark("busy")
	d.queue.mark("hidden")
	for range 2 {
		d.oweHeartbeat()
	}
	if len(d.buffer) > 0 {
		t.Fatalf("the first heartbeat did not wait: %s", d.buffer)
	}
	d.beaten = true
	d.oweHeartbeat()
	text := string(d.buffer)
	if !strings.HasPrefix(text, "event: age\ndata: {\"workspace\":\"busy\",\"age\":") || strings.Count(text, "event") != 1 ||
		!strings.Contains(text, "\n\n: age=") {
		t.Errorf("got %s", text)
	}
	if !d.owing || !d.queue.owes() {
		t.Error("the next heartbeat does not wait")
	}
	for range feedLagging + 1 {
		d.queue.mark(strings.Repeat("x", 1+len(d.queue.order)))
	}
	d.oweHeartbeat() // owes the new ones, too
	d.buffer = nil
	if d.oweHeartbeat(); strings.Contains(string(d.buffer), "event") || !strings.HasPrefix(string(d.buffer), ": age=") {
		t.Errorf("more than %d lag: %s", feedLagging, d.buffer)
	}
}
