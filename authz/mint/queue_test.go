package mint

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// line drives a queue by hand: who waits, and what each was told.
type line struct {
	t       *testing.T
	q       *queue
	names   []string
	waiters []*waiter
}

// newLine returns a queue whose workers are all taken.
func newLine(t *testing.T, workers, limit int) *line {
	t.Helper()
	l := &line{t: t, q: newQueue(workers, limit)}
	for range workers {
		if w, err := l.q.join("running"); w != nil || err != nil {
			t.Fatalf("a free worker was not given: %v, %v", w, err)
		}
	}
	return l
}

// join lets callers line up, each a word of names, and returns the refused.
func (l *line) join(names string) (refused []string) {
	for name := range strings.FieldsSeq(names) {
		w, err := l.q.join(name)
		switch {
		case w != nil && err == nil:
			l.names, l.waiters = append(l.names, name), append(l.waiters, w)
		case errors.Is(err, ErrBusy):
			refused = append(refused, name)
		default:
			l.t.Fatalf("join: %v, %v", w, err)
		}
	}
	return refused
}

// told returns the callers with this verdict that were not reported before.
func (l *line) told(verdict error) (names []string) {
	for i, w := range l.waiters {
		if w == nil {
			continue
		}
		select {
		case got := <-w.verdict:
			if !errors.Is(got, verdict) {
				l.t.Errorf("%s was told %v, not %v", l.names[i], got, verdict)
			}
			names = append(names, l.names[i])
			l.waiters[i] = nil
		default:
		}
	}
	return names
}

// serve ends turn after turn and returns who got them.
func (l *line) serve(turns int) string {
	var order []string
	for range turns {
		l.q.release()
		got := l.told(nil)
		if len(got) != 1 {
			l.t.Fatalf("one turn went to %q", got)
		}
		order = append(order, got[0])
	}
	return strings.Join(order, " ")
}

func TestQueueTakesTurns(t *testing.T) {
	for _, test := range []struct{ name, join, want string }{
		{"one lane, in order of coming", "a a a", "a a a"},
		{"the greedy waits its turn", "a a a a a b c", "a b c a a a a"},
		{"three lanes", "a a b b c c", "a b c a b c"},
		{"uneven lanes", "a b b c c c", "a b c b c c"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLine(t, 1, 100)
			l.join(test.join)
			if got := l.serve(len(l.names)); got != test.want {
				t.Errorf("served %s, want %s", got, test.want)
			}
			l.q.release()
			idle(t, l.q, 1)
		})
	}
}

// Within a lane the oldest comes first, and one who comes back lines up anew.
func TestQueueKeepsOrder(t *testing.T) {
	l := newLine(t, 1, 100)
	l.join("a a b")
	first := l.waiters[0]
	l.q.release()
	select {
	case <-first.verdict:
	default:
		t.Error("the oldest was not the first")
	}
	l.waiters[0] = nil
	l.join("a c") // a has just had its turn, c is new
	if got := l.serve(4); got != "b a c a" {
		t.Errorf("served %s, want b a c a", got)
	}
}

func TestQueueOverflow(t *testing.T) {
	for _, test := range []struct {
		name           string
		limit          int
		join, newcomer string
		dropped        string // who had to make room
		refused        bool
	}{
		{"room", 4, "a a a", "b", "", false},
		{"the longest lane itself", 4, "a a a a", "a", "", true},
		{"a newcomer takes the longest's place", 4, "a a a a", "b", "a", false},
		{"two behind the longest", 4, "a a a b", "b", "a", false},
		{"one behind: it would only turn the tables", 5, "a a a b b", "b", "", true},
		{"level", 4, "a a b b", "b", "", true},
		{"a newcomer among lanes of two", 4, "a a b b", "c", "a", false},
		{"lanes of one hold out", 3, "a b c", "d", "", true},
		{"the shortest is spared", 6, "a b b c c c", "a", "c", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLine(t, 1, test.limit)
			if refused := l.join(test.join); refused != nil {
				t.Fatalf("refused %q below the limit", refused)
			}
			if refused := l.join(test.newcomer) != nil; refused != test.refused {
				t.Errorf("refused: %t, want %t", refused, test.refused)
			}
			if got := strings.Join(l.told(ErrBusy), " "); got != test.dropped {
				t.Errorf("dropped %q, want %q", got, test.dropped)
			}
			if l.q.length() > test.limit {
				t.Errorf("%d wait where %d may", l.q.length(), test.limit)
			}
			for l.q.length() > 0 {
				l.serve(1)
			}
			l.q.release()
			idle(t, l.q, 1)
		})
	}
}

