package turns

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

	"github.com/burnkey/burnkey/internal/testkit"
)

// queuers makes waiters join and leave a queue step by step, and records the result of each wait.
type queuers struct {
	t       *testing.T
	q       *Queue
	names   []string
	waiters []*waiter
}

// newLine returns a queue that has no free turn.
func newLine(t *testing.T, workers, limit int) *queuers {
	t.Helper()
	l := &queuers{t: t, q: New(Limits{workers, limit, limit, limit})}
	for range workers {
		if w, err := l.q.join(Asker{Workspace: "running"}); w != nil || err != nil {
			t.Fatalf("a free worker was not given: %v, %v", w, err)
		}
	}
	return l
}

// askerOf reads WORKSPACE, WORKSPACE/OWNER or WORKSPACE/OWNER@CALLER.
func askerOf(name string) Asker {
	rest, caller, _ := strings.Cut(name, "@")
	workspace, owner, _ := strings.Cut(rest, "/")
	return Asker{Workspace: workspace, Owner: owner, Caller: caller}
}

// join lets a caller wait for each word in names, and returns the names of the refused callers.
func (l *queuers) join(names string) (refused []string) {
	for name := range strings.FieldsSeq(names) {
		w, err := l.q.join(askerOf(name))
		switch {
		case w != nil && err == nil:
			l.names, l.waiters = append(l.names, name), append(l.waiters, w)
		case errors.Is(err, ErrFull):
			refused = append(refused, name)
		default:
			l.t.Fatalf("join: %v, %v", w, err)
		}
	}
	return refused
}

// told returns the callers whose waits ended with this verdict since the last call.
func (l *queuers) told(verdict error) (names []string) {
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

// serve ends turns one after another and returns the callers that received the next turns.
func (l *queuers) serve(turns int) string {
	var order []string
	for range turns {
		l.q.Release()
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
		{"owners take turns within their workspace", "a/x a/x a/x a/y a/z", "a/x a/y a/z a/x a/x"},
		{"an owner has no turns of other workspaces", "a/x a/x a/x b/y b/z b/y", "a/x b/y a/x b/z a/x b/y"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLine(t, 1, 100)
			l.join(test.join)
			if got := l.serve(len(l.names)); got != test.want {
				t.Errorf("served %s, want %s", got, test.want)
			}
			l.q.Release()
			idle(t, l.q, 1)
		})
	}
}

// Within a lane the oldest waiter is first, and a caller that joins again goes to the end.
func TestQueueKeepsOrder(t *testing.T) {
	l := newLine(t, 1, 100)
	l.join("a a b")
	first := l.waiters[0]
	l.q.Release()
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
		{"two shorter than the longest", 4, "a a a b", "b", "a", false},
		{"one shorter: the two would only change roles", 5, "a a a b b", "b", "", true},
		{"level", 4, "a a b b", "b", "", true},
		{"a newcomer among lanes of two", 4, "a a b b", "c", "a", false},
		{"lanes of one hold out", 3, "a b c", "d", "", true},
		{"the shortest is spared", 6, "a b b c c c", "a", "c", false},
		{"the longest owner of the longest workspace", 5, "a/x a/x a/x a/y b/z", "b/z", "a/x", false},
		{"an owner beside a longer one", 4, "a/x a/x a/x a/y", "a/y", "a/x", false},
		{"a new owner beside longer ones", 4, "a/x a/x a/y a/y", "a/z", "a/x", false},
		{"many owners of one workspace", 4, "a/v a/w a/x a/y", "b/z", "a/v", false},
		{"and one more of them", 4, "a/v a/w a/x a/y", "a/z", "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLine(t, 1, test.limit)
			if refused := l.join(test.join); refused != nil {
				t.Fatalf("refused %q below the limit", refused)
			}
			if refused := l.join(test.newcomer) != nil; refused != test.refused {
				t.Errorf("refused: %t, want %t", refused, test.refused)
			}
			if got := strings.Join(l.told(ErrFull), " "); got != test.dropped {
				t.Errorf("dropped %q, want %q", got, test.dropped)
			}
			if l.q.Waiting() > test.limit {
				t.Errorf("%d wait where %d may", l.q.Waiting(), test.limit)
			}
			for l.q.Waiting() > 0 {
				l.serve(1)
			}
			l.q.Release()
			idle(t, l.q, 1)
		})
	}
}

