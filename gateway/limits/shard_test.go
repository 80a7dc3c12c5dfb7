package limits

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/burnkey/burnkey/jwks"
)

// TestShardIsAMap compares a shard with a map while entries come, end and are removed.
func TestShardIsAMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, want := shard{bound: 100}, map[uint64]word{}
		now := instant{calendar: newLocal(t, nil).calendar(began)}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now.nanos += rapid.Uint64Range(0, 3).Draw(t, "later")
			id := rapid.Uint64Range(1, 150).Draw(t, "id") << rapid.SampledFrom([]int{0, 5}).Draw(t, "clash")
			if _, at := s.find(id); want[id] != 0 && rapid.IntRange(0, 4).Draw(t, "remove") == 0 && s.entries[at].id == id {
				s.remove(at)
				delete(want, id)
				continue
			}
			if len(want) == s.bound {
				continue
			}
			_, at := s.find(id)
			want[id] = word(now.nanos + rapid.Uint64Range(1, 100).Draw(t, "full"))
			if s.put(id, at, want[id], &now) {
				t.Fatal("an entry was evicted although there is room")
			}
			for id, w := range want {
				if got, _ := s.find(id); got != w && !w.isWorthless(&now) {
					t.Fatalf("entry %d is %d, want %d", id, got, w)
				}
			}
		}
	})
}

func TestFullTableDropsTheIdleFirst(t *testing.T) {
	t.Parallel()
	l := newLocal(t, func(o *LocalOptions) { o.Entries = minEntries })
	key := func(r Rule, i int) Rule {
		r.Name = fmt.Sprint(i)
		return r
	}
	const quotas, busy = minEntries / 4, minEntries / 4
	for i := range quotas {
		take(t, l, 0, 5, key(per(jwks.Month, 5), i))
	}
	for i := range busy {
		take(t, l, 0, 10, key(perSeconds(10, 3600), i))
	}
	for i := range 20 * minEntries { // each is worth a second only
		take(t, l, time.Duration(i)*time.Millisecond/100, 1, key(perSeconds(1, 1), i))
	}
	s := l.Stats()
	if bound := minEntries + minEntries/16; s.Entries > bound || s.Evictions == 0 {
		t.Errorf("%+v, want at most %d entries, and evictions", s, bound)
	}
	lost := func(n int, r Rule) (lost int) {
		for i := range n {
			if ok, _ := take(t, l, time.Second, 1, key(r, i)); ok {
				lost++
			}
		}
		return lost
	}
	if n := lost(quotas, per(jwks.Month, 5)); n > quotas/100 {
		t.Errorf("%d of %d quotas are forgotten", n, quotas)
	}
	if n := lost(busy, perSeconds(10, 3600)); n > busy/10 {
		t.Errorf("%d of %d busy rates are forgotten", n, busy)
	}
}

