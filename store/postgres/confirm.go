package postgres

import (
	"context"
	"fmt"
	"sync"
)

// confirm returns nil once everything that was read before is as durable as this store's own commits. If a
// commit's wait for the synchronous standby was interrupted, its changes can be read, but a failover can still
// lose them. Once a later commit, to any workspace, has waited successfully, the standby has both commits.
func (s *Store) confirm(ctx context.Context) error {
	if err := s.confirmations.wait(ctx, s.commitNothing); err != nil {
		return fmt.Errorf("waiting until the answer is durable: %w", err)
	}
	return nil
}

// commitNothing writes an empty record to the write-ahead log.
func (s *Store) commitNothing(ctx context.Context) error {
	return s.write(ctx, "", func(ctx context.Context, c conn) error {
		_, err := c.Exec(ctx, `SELECT pg_logical_emit_message(true, 'burnkey', '')`)
		return err
	})
}

// confirmations lets all calls that arrive during one commit share the next commit, and thus one connection.
// Anyone with the token of a revoked key can cause such calls, as often as they like.
type confirmations struct {
	mu      sync.Mutex
	next    *confirmation // not yet begun
	running bool
}

// confirmation is a commit and the calls that wait for it. The commit is cancelled when the last call leaves.
type confirmation struct {
	ctx     context.Context
	end     context.CancelFunc
	waiting int
	done    chan struct{}
	err     error
}

// wait waits for a commit that begins after this call, and returns its error.
func (c *confirmations) wait(ctx context.Context, commit func(context.Context) error) error {
	mine := c.join(commit)
	defer c.leave(mine)
	select {
	case <-mine.done:
		return mine.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *confirmations) join(commit func(context.Context) error) *confirmation {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next == nil {
		c.next = &confirmation{done: make(chan struct{})}
		c.next.ctx, c.next.end = context.WithCancel(context.Background())
	}
	c.next.waiting++
	if !c.running {
		c.running = true
		go c.run(commit)
	}
	return c.next
}

func (c *confirmations) leave(mine *confirmation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if mine.waiting--; mine.waiting > 0 {
		return
	}
	mine.end()
	if c.next == mine {
		c.next = nil
	}
}

func (c *confirmations) run(commit func(context.Context) error) {
	for mine := c.take(); mine != nil; mine = c.take() {
		mine.err = commit(mine.ctx)
		close(mine.done)
	}
}

// take returns the next commit to run. If there is none, it sets running to false.
func (c *confirmations) take() *confirmation {
	c.mu.Lock()
	defer c.mu.Unlock()
	mine := c.next
	c.next, c.running = nil, mine != nil
	return mine
}