// An owner and a caller are limited to a share of the queue, and a refused caller learns how long to wait.
func TestQueueBounds(t *testing.T) {
	l := newLine(t, 1, 16)
	l.q.limits.PerOwner, l.q.limits.PerCaller = 4, 8
	if refused := l.join(strings.Repeat("a/x@key1 ", 9)); len(refused) != 5 {
		t.Errorf("%d of 9 of one owner were refused, want 5", len(refused))
	}
	if refused := l.join(strings.Repeat("a/y@key1 a/z@key1 b/x@key1 ", 3)); len(refused) != 5 {
		t.Errorf("%d of 9 of one caller were refused, want 5", len(refused))
	}
	if refused := l.join("a/x@key2 a/y@key2 c"); len(refused) != 1 || refused[0] != "a/x@key2" {
		t.Errorf("refused %q", refused)
	}
	_, err := l.q.join(askerOf("a/x@key3"))
	var busy *FullError
	if !errors.As(err, &busy) || busy.Reason != OwnerFull || busy.Workspace != "a" {
		t.Errorf("got %+v", err)
	}
	l.q.mu.Lock()
	// Ten turns come before the fifth turn of owner x in workspace a: four of x, four of y and z, and two of
	// workspaces b and c.
	if got := l.q.ahead(askerOf("a/x")); got != 10+1 {
		t.Errorf("%d turns ahead", got)
	}
	if got := l.q.ahead(askerOf("d/x")); got != 4 {
		t.Errorf("%d turns ahead of a newcomer", got)
	}
	l.q.mu.Unlock()
	for l.q.Waiting() > 0 {
		l.serve(1)
	}
	if len(l.q.callers) > 0 || len(l.q.line.byName) > 0 {
		t.Errorf("left over: %v, %v", l.q.callers, l.q.line.byName)
	}
}

// A full queue evicts the newest waiter of the longest lane, since the other waiters have waited longer.
func TestQueueDropsTheNewest(t *testing.T) {
	l := newLine(t, 1, 3)
	l.join("a a a")
	newest := l.waiters[2]
	l.join("b")
	select {
	case err := <-newest.verdict:
		if !errors.Is(err, ErrFull) {
			t.Errorf("told %v", err)
		}
	default:
		t.Error("the newest was not sent away")
	}
}

// However many requests one workspace has, another's single request gets the second turn.
func TestQueueFairness(t *testing.T) {
	l := newLine(t, 2, 50)
	greedy := strings.Repeat("greedy ", 500)
	if refused := l.join(greedy); len(refused) != 450 {
		t.Fatalf("refused %d of 500", len(refused))
	}
	if refused := l.join("modest"); refused != nil {
		t.Fatal("the modest one was refused")
	}
	l.told(ErrFull)
	l.join(greedy)
	if got := l.serve(2); got != "greedy modest" {
		t.Errorf("served %s", got)
	}
}

func TestQueueLeave(t *testing.T) {
	l := newLine(t, 1, 2)
	l.join("a b")
	l.q.leave(l.waiters[0])
	if l.q.Waiting() != 1 {
		t.Fatalf("%d wait, want 1", l.q.Waiting())
	}
	if refused := l.join("c"); refused != nil {
		t.Error("the place was not free again")
	}
	if got := l.serve(1); got != "b" {
		t.Errorf("the turn went to %s, want b", got)
	}
	// A caller that leaves just after receiving a turn passes the turn on.
	l.q.Release()
	l.q.leave(l.waiters[2])
	idle(t, l.q, 1)

	// A caller that leaves after being evicted has no turn to pass on.
	full := newLine(t, 1, 2)
	full.join("a a b")
	full.q.leave(full.waiters[1])
	full.q.leave(full.waiters[0])
	full.q.leave(full.waiters[2])
	full.q.Release()
	idle(t, full.q, 1)
}

func TestAcquireEndsWithItsContext(t *testing.T) {
	q := New(Limits{1, 10, 10, 10})
	if err := q.Acquire(t.Context(), Asker{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- q.Acquire(ctx, Asker{}) }()
	testkit.Eventually(t, "one waits", func() bool { return q.Waiting() == 1 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	q.Release()
	idle(t, q, 1)
}

// Cancellations race with turns and evictions: no turn is lost or added, and no caller waits forever.
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
			switch err := q.Acquire(ctx, Asker{Workspace: fmt.Sprint(i % 7), Owner: fmt.Sprint(i % 3), Caller: fmt.Sprint(i % 5)}); {
			case errors.Is(err, ErrFull):
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
				q.Release()
			}
		})
	}
	testkit.Eventually(t, "all have lined up or given up", func() bool {
		return int64(q.Waiting())+busy.Load()+left.Load() == callers
	})
	close(open)
	for range workers {
		q.Release()
	}
	all.Wait()
	idle(t, q, workers)
	t.Logf("%d ran, %d were sent away, %d left", ran.Load(), busy.Load(), left.Load())
	if ran.Load() == 0 || busy.Load() == 0 || left.Load() == 0 {
		t.Error("this was no stress")
	}
}

// idle checks that all turns are free and no request waits.
func idle(t *testing.T, q *Queue, workers int) {
	t.Helper()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.free != workers || q.line.waiting != 0 || q.line.turns.Len() != 0 || len(q.line.byName) != 0 || len(q.callers) != 0 {
		t.Errorf("%d of %d workers are free, %d wait in %d lanes (%d named, %d callers)",
			q.free, workers, q.line.waiting, q.line.turns.Len(), len(q.line.byName), len(q.callers))
	}
}
