package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// ErrPooler means that a pooler in front of the database gives the statements of one session to
// several connections. Settings such as synchronous_commit, LISTEN, locks and prepared
// statements would then apply to other clients and not to us.
var ErrPooler = errors.New("the pooler in front of the database does not keep sessions: it must be in session mode (PgBouncer: " +
	"pool_mode = session)")

const (
	// backend identifies the process that serves a connection, over all servers that may.
	backend = `SELECT pg_backend_pid() || ' ' || pg_postmaster_start_time()`
	// backendKey is where a connection stores its first backend.
	backendKey = "burnkey.backend"
	// poolerRounds is more than one, because another client's statement may hide a pooler in one round.
	poolerRounds = 3
)

// keepsSessions returns ErrPooler if two open connections share a backend, or one of them
// changes it. A pooler in transaction mode either has one spare connection, which both get, or
// takes several in turn.
func keepsSessions(ctx context.Context, first *pgx.Conn, config *pgx.ConnConfig) error {
	ctx, cancel := context.WithTimeout(ctx, 3*connectTimeout) // a pooler may make us wait for a connection
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
	// The simple protocol, because a prepared statement belongs to a session.
	err = conn.QueryRow(ctx, backend, pgx.QueryExecModeSimpleProtocol).Scan(&name)
	return name, err
}

// noteBackend stores the backend of a new connection.
func noteBackend(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout) // pgxpool sets no timeout
	defer cancel()
	name, err := backendOf(ctx, conn)
	conn.PgConn().CustomData()[backendKey] = name
	return err
}

// keepsSession queries the database, and returns ErrPooler if the backend is not the
// connection's first one.
func keepsSession(ctx context.Context, conn *pgx.Conn) error {
	name, err := backendOf(ctx, conn)
	if err == nil && name != conn.PgConn().CustomData()[backendKey] {
		return ErrPooler
	}
	return err
}
