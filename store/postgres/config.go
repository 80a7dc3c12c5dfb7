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

// Defaults for parameters that the URL does not set.
const (
	connectTimeout = 5 * time.Second // for one host
	maxConns       = 10
	// pingTimeout limits the check of an idle connection: if it hangs, the caller still has time for another
	// connection.
	pingTimeout = 2 * time.Second
	// Our statements take milliseconds. A statement that takes this long hangs, and occupies a connection and
	// perhaps a workspace's lock.
	statementTimeout = "15s"
	// lockTimeout is shorter than statementTimeout, so that the error mentions the lock.
	lockTimeout = "10s"
	// A transaction that was left open holds its workspace's lock. Our transactions are idle only while the
	// callback of an update runs, which is quick.
	idleInTransactionTimeout = "30s"
)

// session sets up each connection, whatever the defaults of the server, the database and the role: commits wait
// for the disk and the synchronous standby, a commit that did not wait causes a warning, and the isolation
// level is what our statements need. burnkey.fingerprint disables the triggers of the tenth migration, because
// this program updates fingerprints itself.
//
// PgBouncer would refuse these settings in the startup message of a connection.
const session = `SELECT
	set_config('burnkey.fingerprint', 'on', false),
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
		// If an idle connection has data to read, the server has most often closed it.
		return p.IdleDuration > time.Second || readable(p.Conn.PgConn().Conn())
	}
	addDefaults(&config.ConnConfig.Config)
	return config, nil
}

// forFollowing returns the configuration of the pool Store.following, which has half the size. Reads of whole
// sets occupy its connections for a long time.
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
		// A standby, or a primary that became a standby, would show revoked keys as published. The URL's "any"
		// makes no sense here, so it also means "read-write".
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	c.DialFunc = dialer(c.ConnectTimeout).DialContext
	c.OnNotice = noteWarning
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

// timeouts returns the SQL that sets our timeouts, except those that the URL sets.
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

// checkURL refuses URLs in which a part of the password would be parsed as a host or a database, because errors
// would show that part.
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
		return errors.New("the URL has one @ too many: in a user name or a password, write @ as %40, / as %2F and % as %25")
	}
	return nil
}

// parseError removes the URL from an error. pgx masks the password, but might not recognize all of it.
func parseError(err error) error {
	text := err.Error()
	i := strings.LastIndex(text, "`: ")
	if i < 0 || strings.Contains(text[i:], "failed to parse as URL") {
		return errors.New("the URL is malformed: in a user name or a password, write @ as %40, / as %2F and % as %25")
	}
	return fmt.Errorf("invalid URL: %s", text[i+len("`: "):])
}

// prepareSession returns a function that sets up a new connection. `further` is SQL for more settings, as
// columns. The function has its own timeout, because pgxpool has no timeout for it.
func prepareSession(further string) func(context.Context, *pgx.Conn) error {
	return func(ctx context.Context, conn *pgx.Conn) error {
		ctx, cancel := context.WithTimeout(ctx, connectTimeout)
		defer cancel()
		_, err := conn.Exec(ctx, session+further, pgx.QueryExecModeSimpleProtocol)
		return err
	}
}

// acquirePatience returns how long a call waits for a connection: long enough to try the next host if
// one does not answer, but short enough to report that the database can't be reached.
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
