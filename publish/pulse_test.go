package publish

import (
	"math"
	"net/http"
	"regexp"
	"testing"
	"time"
)

// Any number of readers are woken at only a few different times, and each reader at least once per
// heartbeat interval.
func TestManyReadersHaveFewMoments(t *testing.T) {
	const beat, every = MinHeartbeat, MinHeartbeat * 15 / 16
	moments := make(map[time.Duration]bool)
	for range 10_000 {
		group, now := newGroup(), time.Now()
		for range 3 {
			wait := untilPulse(now, beat, group)
			if wait <= 0 || wait >= beat {
				t.Fatalf("the next heartbeat is due in %v", wait)
			}
			now = now.Add(wait)
			moments[now.Sub(pulseStart)%every] = true
		}
		if untilPulse(now.Add(-1), beat, group) != 1 || untilPulse(now.Add(beat/100), beat, group) >= every {
			t.Fatal("a timer that is early or late shifts the next heartbeat")
		}
	}
	if len(moments) > pulses {
		t.Errorf("10,000 readers are woken at %d moments", len(moments))
	}
}

// Very many readers from one address share a limited number of heartbeats. A few readers, other addresses
// and readers with a reserved place get what they request.
func TestHeartbeatsOfOneAddressAreBounded(t *testing.T) {
	s := NewStream(nil, nil)
	index := NewIndex(buildSet(t, 1))
	sit := func(n int, who StreamReader) *reader {
		t.Helper()
		var last *seat
		for range n {
			last = &seat{stream: s, index: index, who: who}
			if err := last.enter(); err != nil {
				t.Fatal(err)
			}
		}
		return &reader{Stream: s, seat: last, beatAsked: MinHeartbeat}
	}
	of := func(d *reader) time.Duration { return max(d.beatAsked, min(d.Heartbeat, d.seat.least())) }
	few, many := sit(250, StreamReader{Address: "a"}), sit(1000, StreamReader{Address: "b"})
	keyed := sit(1, StreamReader{Address: "b", Key: "k"})
	if of(few) != MinHeartbeat || of(many) != 2*time.Second || of(keyed) != MinHeartbeat {
		t.Errorf("heartbeats every %v of 250, %v of 1,000, %v with a key", of(few), of(many), of(keyed))
	}
	s.Limits = StreamPlaces(100_000)
	if many = sit(5000, StreamReader{Address: "c"}); of(many) != s.Heartbeat {
		t.Errorf("%v of 5,000", of(many))
	}
}

// Unusual heartbeat intervals are rounded, so that they do not form a group each.
func TestHeartbeatsHaveFewLengths(t *testing.T) {
	s := NewStream(nil, nil)
	lengths := make(map[time.Duration]bool)
	for ms := 1; ms <= 6000; ms++ {
		r, err := http.NewRequest(http.MethodGet, "/changes?heartbeat="+string(appendSeconds(nil, time.Duration(ms)*time.Millisecond)), nil)
		if err != nil {
			t.Fatal(err)
		}
		beat := s.beat(r)
		if beat > max(MinHeartbeat, time.Duration(ms)*time.Millisecond) {
			t.Errorf("%d ms gives %v", ms, beat)
		}
		lengths[beat] = true
	}
	if len(lengths) > 20 {
		t.Errorf("%d lengths", len(lengths))
	}
}

func TestAppendSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0.000", 499_999: "0.000", 500_000: "0.001", 3500 * time.Millisecond: "3.500", 61*time.Second + 7*time.Millisecond: "61.007",
		999_600 * time.Microsecond: "1.000", math.MaxInt64: "9223372036.854",
	} {
		if got := string(appendSeconds(nil, d)); got != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
	}
}

func TestHeartbeat(t *testing.T) {
	set := buildSet(t, 17, testKeys(t, 170, 3)...)
	d := &reader{last: 17, sent: state{version: 17, print: set.Fingerprint()}, age: 1234 * time.Millisecond, since: time.Now()}
	text := string(d.heartbeat())
	want := `^: age=1\.234 at=\d+\.\d{3} version=17 fingerprint=` + set.Fingerprint().String() + "\n\n$"
	if !regexp.MustCompile(want).MatchString(text) {
		t.Errorf("%q, want %q", text, want)
	}
}
