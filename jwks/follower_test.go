package jwks_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/burnkey/burnkey/jwks"
)

func TestFollower(t *testing.T) {
	keys := TestKeys(t, 50, 300)
	o := newOrigin(t, buildSet(t, 7, keys[:2]...))
	f := newTestFollower(t, o.URL, "")
	f.SetPatience(time.Minute) // one fetch is enough, even if this process pauses
	if _, ok := f.Lookup(keys[0].KID()); ok || f.Len() != 0 || f.Version() != 0 || f.Age() != math.MaxInt64 {
		t.Error("a Follower has a set before it has any")
	}
	if err := f.Usable(0); !errors.Is(err, ErrNotReady) {
		t.Error(err)
	}
	stop := runFollower(t, f)
	<-f.Ready()
	wantSame(t, f, o)
	Poll(t, func() bool { return f.Status().Streaming })
	for i := 2; i < len(keys); i++ {
		o.change(keys[i:i+1], keys[i-2].KID())
	}
	wantSame(t, f, o)
	if key, ok := f.Lookup(keys[299].KID()); !ok || key != keys[299] {
		t.Error("the last key is not there")
	}
	if _, ok := f.Lookup(keys[0].KID()); ok {
		t.Error("the first key is still there")
	}
	o.cut()
	o.change(keys[:1])
	wantSame(t, f, o)
	if s := f.Status(); s.Version != 306 || s.Keys != 3 || s.Err != nil || s.Age > time.Minute || f.Usable(time.Minute) != nil {
		t.Errorf("%+v", s)
	}
	if n := o.count("jwks.json") - o.count("conditional"); n != 1 {
		t.Errorf("the set was fetched %d times: a cut stream goes on where it was", n)
	}
	stop()
	if err := f.Run(t.Context()); err == nil {
		t.Error("it runs twice")
	}
}

func TestFollowerResets(t *testing.T) {
	keys := TestKeys(t, 51, 10)
	o := newOrigin(t, buildSet(t, 7, keys[:2]...))
	f := follow(t, o)
	wantSame(t, f, o)
	Poll(t, func() bool { return f.Status().Streaming })
	for _, version := range []uint64{9, 9, 3} { // later, the same with other keys, earlier
		o.reset(buildSet(t, version, keys[int(version)%5:]...))
		wantSame(t, f, o)
		o.change(TestKeys(t, 100+version, 1))
		wantSame(t, f, o)
		o.reset(buildSet(t, version+1, keys[:3]...))
		wantSame(t, f, o)
	}
}

