package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// ErrPooler means that a pooler in front of the database gives the statements of one session to several
// connections. Settings such as synchronous_commit, LISTEN, locks and prepared statements could then affect
// other clients instead of us.
var ErrPooler = errors.New("the pooler in front of the database does not keep sessions: it must be in session mode (PgBouncer: " +
	"pool_mode = session)")

const (
	// backend identifies the server process of a connection. The start time tells several servers apart.
	backend = `SELECT pg_backend_pid() || ' ' || pg_postmaster_start_time()`
	// backendKey is the key of a connection's custom data that stores its first backend.
	backendKey = "burnkey.backend"
	// poolerRounds is how often to check for a pooler: in one round, another client's statement could hide it.
	poolerRounds = 3
)

// keepsSessions returns ErrPooler if two open connections share a backend, or the backend of a connection
// changes. A pooler in transaction mode gives both connections its only spare backend, or several in turn.
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
	// Use the simple protocol: a prepared statement belongs to a session, which a pooler may not keep.
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

// keepsSession returns ErrPooler if the connection's backend is no longer its first one.
func keepsSession(ctx context.Context, conn *pgx.Conn) error {
	name, err := backendOf(ctx, conn)
	if err == nil && name != conn.PgConn().CustomData()[backendKey] {
		return ErrPooler
	}
	return err
}
