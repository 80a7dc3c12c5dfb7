package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// ErrPooler: a pooler between us and the database gives a session's statements to whatever
// connection is free. What we set would hold for others, as if it were theirs, and not for
// us: that a commit waits for the disk, LISTEN, locks and prepared statements.
var ErrPooler = errors.New("a pooler before the database does not keep sessions: it must be in session mode (PgBouncer: pool_mode = session)")

const (
	// backend names the process that serves a connection, over all servers that may.
	backend = `SELECT pg_backend_pid() || ' ' || pg_postmaster_start_time()`
	// backendKey is where a connection keeps what served it first.
	backendKey = "burnkey.backend"
	// poolerRounds: somebody else's statement can come between once, and hide it.
	poolerRounds = 3
)

// keepsSessions returns ErrPooler if two connections that are open share a backend, or one
// has had two. A pooler in transaction mode shows it at once where it has one connection to
// spare, which both get, and where it has more and takes them in turn.
func keepsSessions(ctx context.Context, first *pgx.Conn, config *pgx.ConnConfig) error {
	ctx, cancel := context.WithTimeout(ctx, 3*connectTimeout) // a pooler may have us wait for a connection
	defer cancel()
	second, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("open a second connection: %w", err)
	}
	defer disconnect(second)
	for range poolerRounds {
		var seen [4]string
		for i, conn := range []*pgx.Conn{first, first, second, first} {
			if seen[i], err = backendOf(ctx, conn); err != nil {
				return err
			}
		}
		if seen[0] != seen[1] || seen[0] == seen[2] || seen[0] != seen[3] {
			return ErrPooler
		}
	}
	return nil
}

func backendOf(ctx context.Context, conn *pgx.Conn) (name string, err error) {
	// By the simple protocol: a prepared statement belongs to a session.
	err = conn.QueryRow(ctx, backend, pgx.QueryExecModeSimpleProtocol).Scan(&name)
	return name, err
}

// noteBackend remembers what serves a new connection.
func noteBackend(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout) // pgxpool does not bound it
	defer cancel()
	name, err := backendOf(ctx, conn)
	conn.PgConn().CustomData()[backendKey] = name
	return err
}

// keepsSession asks the database for an answer, and returns ErrPooler if that comes from
// another backend than the connection began with.
func keepsSession(ctx context.Context, conn *pgx.Conn) error {
	name, err := backendOf(ctx, conn)
	if err == nil && name != conn.PgConn().CustomData()[backendKey] {
		return ErrPooler
	}
	return err
}
