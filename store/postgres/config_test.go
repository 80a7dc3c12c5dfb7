package postgres

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/store/postgres/pgtest"
)

func setting(t *testing.T, s *Store, name string) (value string) {
	t.Helper()
	if err := s.pool.QueryRow(t.Context(), `SELECT current_setting($1)`, name).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestSettingsAreInForce(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Schema(t)
	s := openTest(t, url)
	for name, want := range map[string]string{
		"statement_timeout": "15s", "lock_timeout": "10s", "idle_in_transaction_session_timeout": "30s",
		"application_name": "burnkey", "client_encoding": "UTF8", "synchronous_commit": "on",
		"transaction_read_only": "off", "transaction_isolation": "read committed",
	} {
		if got := setting(t, s, name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if s.pool.Config().MaxConns != 10 {
		t.Errorf("%d connections", s.pool.Config().MaxConns)
	}
	s = openTest(t, with(t, url, "statement_timeout", "3s", "application_name", "mine", "pool_max_conns", "3",
		"options", "-c lock_timeout=4s", "connect_timeout", "7"))
	for name, want := range map[string]string{
		"statement_timeout": "3s", "lock_timeout": "4s", "application_name": "mine",
		"idle_in_transaction_session_timeout": "30s",
	} {
		if got := setting(t, s, name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if c := s.pool.Config(); c.MaxConns != 3 || c.ConnConfig.ConnectTimeout != 7*time.Second {
		t.Errorf("%d connections, %v", c.MaxConns, c.ConnConfig.ConnectTimeout)
	}
}

// TestNothingAtTheStartThatAPoolerRefuses: PgBouncer refuses a connection whose startup message has an unknown
// parameter, and it knows few parameters.
func TestNothingAtTheStartThatAPoolerRefuses(t *testing.T) {
	config, err := parse("postgres://u@h/db")
	if err != nil {
		t.Fatal(err)
	}
	for name := range config.ConnConfig.RuntimeParams {
		if name != "application_name" && name != "client_encoding" {
			t.Errorf("%s is sent", name)
		}
	}
}

// TestNoDefaultOfTheRoleWeakensACommit: defaults that an administrator set for other programs of the same role
// must not apply to this one.
func TestNoDefaultOfTheRoleWeakensACommit(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Database(t)
	for given, want := range map[string]string{
		"off": "on", "local": "on", "remote_write": "on", "on": "on", "remote_apply": "remote_apply",
	} {
		name := url[strings.LastIndex(url, "/")+1:]
		server.Exec(t, url, `ALTER DATABASE `+name+` SET synchronous_commit = `+given)
		server.Exec(t, url, `ALTER DATABASE `+name+` SET default_transaction_isolation = 'serializable'`)
		server.Exec(t, url, `ALTER DATABASE `+name+` SET client_min_messages = 'error'`)
		for _, s := range []*Store{openTest(t, url), openTest(t, with(t, url, "synchronous_commit", given))} {
			if got := setting(t, s, "synchronous_commit"); got != want {
				t.Errorf("of %s becomes %s, want %s", given, got, want)
			}
			if got := setting(t, s, "transaction_isolation"); got != "read committed" {
				t.Errorf("isolation is %s", got)
			}
			if got := setting(t, s, "client_min_messages"); got != "warning" {
				t.Errorf("client_min_messages is %s", got)
			}
		}
	}
}

func TestAStandbyIsNotUsed(t *testing.T) {
	server, standby := pgtest.Shared(t), pgtest.Start(t, map[string]string{"default_transaction_read_only": "on"})
	url := server.Database(t)
	server.Exec(t, standby.URL("postgres")+"?default_transaction_read_only=off", "CREATE DATABASE "+url[strings.LastIndex(url, "/")+1:])
	both := strings.Replace(url, server.Addr(), standby.Addr()+","+server.Addr(), 1)
	for _, url := range []string{both, both + "?target_session_attrs=any"} {
		s := openTest(t, url)
		create(t, s, "acme"+url[len(both):])
		var port int
		if err := s.pool.QueryRow(t.Context(), `SELECT inet_server_port()`).Scan(&port); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(server.Addr(), ":"+strconv.Itoa(port)) {
			t.Errorf("connected to port %d, not to %s", port, server.Addr())
		}
	}
}