// Age includes the age that the server reports, and increases while the server is down.
func TestFollowerAge(t *testing.T) {
	o := newOrigin(t, buildSet(t, 7, TestKeys(t, 56, 2)...))
	var mu sync.Mutex
	var past time.Duration
	f := newTestFollower(t, o.URL, "")
	f.SetNow(func() time.Time { mu.Lock(); defer mu.Unlock(); return time.Now().Add(past) })
	o.setHook(func(w http.ResponseWriter, r *http.Request) bool {
		if !isStream(r) {
			w.Header().Set("Age", "5000")
			return false
		}
		w.Header().Set("Content-Type", StreamType)
		fmt.Fprint(w, ": age=70.250 at=0.100\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return true
	})
	runFollower(t, f)
	<-f.Ready()
	Poll(t, func() bool { age := f.Age(); return age >= 70*time.Second && age < 200*time.Second })
	if err := f.Usable(time.Minute); !errors.Is(err, ErrStale) {
		t.Errorf("older than a minute: %v", err)
	}
	o.stop()
	mu.Lock()
	past = time.Hour
	mu.Unlock()
	if age := f.Age(); age < time.Hour {
		t.Errorf("an hour later: %v", age)
	}
	Poll(t, func() bool { return f.Status().Err != nil && !f.Status().Streaming })
}

// If the clock is set during a stream, the set does not look old for the rest of the stream.
func TestFollowerWhoseClockIsSet(t *testing.T) {
	o := newOrigin(t, buildSet(t, 1, TestKeys(t, 62, 1)...))
	var step atomic.Int64
	f := newTestFollower(t, o.URL, "")
	// The Follower waits within a heartbeat while the clock is set, so no later one can be faster than the check.
	var hold atomic.Bool
	held, release := make(chan struct{}), make(chan struct{})
	f.SetNow(func() time.Time {
		if hold.CompareAndSwap(true, false) {
			close(held)
			<-release
		}
		return time.Now().Round(0).Add(time.Duration(step.Load()))
	})
	runFollower(t, f)
	<-f.Ready()
	Poll(t, func() bool { return f.Status().Streaming })
	hold.Store(true)
	<-held
	step.Store(int64(5 * time.Minute))
	if f.Usable(time.Minute) == nil {
		t.Error("the set is usable although it seems five minutes old")
	}
	close(release)
	Poll(t, func() bool { return f.Usable(time.Second) == nil })
}

// Age is never less than the age that the server reports.
func TestFollowerKnowsTheServersAge(t *testing.T) {
	for said, least := range map[time.Duration]time.Duration{0: 0, 1: 1, 1990 * time.Millisecond: 1990 * time.Millisecond} {
		o := newOrigin(t, buildSet(t, 1, TestKeys(t, 63, 1)...))
		o.sets.Age = func(*http.Request) time.Duration { return said }
		o.setHook(onStream(http.NotFound))
		f := follow(t, o)
		<-f.Ready()
		if age := f.Age(); age < least {
			t.Errorf("the server's set is %v old, Age says %v", said, age)
		}
	}
}

// onLog calls a function whenever a line is logged.
type onLog func(message string)

func (onLog) Enabled(context.Context, slog.Level) bool           { return true }
func (f onLog) Handle(_ context.Context, line slog.Record) error { f(line.Message); return nil }
func (f onLog) WithAttrs([]slog.Attr) slog.Handler               { return f }
func (f onLog) WithGroup(string) slog.Handler                    { return f }

// A caller that waits for Ready and then calls Usable must not get ErrStale.
func TestFollowerIsReadyOnceItsAgeIsKnown(t *testing.T) {
	o := newOrigin(t, buildSet(t, 7, TestKeys(t, 58, 2)...))
	f := newTestFollower(t, o.URL, "")
	between := make(chan error, 1)
	f.SetLog(slog.New(onLog(func(message string) {
		if message != "fetched the published keys" { // said between the set and its age
			return
		}
		select {
		case <-f.Ready():
			between <- f.Usable(time.Minute)
		default:
			between <- nil
		}
	})))
	runFollower(t, f)
	<-f.Ready()
	if err := f.Usable(time.Minute); err != nil {
		t.Error(err)
	}
	if err := <-between; err != nil {
		t.Errorf("ready, but %v", err)
	}
}

func TestFollowerStartsFromDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	keys := TestKeys(t, 57, 100)
	o := newOrigin(t, buildSet(t, 7, keys[:2]...))
	f := newTestFollower(t, o.URL, path)
	if _, err := NewFollower(FollowerOptions{URL: o.URL, StateFile: path}); !errors.Is(err, ErrStateInUse) {
		t.Errorf("a second one on the file: %v", err)
	}
	stop := runFollower(t, f)
	wantSame(t, f, o)
	for i := range keys[2:50] {
		o.change(keys[i+2 : i+3])
	}
	wantSame(t, f, o)
	stop()
	fetched := o.count("jwks.json")
	o.change(keys[60:61])

	f = newTestFollower(t, o.URL, path) // goes on from there
	f.SetPatience(time.Minute)          // one stream is enough, even if this process pauses
	<-f.Ready()
	if v := f.Version(); v != 55 || f.Age() > time.Minute {
		t.Errorf("version %d of disk, aged %v", v, f.Age())
	}
	stop = runFollower(t, f)
	wantSame(t, f, o)
	stop()
	if n := o.count("jwks.json"); n != fetched {
		t.Errorf("the set was fetched %d times", n-fetched)
	}
	o.stop()

	f, err := NewFollower(FollowerOptions{
		URL: o.URL + "/acme", StateFile: path, Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return time.Now().Add(time.Hour) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, ok := f.Lookup(keys[60].KID()); !ok || f.Version() != 56 || f.Age() < time.Hour || f.Age() > 2*time.Hour {
		t.Errorf("version %d of disk, aged %v", f.Version(), f.Age())
	}
}

// The Follower works despite any failure of the disk.
func TestFollowerOnABadDisk(t *testing.T) {
	folder := t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "state", "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "file"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		filepath.Join(folder, "state"), filepath.Join(folder, "none", "state"), filepath.Join(folder, "file", "state"), "/dev/full/state",
	} {
		o := newOrigin(t, buildSet(t, 7, TestKeys(t, 58, 2)...))
		f := newTestFollower(t, o.URL, path)
		runFollower(t, f)
		wantSame(t, f, o)
		o.change(TestKeys(t, 59, 1))
		wantSame(t, f, o)
		Poll(t, func() bool { return f.Status().StateErrors > 2 })
	}
}

func TestNewFollowerRefuses(t *testing.T) {
	for _, url := range []string{"", "x", "ftp://a/b", "http://", "http://a/b?c=d", "http://a/b#c", "http://a/\x00"} {
		if _, err := NewFollower(FollowerOptions{URL: url}); err == nil {
			t.Errorf("%q passes", url)
		}
	}
	if _, err := NewFollower(FollowerOptions{URL: "http://a/b", PollEvery: time.Millisecond}); err == nil {
		t.Error("a thousand polls a second pass")
	}
	f, err := NewFollower(FollowerOptions{URL: "http://a/b/", StateFile: filepath.Join(t.TempDir(), "state")})
	if err != nil || f.URL() != "http://a/b" {
		t.Fatal(f, err)
	}
	f.Close()
	if err := f.Run(t.Context()); err == nil {
		t.Error("it runs once closed")
	}
}

// A random sequence of changes, new histories, cut connections and restarts from disk ends with the
// followed set equal to the published set, byte by byte.
func TestFollowerEndsWithTheSameBytes(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := NewRand(60 + seed)
			keys := TestKeys(t, 60+seed, 400)
			o := newOrigin(t, buildSet(t, 1, keys[0]))
			path := filepath.Join(t.TempDir(), "state")
			f := newTestFollower(t, o.URL, path)
			stop := runFollower(t, f)
			published := []Key{keys[0]}
			for i, key := range keys[1:] {
				switch n := random.IntN(40); {
				case n < 12 && len(published) > 1:
					at := 1 + random.IntN(len(published)-1)
					o.change([]Key{key}, published[at].KID())
					published[at] = key
				default:
					o.change([]Key{key})
					published = append(published, key)
				}
				switch random.IntN(40) {
				case 0:
					o.cut()
				case 1:
					wantSame(t, f, o)
				case 2: // put back to an earlier state
					published = published[:1+random.IntN(len(published))]
					o.reset(buildSet(t, uint64(1+random.IntN(i+1)), published...))
				case 3:
					stop()
					f = newTestFollower(t, o.URL, path)
					stop = runFollower(t, f)
				}
			}
			wantSame(t, f, o)
			stop()
			saved := newTestFollower(t, o.URL, path)
			saved.Close()
			if v := saved.Version(); v != 0 && v != f.Version() {
				t.Errorf("the state file has version %d, not %d", v, f.Version())
			}
		})
	}
}

// A Status is of one moment: it never combines a new set with the age of the previous set.
func TestFollowerStatusIsOfOneMoment(t *testing.T) {
	keys := TestKeys(t, 166, 1000)
	o := newOrigin(t, buildSet(t, 7, keys...))
	f := newTestFollower(t, o.URL, "")
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			s := f.Status()
			if s.Ready != (s.Keys > 0) || s.Ready != (s.Version > 0) || s.Ready != (s.Age < time.Hour) {
				t.Errorf("%+v", s)
				return
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	runFollower(t, f)
	wantSame(t, f, o)
	o.reset(buildSet(t, 7, keys[:10]...))
	wantSame(t, f, o)
	close(stop)
	<-done
}
