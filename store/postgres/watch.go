package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// After watchIdle without a notification, Watch checks the connection, for up to watchAnswer.
	watchIdle   = 10 * time.Second
	watchAnswer = 5 * time.Second
	hangUp      = time.Second
)

// Watch implements store.Store. It has a connection of its own, outside the pools, and ends when the store is
// closed.
func (s *Store) Watch(ctx context.Context, wake func(workspace string)) error {
	s.mu.Lock()
	if s.closing.Err() != nil {
		s.mu.Unlock()
		return wrap(ctx, "watch", errClosed)
	}
	s.watchers.Add(1)
	s.mu.Unlock()
	defer s.watchers.Done()

	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.closing, func() { cancel(errClosed) })()
	err := s.watch(inner, wake)
	if cause := context.Cause(inner); errors.Is(cause, errClosed) {
		err = cause
	}
	return wrap(ctx, "watch", err)
}

func (s *Store) watch(ctx context.Context, wake func(workspace string)) error {
	conn, err := pgx.ConnectConfig(ctx, s.config.ConnConfig.Copy())
	if err != nil {
		return err
	}
	defer disconnect(conn)
	if _, err := conn.Exec(ctx, `LISTEN `+channel); err != nil {
		return err
	}
	wake("")
	for {
		n, err := nextNotification(ctx, conn, watchIdle)
		switch {
		case err != nil:
			return err
		case n != nil:
			wake(n.Payload)
		default:
			if err := ask(ctx, conn); err != nil {
				return fmt.Errorf("the connection is lost: %w", err)
			}
		}
	}
}

// nextNotification waits for a notification. It returns nil if there was none within the time `wait`.
func nextNotification(ctx context.Context, conn *pgx.Conn, wait time.Duration) (*pgconn.Notification, error) {
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	n, err := conn.WaitForNotification(waiting)
	switch {
	case err == nil:
		return n, nil
	case ctx.Err() == nil && waiting.Err() != nil && !conn.IsClosed():
		return nil, nil
	}
	return nil, err
}

func ask(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, watchAnswer)
	defer cancel()
	_, err := conn.Exec(ctx, `LISTEN `+channel) // changes nothing, but shows the purpose of the connection
	return err
}

// disconnect closes a connection and waits up to a second until it is closed.
func disconnect(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), hangUp)
	defer cancel()
	_ = conn.Close(ctx) // nothing depends on it
	select {
	case <-conn.PgConn().CleanupDone():
	case <-ctx.Done():
	}
}