// The one sent away is the newest: the others waited longer.
func TestQueueDropsTheNewest(t *testing.T) {
	l := newLine(t, 1, 3)
	l.join("a a a")
	newest := l.waiters[2]
	l.join("b")
	select {
	case err := <-newest.verdict:
		if !errors.Is(err, ErrBusy) {
			t.Errorf("told %v", err)
		}
	default:
		t.Error("the newest was not sent away")
	}
}

// However many one workspace asks for, another's single request comes through
// with the second turn.
func TestQueueFairness(t *testing.T) {
	l := newLine(t, 2, 50)
	greedy := strings.Repeat("greedy ", 500)
	if refused := l.join(greedy); len(refused) != 450 {
		t.Fatalf("refused %d of 500", len(refused))
	}
	if refused := l.join("modest"); refused != nil {
		t.Fatal("the modest one was refused")
	}
	l.told(ErrBusy)
	l.join(greedy)
	if got := l.serve(2); got != "greedy modest" {
		t.Errorf("served %s", got)
	}
}

func TestQueueLeave(t *testing.T) {
	l := newLine(t, 1, 2)
	l.join("a b")
	l.q.leave("a", l.waiters[0])
	if l.q.length() != 1 {
		t.Fatalf("%d wait, want 1", l.q.length())
	}
	if refused := l.join("c"); refused != nil {
		t.Error("the place was not free again")
	}
	if got := l.serve(1); got != "b" {
		t.Errorf("the turn went to %s, want b", got)
	}
	// One who leaves with a turn in hand passes it on.
	l.q.release()
	l.q.leave("c", l.waiters[2])
	idle(t, l.q, 1)

	// One who leaves after being sent away has no turn to pass on.
	full := newLine(t, 1, 2)
	full.join("a a b")
	full.q.leave("a", full.waiters[1])
	full.q.leave("a", full.waiters[0])
	full.q.leave("b", full.waiters[2])
	full.q.release()
	idle(t, full.q, 1)
}

func TestAcquireEndsWithItsContext(t *testing.T) {
	q := newQueue(1, 10)
	if err := q.acquire(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- q.acquire(ctx, "a") }()
	until(t, "one waits", func() bool { return q.length() == 1 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	q.release()
	idle(t, q, 1)
}

// Cancellations race with turns and with being sent away: no worker may be lost
// or gained, and nobody may be left waiting.
func TestQueueUnderStress(t *testing.T) {
	const workers, limit, callers = 3, 1000, 4000
	q := newLine(t, workers, limit).q
	var running, ran, busy, left atomic.Int64
	var all sync.WaitGroup
	open := make(chan struct{})
	for i := range callers {
		all.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			switch rand.IntN(4) {
			case 0:
				cancel() // before there is a turn
			case 1:
				all.Go(func() { <-open; cancel() }) // while there are turns
			}
			switch err := q.acquire(ctx, fmt.Sprint(i%7)); {
			case errors.Is(err, ErrBusy):
				busy.Add(1)
			case err != nil:
				left.Add(1)
			default:
				if n := running.Add(1); n > workers {
					t.Errorf("%d run at once", n)
				}
				ran.Add(1)
				runtime.Gosched()
				running.Add(-1)
				q.release()
			}
		})
	}
	until(t, "all have lined up or given up", func() bool {
		return int64(q.length())+busy.Load()+left.Load() == callers
	})
	close(open)
	for range workers {
		q.release()
	}
	all.Wait()
	idle(t, q, workers)
	t.Logf("%d ran, %d were sent away, %d left", ran.Load(), busy.Load(), left.Load())
	if ran.Load() == 0 || busy.Load() == 0 || left.Load() == 0 {
		t.Error("this was no stress")
	}
}
