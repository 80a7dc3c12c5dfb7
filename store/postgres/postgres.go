// Package postgres stores Burnkey's data in PostgreSQL 15 or later, for several servers on one database.
//
// A workspace's version is a column of its row, which each change locks first: versions follow the order
// of commits, and different workspaces do not wait for one another. The row is locked for one round trip
// and the commit. All tables are in the first schema of the connection's search_path. A pooler must
// keep sessions (PgBouncer's pool_mode=session).
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/burnkey/burnkey/store"
)

// openPatience is how long Open waits for a database that can't be reached.
const openPatience = 30 * time.Second

// Store is a store.Store in a PostgreSQL database. It is safe for concurrent use.
type Store struct {
	config *pgxpool.Config
	pool   *pgxpool.Pool
	// following is the pool for Versions, Changes, Published, hints and Ping, with which servers stay up to
	// date and check this. Waiting writes, which use the other pool, do not delay these calls.
	following *pgxpool.Pool
	gate      *store.Gate // by workspace: further writes would wait for the row's lock
	callers   *store.Gate // by caller, before gate: one caller does not delay all others
	notifier  *notifier
	patience  time.Duration // how long to wait for a connection

	confirmations confirmations

	closing  context.Context // ends when Close is called
	close    context.CancelFunc
	mu       sync.Mutex // prevents watchers.Add after Wait
	watchers sync.WaitGroup
}

var _ store.Store = (*Store)(nil)

// Open opens the database at a postgres:// or postgresql:// URL and brings its schema up to date. The URL may
// name several hosts and set all parameters of libpq and pgxpool, such as pool_max_conns; the defaults are in
// config.go. In addition to pool_max_conns connections there are up to half as many to follow changes, and one
// for Watch.
//
// If the database can't be reached or is starting, Open tries again for half a minute or until ctx ends, and
// logs each failure to log, which may be nil. Open fails at once, and changes nothing, if the database refuses
// us, a pooler does not keep sessions (ErrPooler), or the database has a newer schema than this program knows
// or another program's tables in place of ours. No error contains the password.
func Open(ctx context.Context, url string, log *slog.Logger) (*Store, error) {
	s, err := open(ctx, url, log)
	if err != nil {
		return nil, fmt.Errorf("postgres: open: %w", err)
	}
	return s, nil
}

func open(ctx context.Context, url string, log *slog.Logger) (*Store, error) {
	config, err := parse(url)
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	warnOfPlaintext(config.ConnConfig, log)
	if err := setUpPatiently(ctx, config.ConnConfig, log); err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	following, err := pgxpool.NewWithConfig(ctx, forFollowing(config))
	if err != nil {
		pool.Close()
		return nil, err
	}
	s := &Store{config: config, pool: pool, following: following, patience: acquirePatience(config.ConnConfig)}
	s.gate, s.callers = store.NewGate(writers(config.MaxConns)), store.NewGate(0)
	s.closing, s.close = context.WithCancel(context.Background())
	s.notifier = startNotifier(following)
	return s, nil
}

func setUpPatiently(ctx context.Context, config *pgx.ConnConfig, log *slog.Logger) error {
	attempt := func() (struct{}, error) {
		err := setUp(ctx, config)
		if err != nil && (ctx.Err() != nil || !unreachable(err)) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = 200*time.Millisecond, 5*time.Second
	_, err := backoff.Retry(ctx, attempt,
		backoff.WithBackOff(pauses),
		backoff.WithMaxElapsedTime(openPatience),
		backoff.WithNotify(func(err error, pause time.Duration) {
			log.WarnContext(ctx, "the database can't be reached", "error", err, "again_in", pause)
		}))
	if permanent := (*backoff.PermanentError)(nil); errors.As(err, &permanent) {
		err = permanent.Unwrap()
	}
	return withCause(ctx, err)
}

// Ping queries the database. It returns ErrPooler if it notices that a pooler does not keep sessions.
func (s *Store) Ping(ctx context.Context) error {
	return wrap(ctx, "ping", s.readFrom(ctx, s.following, func(ctx context.Context, c *pgxpool.Conn) error {
		return keepsSession(ctx, c.Conn())
	}))
}

// Close ends streams and Watch, waits for other calls, which are short, and closes all connections.
// Closing twice is not an error.
func (s *Store) Close() error {
	s.mu.Lock()
	s.close()
	s.mu.Unlock()
	s.watchers.Wait()
	s.notifier.stop()
	s.pool.Close()
	s.following.Close()
	return nil
}

// wrap adds what the store was doing.
func wrap(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("postgres: %s: %w", doing, withCause(ctx, err))
}

// withCause adds the error of ctx to an error that the end of ctx caused, such as a cancelled statement.
func withCause(ctx context.Context, err error) error {
	if cause := ctx.Err(); err != nil && cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}
