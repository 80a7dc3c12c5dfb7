package postgres

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// channel is shared by all schemas of a database: needless hints do no harm.
	channel = "burnkey"
	// A notification need not survive a crash, so its commit waits neither for the disk nor for a standby.
	notifyAll = `WITH hint AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
		SELECT count(pg_notify('` + channel + `', workspace)) FROM hint, unnest($1::text[]) AS workspace`
	notifyTimeout = 5 * time.Second
	// notifyPause collects hints while there are many.
	notifyPause = 10 * time.Millisecond
	// farewell is how long Close waits until the last notifications are sent.
	farewell = time.Second
)

// notifier notifies other processes of changed workspaces. It does so outside of the transactions that
// change them, because NOTIFY locks the whole database until the commit is complete: all changes would
// wait for one another. Lost notifications do no harm: other processes also poll the versions.
type notifier struct {
	pool    *pgxpool.Pool
	mu      sync.Mutex
	pending map[string]struct{}
	wake    chan struct{}
	ending  chan struct{}
	ended   chan struct{}
	end     func()
}

func startNotifier(pool *pgxpool.Pool) *notifier {
	n := &notifier{
		pool: pool, pending: map[string]struct{}{},
		wake: make(chan struct{}, 1), ending: make(chan struct{}), ended: make(chan struct{}),
	}
	n.end = sync.OnceFunc(func() { close(n.ending) })
	go n.run()
	return n
}

// notify queues a workspace and does not wait.
func (n *notifier) notify(workspace string) {
	n.mu.Lock()
	n.pending[workspace] = struct{}{}
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default: // it is already awake
	}
}

func (n *notifier) run() {
	defer close(n.ended)
	for {
		select {
		case <-n.ending:
			n.send(farewell)
			return
		case <-n.wake:
			n.send(notifyTimeout)
		}
		select {
		case <-n.ending:
		case <-time.After(notifyPause):
		}
	}
}

func (n *notifier) send(timeout time.Duration) {
	n.mu.Lock()
	workspaces := slices.Collect(maps.Keys(n.pending))
	clear(n.pending)
	n.mu.Unlock()
	if len(workspaces) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	_, _ = n.pool.Exec(ctx, notifyAll, workspaces) // a hint
}

// stop sends what is pending and ends.
func (n *notifier) stop() {
	n.end()
	<-n.ended
}
