package postgres

import (
	"context"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"
)

// confirm returns nil once what was read before is as durable as what this store
// commits. A commit whose wait for the synchronous standby was cut off can be read,
// and a failover may still lose it; one that comes behind it and does wait shows
// that the standby has both, whatever workspace it is of.
func (s *Store) confirm(ctx context.Context) error {
	if err := s.confirmations.wait(ctx, s.commitNothing); err != nil {
		return fmt.Errorf("waiting for what was read to be durable: %w", err)
	}
	return nil
}

// commitNothing writes a record of the log that nobody reads. It is one for all
// who wait, so none of them can end it.
func (s *Store) commitNothing() error {
	return s.write(context.Background(), "", func(ctx context.Context, c *pgxpool.Conn) error {
		_, err := c.Exec(ctx, `SELECT pg_logical_emit_message(true, 'burnkey', '')`)
		return err
	})
}

// confirmations lets all share a commit who come while another is under way.
// Whoever has a token of a revoked key may ask for one, as often as they like: they
// take up one connection.
type confirmations struct {
	mu      sync.Mutex
	next    *confirmation // has not begun
	running bool
}

type confirmation struct {
	done chan struct{}
	err  error
}

// wait returns the error of a commit that begins now or later.
func (c *confirmations) wait(ctx context.Context, commit func() error) error {
	c.mu.Lock()
	mine := c.next
	if mine == nil {
		mine = &confirmation{done: make(chan struct{})}
		c.next = mine
	}
	if !c.running {
		c.running = true
		go c.run(commit)
	}
	c.mu.Unlock()
	select {
	case <-mine.done:
		return mine.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *confirmations) run(commit func() error) {
	for mine := c.take(); mine != nil; mine = c.take() {
		mine.err = commit()
		close(mine.done)
	}
}

// take returns the commit that is to begin; if there is none, no other is running.
func (c *confirmations) take() *confirmation {
	c.mu.Lock()
	defer c.mu.Unlock()
	mine := c.next
	c.next, c.running = nil, mine != nil
	return mine
}
