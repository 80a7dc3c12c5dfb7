package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Defaults for what the URL does not say.
const (
	connectTimeout = 5 * time.Second // for one host
	maxConns       = 10
	// pingTimeout bounds the look at a connection that was idle: one that hangs is
	// then given up while its caller still has time for another.
	pingTimeout = 2 * time.Second
	// A statement of ours takes milliseconds; one that takes so long hangs, and
	// holds a connection and perhaps a workspace's lock.
	statementTimeout = "15s"
	// Shorter, so that whoever waits for a lock is told that it was a lock.
	lockTimeout = "10s"
	// A transaction that was left open holds its workspace's lock. Ours are never
	// idle but in the callback of an update, which is quick.
	idleInTransactionTimeout = "30s"
)

// session is what each connection is brought to, against the defaults of the
// server, the database and the role: acknowledged is durable also where the server
// does not wait for its disk or its synchronous standby, the warning that a commit
// is not is shown, and isolation is what our statements are made for.
//
// They are not parameters of the connection's start, which PgBouncer refuses.
const session = `SELECT
	set_config('client_min_messages', 'warning', false),
	set_config('default_transaction_isolation', 'read committed', false),
	set_config('synchronous_commit', CASE current_setting('synchronous_commit')
		WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false)`

// parse reads the URL and adds our defaults.
func parse(url string) (*pgxpool.Config, error) {
	if err := checkURL(url); err != nil {
		return nil, err
	}
	plain, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, parseError(err)
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, parseError(err)
	}
	if _, given := plain.RuntimeParams["pool_max_conns"]; !given {
		config.MaxConns = maxConns
	}
	if config.PingTimeout == 0 {
		config.PingTimeout = pingTimeout
	}
	prepare := prepareSession(timeouts(config.ConnConfig))
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if err := prepare(ctx, conn); err != nil {
			return err
		}
		return noteBackend(ctx, conn)
	}
	config.ShouldPing = func(_ context.Context, p pgxpool.ShouldPingParams) bool {
		// What the server sent unasked is its farewell, most often.
		return p.IdleDuration > time.Second || readable(p.Conn.PgConn().Conn())
	}
	addDefaults(&config.ConnConfig.Config)
	return config, nil
}

// forFollowing is half as large a pool: sets that are read whole hold a few of its
// connections for long.
func forFollowing(config *pgxpool.Config) *pgxpool.Config {
	config = config.Copy()
	config.MaxConns = max(2, config.MaxConns/2)
	config.MinConns, config.MinIdleConns = min(config.MinConns, 1), 0
	return config
}

func addDefaults(c *pgconn.Config) {
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
	}
	if c.ValidateConnect == nil {
		// A standby, or a primary that became one, would show what is revoked here
		// as published. "any" is of no use, so it means this, too.
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	c.DialFunc = dialer(c.ConnectTimeout).DialContext
	c.OnNotice = keepWarning
	c.RuntimeParams["client_encoding"] = "UTF8"
	if !given(c, "application_name") {
		c.RuntimeParams["application_name"] = "burnkey"
	}
}

// given reports whether the URL sets a parameter.
func given(c *pgconn.Config, name string) bool {
	_, given := c.RuntimeParams[name]
	return given || strings.Contains(c.RuntimeParams["options"], name)
}

// timeouts returns the SQL that sets ours, but for those that the URL sets.
func timeouts(c *pgx.ConnConfig) (sql string) {
	for _, timeout := range [][2]string{
		{"statement_timeout", statementTimeout},
		{"lock_timeout", lockTimeout},
		{"idle_in_transaction_session_timeout", idleInTransactionTimeout},
	} {
		if !given(&c.Config, timeout[0]) {
			sql += `, set_config('` + timeout[0] + `', '` + timeout[1] + `', false)`
		}
	}
	return sql
}

// checkURL refuses what would be read in another way than it was meant, so that
// a part of the password passes for a host or a database, which errors name.
func checkURL(url string) error {
	rest, ok := strings.CutPrefix(url, "postgres://")
	if !ok {
		rest, ok = strings.CutPrefix(url, "postgresql://")
	}
	if !ok {
		return errors.New("the URL must begin with postgres:// or postgresql://")
	}
	if i := strings.IndexAny(rest, "@/"); i >= 0 && rest[i] == '@' {
		rest = rest[i+1:]
	}
	rest, _, _ = strings.Cut(rest, "?")
	if strings.Contains(rest, "@") {
		return errors.New("the URL has an @ too many: in a user name or a password, write @ as %40, / as %2F and % as %25")
	}
	return nil
}

// parseError leaves the URL out, even where pgx has masked what it takes for the
// password.
func parseError(err error) error {
	text := err.Error()
	i := strings.LastIndex(text, "`: ")
	if i < 0 || strings.Contains(text[i:], "failed to parse as URL") {
		return errors.New("the URL is malformed: in a user name or a password, write @ as %40, / as %2F and % as %25")
	}
	return fmt.Errorf("the URL is refused: %s", text[i+len("`: "):])
}

// prepareSession makes a new connection one of ours, with further settings, each
// as one more column. pgxpool does not bound it.
func prepareSession(further string) func(context.Context, *pgx.Conn) error {
	return func(ctx context.Context, conn *pgx.Conn) error {
		ctx, cancel := context.WithTimeout(ctx, connectTimeout)
		defer cancel()
		_, err := conn.Exec(ctx, session+further, pgx.QueryExecModeSimpleProtocol)
		return err
	}
}

// acquirePatience is how long a call waits for a connection: until it has to be
// told that the database is away, but for long enough to pass by a host that
// does not answer.
func acquirePatience(c *pgx.ConnConfig) time.Duration {
	type address struct {
		host string
		port uint16
	}
	hosts := map[address]bool{{c.Host, c.Port}: true}
	for _, f := range c.Fallbacks {
		hosts[address{f.Host, f.Port}] = true
	}
	return min(time.Duration(len(hosts))*connectTimeout, 3*connectTimeout)
}
