package jwks

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

const (
	// beatStep is what the heartbeats that readers ask for are rounded down to, so that
	// they have few lengths.
	beatStep = 250 * time.Millisecond
	// pulses is in how many groups the readers with one length of heartbeat get theirs. A
	// wake-up costs more than a heartbeat, so each is for many readers; one group of all
	// would delay a change that comes meanwhile.
	pulses = 32
	// addressBeats is how many heartbeats a second the readers from one address get
	// together, unless they have a reserved place: where that is too few for what they
	// ask for, each gets fewer, down to one in Stream.Heartbeat.
	addressBeats = 500
)

// pulseStart is what all pulses are counted from.
var pulseStart = time.Now()

// beat returns how long a reader asks its stream to be silent at most.
func (s *Stream) beat(r *http.Request) time.Duration {
	asked, err := strconv.ParseFloat(r.URL.Query().Get("heartbeat"), 64)
	if err != nil || !(asked > 0 && asked < s.Heartbeat.Seconds()) { // it may be NaN
		return s.Heartbeat
	}
	step := time.Duration(asked * float64(time.Second)).Truncate(beatStep)
	return min(s.Heartbeat, max(MinHeartbeat, step))
}

// least is the shortest heartbeat that the readers from a seat's address get now.
func (p *seat) least() time.Duration {
	if p.keyed {
		return 0
	}
	fair := time.Duration(p.stream.seats.of(p.shares[0].owner)) * time.Second / addressBeats
	return (fair + beatStep - 1).Truncate(beatStep)
}

// pause returns how long it is until the reader's next heartbeat.
func (d *reader) pause() time.Duration {
	return untilPulse(time.Now(), max(d.beatAsked, min(d.Heartbeat, d.seat.least())), d.group)
}

func newGroup() time.Duration { return rand.N[time.Duration](pulses) }

// untilPulse returns how long it is until a group's next heartbeat, more than 0 and less
// than beat. Its moments are the same for all of the group, whatever else is sent.
func untilPulse(now time.Time, beat, group time.Duration) time.Duration {
	every := max(beat*15/16, 1) // the rest is for the way from a timer to the network
	return every - (now.Sub(pulseStart)+every-every*group/pulses)%every
}

// heartbeat says that all there was is sent, how old that is, and when it said
// so, in seconds since the stream began: by that a reader knows how long it was on
// its way, whatever its own clock shows. By the fingerprint it knows that its
// history is this one.
func (d *reader) heartbeat() []byte {
	beat := make([]byte, 0, 128)
	beat = appendSeconds(append(beat, ": age="...), d.age)
	beat = appendSeconds(append(beat, " at="...), time.Since(d.since))
	if d.shown.version == d.last {
		beat = strconv.AppendUint(append(beat, " version="...), d.last, 10)
		beat = b64.AppendEncode(append(beat, " fingerprint="...), d.shown.print[:])
	}
	return append(beat, "\n\n"...)
}

// appendSeconds appends a time that is not negative, rounded to milliseconds.
func appendSeconds(b []byte, d time.Duration) []byte {
	ms := d.Round(time.Millisecond).Milliseconds()
	b = strconv.AppendInt(b, ms/1000, 10)
	ms %= 1000
	return append(b, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
}
