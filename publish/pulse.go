package publish

import (
	"encoding/base64"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

const (
	// beatStep is the step to which requested intervals of heartbeats are rounded down, so that there are
	// few different intervals.
	beatStep = 250 * time.Millisecond
	// pulses is the number of groups into which readers with the same heartbeat interval are divided. A
	// group is woken together, since a wake-up costs more than a heartbeat. With only one group, a change
	// could wait for all heartbeats.
	pulses = 32
	// addressBeats is the maximum number of heartbeats per second for all readers from one address without
	// a reserved place. If they request more, each reader gets fewer heartbeats, but at least one per
	// Stream.Heartbeat.
	addressBeats = 500
)

// pulseStart is the origin of all pulses.
var pulseStart = time.Now()

// beat returns the interval of heartbeats that a reader requests.
func (s *Stream) beat(r *http.Request) time.Duration {
	asked, err := strconv.ParseFloat(r.URL.Query().Get("heartbeat"), 64)
	if err != nil || !(asked > 0 && asked < s.Heartbeat.Seconds()) { // also true for NaN
		return s.Heartbeat
	}
	return s.beatOf(time.Duration(asked * float64(time.Second)))
}

// beatOf returns the interval of heartbeats for a reader that requests one; 0: the Stream's own.
func (s *Stream) beatOf(asked time.Duration) time.Duration {
	if asked <= 0 || asked > s.Heartbeat {
		return s.Heartbeat
	}
	return min(s.Heartbeat, max(MinHeartbeat, asked.Truncate(beatStep)))
}

// least returns the shortest interval of heartbeats that readers from the seat's address currently get.
func (p *seat) least() time.Duration {
	if p.keyed {
		return 0
	}
	fair := time.Duration(p.stream.seats.of(p.shares[0].owner)) * time.Second / addressBeats
	return (fair + beatStep - 1).Truncate(beatStep)
}

// pause returns the time until the reader's next heartbeat.
func (d *reader) pause() time.Duration {
	return untilPulse(time.Now(), max(d.beatAsked, min(d.Heartbeat, d.seat.least())), d.group)
}

func newGroup() time.Duration { return rand.N[time.Duration](pulses) }

// untilPulse returns the time until a group's next heartbeat, more than 0 and less than beat. Heartbeats
// are simultaneous for the whole group, whatever else is sent.
func untilPulse(now time.Time, beat, group time.Duration) time.Duration {
	every := max(beat*15/16, 1) // the rest allows for the delay from timer to network
	return every - (now.Sub(pulseStart)+every-every*group/pulses)%every
}

// heartbeat reports the age of everything sent so far, and the time in seconds since the stream began. From
// this time a reader learns how long the heartbeat was on its way, whatever the reader's clock shows; from
// the fingerprint, that it has the server's history.
func (d *reader) heartbeat() []byte {
	beat := make([]byte, 0, 128)
	beat = appendSeconds(append(beat, ": age="...), d.age)
	beat = appendSeconds(append(beat, " at="...), time.Since(d.since))
	if d.sent.version == d.last {
		beat = strconv.AppendUint(append(beat, " version="...), d.last, 10)
		beat = base64.RawURLEncoding.AppendEncode(append(beat, " fingerprint="...), d.sent.print[:])
	}
	return append(beat, "\n\n"...)
}

// appendSeconds appends a duration in seconds, rounded to milliseconds; it must not be negative.
func appendSeconds(b []byte, d time.Duration) []byte {
	ms := d.Round(time.Millisecond).Milliseconds()
	b = strconv.AppendInt(b, ms/1000, 10)
	ms %= 1000
	return append(b, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
}