// A flood of addresses evicts no count of a key, however much the addresses' own counts are worth. Addresses are still counted.
func TestAddressesPushOutNoKeys(t *testing.T) {
	t.Parallel()
	const entries = 16 * minEntries // large shards, over which keys spread evenly enough
	l := newLocal(t, func(o *LocalOptions) { o.Entries = entries })
	var keys []Rule
	for i := range entries / 8 {
		rate, quota := perSeconds(5, 1), per(jwks.Day, 5)
		rate.Name, quota.Name = fmt.Sprint(i), fmt.Sprint(i)
		keys = append(keys, rate, quota)
	}
	for _, r := range keys {
		take(t, l, 0, 3, r)
	}
	address := func(i int) Rule {
		r := per(jwks.Month, 1)
		r.On, r.Name, r.Address = jwks.OnAddress, "", netip.AddrFrom16([16]byte{0x20, 1, byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
		return r
	}
	for i := range 4 * entries {
		if ok, _ := take(t, l, 0, 1, address(i)); !ok {
			t.Fatal("the first request of an address is refused")
		}
		if ok, _ := take(t, l, 0, 1, address(i)); ok {
			t.Fatal("an address is not counted")
		}
	}
	if s := l.Stats(); s.Evictions == 0 {
		t.Fatal("the table was not full")
	}
	for _, r := range keys {
		if _, s := take(t, l, 0, 0, r); s.Remaining != 2 {
			t.Fatalf("%s %s of a key has %d of 5 left, want 2", r.Name, r.Limit.Name, s.Remaining)
		}
	}
	// Keys get their half back if addresses have more.
	for i := range entries / 4 {
		r := perSeconds(5, 1)
		r.Name = fmt.Sprint("late", i)
		take(t, l, 0, 5, r)
	}
	for i := range l.shards {
		s := &l.shards[i]
		addresses, all := 0, 0
		for _, e := range s.entries {
			if e.id != 0 {
				all++
			}
			if isOfAddress(e.id) {
				addresses++
			}
		}
		if addresses != s.addresses || all != s.count || all > s.bound {
			t.Errorf("shard %d has %d entries, %d of addresses, and counts %d and %d", i, all, addresses, s.count, s.addresses)
		}
	}
}

func TestIdleEntriesAreFreed(t *testing.T) {
	t.Parallel()
	l := newLocal(t, nil)
	for i := range 100_000 {
		r := perSeconds(1, 1)
		r.Name = fmt.Sprint(i)
		if ok, _ := take(t, l, time.Duration(i)*time.Millisecond, 1, r); !ok {
			t.Fatal("refused")
		}
	}
	if s := l.Stats(); s.Entries > 10_000 || s.Evictions > 0 {
		t.Errorf("%+v while 1000 entries are in use", s)
	}
}

func TestClockSetBack(t *testing.T) {
	t.Parallel()
	l, rule := newLocal(t, nil), perSeconds(60, 60)
	passes(t, l, 0, 30, rule)
	if ok, state := take(t, l, -time.Hour, 1, rule); ok || state.Retry != time.Second {
		t.Errorf("a rate without a monotonic clock: %v %+v", ok, state)
	}
	if n := passes(t, l, -time.Hour+time.Minute, 100, rule); n != 60 {
		t.Errorf("%d passed a minute later", n)
	}
	quota := per(jwks.Month, 10)
	december := 13 * time.Hour // after began
	if n := passes(t, l, december, 4, quota); n != 4 {
		t.Fatalf("%d passed", n)
	}
	if n := passes(t, l, december-2*time.Hour, 100, quota); n != 6 {
		t.Errorf("set back over the month's start by 2 h: %d more passed", n)
	}
	if n := passes(t, l, december+time.Hour, 100, quota); n != 0 {
		t.Errorf("again in the month: %d more passed", n)
	}
	if n := passes(t, l, december-48*time.Hour, 100, quota); n != 0 {
		t.Errorf("set back by 2 days: %d more passed", n)
	}
	if n := passes(t, l, december+time.Hour, 100, quota); n != 10 {
		t.Errorf("in the next month, after 2 days: %d passed", n)
	}
	passes(t, l, 1000*24*time.Hour, 1, quota) // the clock was wrong
	if n := passes(t, l, december, 100, quota); n != 9 {
		t.Errorf("back from a clock that was years ahead: %d passed", n)
	}
	if n := passes(t, l, december+32*24*time.Hour, 100, quota); n != 10 {
		t.Errorf("a month after that: %d passed", n)
	}
}

// TestMonotonicClock sets the wall clock alone.
func TestMonotonicClock(t *testing.T) {
	t.Parallel()
	now := time.Now()
	l, rule := newLocal(t, func(o *LocalOptions) { o.Now = func() time.Time { return now } }), perSeconds(60, 3600)
	states := make([]State, 1)
	take := func(at time.Time, n uint32) bool {
		ok, err := l.Take(context.Background(), at, n, []Rule{rule}, states)
		check(t, err)
		return ok
	}
	if !take(now, 60) {
		t.Fatal("60 requests do not pass")
	}
	for _, by := range []time.Duration{48 * time.Hour, -48 * time.Hour} {
		if take(withWallClock(t, now, by), 1) || states[0].Retry != time.Minute {
			t.Errorf("the wall clock is set by %s: %+v", by, states[0])
		}
		if !take(withWallClock(t, now.Add(2*time.Hour), by), 0) || states[0].Remaining != 60 {
			t.Errorf("2 h later, the wall clock is set by %s: %+v", by, states[0])
		}
	}
}

// withWallClock returns the time that time.Now would return if only the wall clock were set.
func withWallClock(t *testing.T, at time.Time, by time.Duration) time.Time {
	t.Helper()
	set := at
	*(*uint64)(unsafe.Pointer(&set)) += uint64(by/time.Second) << 30 // see the type time.Time
	if set.Sub(at) != 0 || set.Round(0).Sub(at.Round(0)) != by {
		t.Skip("the layout of time.Time has changed")
	}
	return set
}

// TestConcurrentTakes has many callers of rules that overlap.
func TestConcurrentTakes(t *testing.T) {
	t.Parallel()
	l := newLocal(t, nil)
	total := Rule{Workspace: "acme", On: jwks.OnTotal, Limit: jwks.Limit{Name: "all", Requests: 20_000, Seconds: 1e9}}
	key := func(i int) Rule {
		r := perSeconds(5000, 1e9)
		r.Name = fmt.Sprint(i)
		return r
	}
	const keys, callers, each = 8, 16, 5000
	var passed [keys]atomic.Int64
	var group sync.WaitGroup
	for c := range callers {
		group.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(c)))
			states := make([]State, 2)
			for range each {
				k := random.IntN(keys)
				rules := []Rule{total, key(k)}
				if c%2 == 0 {
					rules[0], rules[1] = rules[1], rules[0]
				}
				if ok, err := l.Take(context.Background(), began, 1, rules, states); err == nil && ok {
					passed[k].Add(1)
				}
			}
		})
	}
	group.Wait()
	sum := int64(0)
	for k := range passed {
		n := passed[k].Load()
		sum += n
		if _, state := take(t, l, 0, 0, key(k)); int64(state.Remaining) != 5000-n {
			t.Errorf("key %d: %d passed and %d remain of 5000", k, n, state.Remaining)
		}
	}
	if _, state := take(t, l, 0, 0, total); sum != 20_000 || state.Remaining != 0 {
		t.Errorf("%d passed, %d remain, of 20,000", sum, state.Remaining)
	}
}

