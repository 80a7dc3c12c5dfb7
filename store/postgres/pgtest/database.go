package pgtest

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Addr returns the server's address as host:port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Password returns the password of the superuser in URL.
func (s *Server) Password() string { return password }

// URL returns the URL of a database for the server's superuser.
func (s *Server) URL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(superuser, password), Host: s.Addr(), Path: "/" + database}
	return u.String()
}

// Database creates an empty database and returns its URL. When the test ends, the database is dropped, even if
// it is in use.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	return s.create(t, "DATABASE", "WITH (FORCE)", s.URL)
}

// Schema creates an empty schema in a shared database and returns a URL with it as search_path. It takes a
// tenth of the time of Database.
func (s *Server) Schema(t testing.TB) string {
	t.Helper()
	return s.create(t, "SCHEMA", "CASCADE", func(name string) string {
		return s.URL("postgres") + "?search_path=" + name
	})
}

var created atomic.Int64

func (s *Server) create(t testing.TB, kind, drop string, url func(name string) string) string {
	t.Helper()
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), created.Add(1))
	s.Exec(t, s.URL("postgres"), "CREATE "+kind+" "+name)
	t.Cleanup(func() {
		if s.running != nil {
			s.Exec(t, s.URL("postgres"), "DROP "+kind+" IF EXISTS "+name+" "+drop)
		}
	})
	return url(name)
}

// Exec runs SQL on a new connection. With arguments, it must be one statement.
func (s *Server) Exec(t testing.TB, url, query string, args ...any) {
	t.Helper()
	s.connect(t, url, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, query, args...)
		return err
	})
}

// Query returns the first column of each row as text.
func (s *Server) Query(t testing.TB, url, query string, args ...any) (column []string) {
	t.Helper()
	s.connect(t, url, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		column, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
			values, err := row.Values()
			if err != nil {
				return "", err
			}
			return fmt.Sprint(values[0]), nil
		})
		return err
	})
	return column
}

func (s *Server) connect(t testing.TB, url string, do func(context.Context, *pgx.Conn) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), queryTimeout) // not t's, which has ended when a cleanup runs
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }() // nothing depends on it
	if err := do(ctx, conn); err != nil {
		t.Fatal(err)
	}
}
