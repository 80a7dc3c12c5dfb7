package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/burnkey/burnkey/internal/loop"
	"github.com/burnkey/burnkey/internal/spans"
	"github.com/burnkey/burnkey/store"
)

const (
	// callTimeout limits each call except a stream. The server's own timeouts are shorter, but do not cover a
	// commit that waits for a standby, or a network that loses packets.
	callTimeout = 20 * time.Second
	attempts    = 3
	// retryPause is the mean wait before the second attempt.
	retryPause = 50 * time.Millisecond
)

var errClosed = errors.New("the store is closed")

// writers returns how many connections of a pool writes may use. If all writes wait for a standby, the other
// connections remain for the API's reads.
func writers(conns int32) int { return int(max(1, conns*3/4)) }

// action does something on a connection.
type action func(ctx context.Context, c *pgxpool.Conn) error

// change is an action that can run within a transaction.
type change func(ctx context.Context, c conn) error

// read runs do, which changes nothing, up to three times if the connection is lost.
func (s *Store) read(ctx context.Context, do action) error { return s.readFrom(ctx, s.pool, do) }

// readFrom is read with a connection of one of the pools.
func (s *Store) readFrom(ctx context.Context, pool *pgxpool.Pool, do action) (err error) {
	defer spans.Start(&ctx, "store.read", &err)()
	return s.bounded(ctx, func(ctx context.Context) error { return s.call(ctx, pool, lost, do) })
}

// write waits for its turn, and runs do, which commits a change to a workspace, if the authority of ctx is
// valid. It runs do again only if nothing was sent or a deadlock undid everything: if the answer to a commit is
// lost, the commit may have taken effect.
func (s *Store) write(ctx context.Context, workspace string, do change) error {
	return s.writeUnless(ctx, workspace, new(bool), do)
}

// writeUnless is like write, but never runs do again after do has set begun.
func (s *Store) writeUnless(ctx context.Context, workspace string, begun *bool, do change) (err error) {
	defer spans.Start(&ctx, "store.write", &err)()
	return s.bounded(ctx, func(ctx context.Context) error {
		leave, err := s.enter(ctx, workspace)
		if err != nil {
			return fmt.Errorf("waiting for other writes: %w", err)
		}
		defer leave()
		do := standing(ctx, workspace, do)
		again := func(err error) bool { return !*begun && (pgconn.SafeToRetry(err) || isCode(err, deadlockDetected)) }
		return s.call(ctx, s.pool, again, func(ctx context.Context, c *pgxpool.Conn) error {
			forgetWarning(c)
			if err := do(ctx, c); err != nil {
				return err
			}
			return warning(c)
		})
	})
}

// enter waits for the gate of the caller's own writes, then for the gate of the writes to the workspace.
func (s *Store) enter(ctx context.Context, workspace string) (leave func(), err error) {
	a := store.AuthorityOf(ctx)
	if a.Own() {
		return s.gate.Enter(ctx, workspace)
	}
	own, err := s.callers.Enter(ctx, workspace+" "+a.Name())
	if err != nil {
		return nil, err
	}
	out, err := s.gate.Enter(ctx, workspace)
	if err != nil {
		own()
		return nil, err
	}
	return func() { out(); own() }, nil
}

func (s *Store) bounded(ctx context.Context, do func(context.Context) error) error {
	inner, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := do(inner)
	if err != nil && inner.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("no answer within %v: %w", callTimeout, err)
	}
	return err
}

// call runs do with a connection of a pool, and repeats it, up to `attempts` times, while again(err) is true.
func (s *Store) call(ctx context.Context, pool *pgxpool.Pool, again func(error) bool, do action) error {
	deadline := time.Now().Add(s.patience)
	for attempt := 1; ; attempt++ {
		if s.closing.Err() != nil {
			return errClosed
		}
		err := s.once(ctx, pool, deadline, do)
		if err == nil || attempt == attempts || ctx.Err() != nil || !again(err) {
			return err
		}
		if loop.Sleep(ctx, time.Duration(attempt)*rand.N(2*retryPause)) != nil {
			return err
		}
	}
}

func (s *Store) once(ctx context.Context, pool *pgxpool.Pool, deadline time.Time, do action) error {
	waiting, cancel := context.WithDeadline(ctx, deadline)
	c, err := pool.Acquire(waiting)
	cancel()
	if err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("none was free or could be opened within %v: %w", s.patience, err)
	}
	if err != nil {
		return &noConnectionError{err}
	}
	defer c.Release()
	return do(ctx, c)
}

// noConnectionError is the error of a call that got no connection.
type noConnectionError struct{ err error }

func (e *noConnectionError) Error() string { return "no connection: " + e.err.Error() }
func (e *noConnectionError) Unwrap() error { return e.err }

// SafeToRetry is called by pgconn.SafeToRetry.
func (e *noConnectionError) SafeToRetry() bool { return true }

// lost reports whether a call failed because of its connection, so that it can succeed with another.
func lost(err error) bool { return pgconn.SafeToRetry(err) || unreachable(err) }

// unreachable reports whether err is temporary: there is no server, or the server is starting, stopping, full
// or a standby. It returns false if any host refused us for another reason.
func unreachable(err error) bool {
	passing, final := false, false
	each(err, func(err error) {
		switch e := any(err).(type) { // not errors.As: each already unwraps
		case *pgconn.PgError:
			if passes(e.Code) {
				passing = true
			} else {
				final = true
			}
		case net.Error:
			passing = true
		default:
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, pgconn.ErrReadOnlyConnection) {
				passing = true
			}
		}
	})
	return passing && !final
}

func passes(code string) bool {
	switch code {
	case "53300", "57P01", "57P02", "57P03", "57P05": // too many connections; shutdown, crash, starting, idle
		return true
	}
	return strings.HasPrefix(code, "08") // connection exceptions
}

// each calls f with err and all errors that it wraps.
func each(err error, f func(error)) {
	for err != nil {
		f(err)
		switch e := any(err).(type) {
		case interface{ Unwrap() []error }:
			for _, err := range e.Unwrap() {
				each(err, f)
			}
			return
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		default:
			return
		}
	}
}

const (
	cutOffKey = "burnkey.cutoff"
	// standbyRoutine is the function in PostgreSQL that warns that a commit did not wait for the synchronous
	// standby. The warning has this name; unlike its text, the name is not translated.
	standbyRoutine = "SyncRepWaitForLSN"
)

// noteWarning stores the warning that the server did not wait for the synchronous standby because the wait was
// cancelled: the server reports the commit as successful, but a failover can lose the commit. Other warnings,
// such as a trigger's, are ignored.
func noteWarning(c *pgconn.PgConn, n *pgconn.Notice) {
	if n.SeverityUnlocalized == "WARNING" && n.Routine == standbyRoutine {
		c.CustomData()[cutOffKey] = n.Message
	}
}

func forgetWarning(c *pgxpool.Conn) { delete(c.Conn().PgConn().CustomData(), cutOffKey) }

func warning(c *pgxpool.Conn) error {
	if text, warned := c.Conn().PgConn().CustomData()[cutOffKey]; warned {
		return fmt.Errorf("the database committed without its standby: %v", text)
	}
	return nil
}
