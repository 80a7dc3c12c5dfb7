package postgres

import (
	"context"
	"fmt"
	"sync"
)

// confirm returns nil once everything that was read before is as durable as this store's own commits. A
// commit whose wait for the synchronous standby was interrupted can be read, but a failover may still
// lose it. A later commit that does wait, of any workspace, shows that the standby has both.
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

// confirmations lets all calls that arrive during one commit share the next. Anyone with the token of a
// revoked key may cause one, as often as they like; together they use one connection.
type confirmations struct {
	mu      sync.Mutex
	next    *confirmation // not yet begun
	running bool
}

// confirmation is a commit with the calls that wait for it. It is cancelled when the last of them
// leaves.
type confirmation struct {
	ctx     context.Context
	end     context.CancelFunc
	waiting int
	done    chan struct{}
	err     error
}

// wait returns the error of a commit that begins now or later.
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

// take returns the commit to begin next; if there is none, it notes that none is running.
func (c *confirmations) take() *confirmation {
	c.mu.Lock()
	defer c.mu.Unlock()
	mine := c.next
	c.next, c.running = nil, mine != nil
	return mine
}
