package gateway

import (
	"crypto/rand"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

func randomKID() *jwks.KID {
	kid := new(jwks.KID)
	_, _ = rand.Read(kid[:]) // never fails
	return kid
}

// A generation is reported completely before the next one. There is thus always a time up to which reporting is
// complete.
func TestUsesByGenerations(t *testing.T) {
	start := time.Now()
	u := &uses{since: start, nextSince: start}
	a, b, c := randomKID(), randomKID(), randomKID()
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	take := func(most, now, n, until int) []use {
		t.Helper()
		got, known := u.take(most, at(now))
		if len(got) != n || !known.Equal(at(until)) {
			t.Errorf("%d uses until %s, want %d until %s", len(got), known.Sub(start), n, at(until).Sub(start))
		}
		return got
	}
	u.record(a, at(1), nil)
	u.record(b, at(2), nil)
	some := take(1, 10, 1, 0) // one more is left of them
	u.record(c, at(11), nil)
	u.acknowledge(some)
	rest := take(1, 20, 1, 9) // that one
	u.record(&rest[0].kid, at(21), nil)
	u.acknowledge(rest)
	u.acknowledge(rest) // an answer that comes twice
	again := take(10, 30, 1, 9)
	if again[0].kid != rest[0].kid || again[0].at != at(21).UnixMicro() || u.pending.Load() != 2 {
		t.Errorf("took %v", again)
	}
	u.acknowledge(again)
	last := take(10, 40, 1, 39)
	if last[0].kid != *c {
		t.Errorf("took %v", last)
	}
	take(10, 50, 1, 39) // not acknowledged: the next generation waits
	u.acknowledge(last)
	take(10, 60, 0, 59)
}

func TestUsageOptions(t *testing.T) {
	key := keyOf("x")
	for option, edit := range map[string]func(*Options){
		"UsageEvery": func(o *Options) { o.UsageEvery, o.UsageKey = time.Millisecond, key },
		"UsageKey":   func(o *Options) { o.UsageEvery = time.Minute },
	} {
		o := Options{Server: "http://127.0.0.1:1", Workspaces: []string{"acme"}, AnyAudience: true}
		edit(&o)
		var bad *OptionError
		if _, err := New(o); !errors.As(err, &bad) || bad.Option != option {
			t.Errorf("%s: %v", option, err)
		}
	}
	for _, o := range []Options{
		{UsageEvery: -time.Second, UsageKey: key}, {UsageEvery: MaxUsageEvery + 1, UsageKey: key}, {UsageEvery: time.Minute},
	} {
		o.Server, o.Workspaces, o.AnyAudience = "http://127.0.0.1:1", []string{"acme"}, true
		if _, err := New(o); err == nil {
			t.Errorf("%+v passes", o)
		}
	}
}

// TestMemoryOfUses checks the memory figure in the operators' documentation.
func TestMemoryOfUses(t *testing.T) {
	const n = 200_000
	kids := make([]jwks.KID, n)
	for i := range kids {
		kids[i] = *randomKID()
	}
	u := new(uses)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range kids {
		u.record(&kids[i], time.Now(), nil)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / n
	runtime.KeepAlive(u)
	runtime.KeepAlive(kids)
	if t.Logf("%d bytes a key", each); each > 100 {
		t.Errorf("a key that was used takes %d bytes", each)
	}
}