func TestTakeAllocatesNothing(t *testing.T) {
	l, states := newLocal(t, nil), make([]State, 2)
	rules := []Rule{perSeconds(1000, 60), per(jwks.Month, 1<<30)}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := l.Take(context.Background(), began, 1, rules, states); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTake(b *testing.B) {
	rules := []Rule{
		perSeconds(1<<30, 1), per(jwks.Month, 1<<31),
		{Workspace: "acme", On: jwks.OnOwner, Name: "cust_1", Limit: jwks.Limit{Name: "burst", Requests: 1 << 30, Seconds: 1}},
		{Workspace: "acme", On: jwks.OnTotal, Limit: jwks.Limit{Name: "burst", Requests: 1 << 30, Seconds: 1}},
	}
	rules[0].Name = "019abcde-1234-7abc-8def-0123456789ab"
	for _, n := range []int{1, 2, 4} {
		b.Run(fmt.Sprintf("%d rules", n), func(b *testing.B) {
			l, states, now := newLocal(b, nil), make([]State, n), time.Now()
			b.ReportAllocs()
			for b.Loop() {
				if ok, _ := l.Take(context.Background(), now, 1, rules[:n], states); !ok {
					now = now.Add(time.Hour)
				}
			}
		})
	}
	b.Run("1 rule of a million subjects", func(b *testing.B) {
		l, states := newLocal(b, nil), make([]State, 1)
		names := make([]string, 1<<20)
		for i := range names {
			names[i] = fmt.Sprintf("019abcde-1234-7abc-8def-%012d", i)
		}
		rule := rules[:1:1]
		i := 0
		for b.Loop() {
			rule[0].Name = names[i*7919&(1<<20-1)]
			i++
			_, _ = l.Take(context.Background(), began, 1, rule, states)
		}
		b.ReportMetric(float64(l.Stats().Entries), "entries")
	})
}
