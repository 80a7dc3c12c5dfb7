package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/burnkey/burnkey/client"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/sqlite"
)

const (
	workspace = "bench"
	// coldLimit limits the time for a start, in which the server may have to read a million keys.
	coldLimit = 10 * time.Minute
)

// server is a process of burnkey serve.
type server struct {
	*process
	addr   string
	admin  string // a management key
	client *client.Client
	ready  time.Duration // from start to ready
	copied string        // folder of the database, to be removed with the server
}

func issuerPath() string { return jwks.IssuerPath + workspace }

// startServer runs a server on the database and returns once it is ready. The server's public URL is its
// address.
func startServer(ctx context.Context, dir, program, addr, database string, flags ...string) (*server, error) {
	keyFile := filepath.Join(filepath.Dir(database), "admin.key")
	began := time.Now()
	p, err := startProcess(dir, "server", program, append([]string{
		"serve", "--listen", addr, "--public-url", "http://" + addr,
		"--database", "sqlite:" + database, "--admin-key-file", keyFile, "--log-level", "warn",
	}, flags...)...)
	if err != nil {
		return nil, err
	}
	s := &server{process: p, addr: addr}
	err = p.until(ctx, coldLimit, "it was ready", func() bool { return answers(addr, get(addr, "/readyz"), 200) })
	s.ready = time.Since(began)
	if err == nil {
		s.admin, err = readKey(keyFile)
	}
	if err == nil {
		s.client, err = client.New(client.Options{
			Server: "http://" + addr, Key: func() (string, error) { return s.admin, nil }, HTTP: &http.Client{Timeout: answerTimeout},
		})
	}
	if err != nil {
		p.stop()
		return nil, err
	}
	return s, nil
}

func (s *server) stop() {
	s.process.stop()
	if s.copied != "" {
		_ = os.RemoveAll(s.copied)
	}
}

func readKey(file string) (string, error) {
	text, err := os.ReadFile(file)
	return strings.TrimSpace(string(text)), err
}

// answers reports whether one request on a new connection gets the status.
func answers(addr string, request []byte, want int) bool {
	c, err := dial(addr)
	if err != nil {
		return false
	}
	defer c.hangUp()
	status, _, err := c.do(request)
	return err == nil && status == want
}

func (s *server) createWorkspace(ctx context.Context) error {
	_, err := s.client.CreateWorkspace(ctx, client.NewWorkspace{ID: workspace, Name: "Benchmark", Audiences: []string{audience}})
	return err
}

const keysPath = "/v1/workspaces/" + workspace + "/keys"

func (s *server) issue(ctx context.Context, owner string) (*client.IssuedKey, error) {
	hour := int64(3600)
	return s.client.IssueKey(ctx, workspace, client.NewKey{Owner: owner, Scopes: []string{scope}, ExpiresIn: &hour}, "")
}

func (s *server) revoke(ctx context.Context, id string) error {
	_, err := s.client.RevokeKey(ctx, workspace, id)
	return err
}

// fillers is the number of keys issued concurrently. A store can combine several issues in one commit.
const fillers = 8

// fill issues the ring's keys from number `from` up to, but not including, `to`. It calls the store directly,
// as a server would, and no server can have the database open.
func (r *keyring) fill(ctx context.Context, path, workspace string, from, to int, report func(done, of int)) (err error) {
	st, err := sqlite.Open(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	var mu sync.Mutex
	done := 0
	return parallelBy(fillers, to-from, func(i int) error {
		_, err := st.Issue(ctx, r.record(workspace, from+i), r.public(from+i), nil)
		mu.Lock()
		defer mu.Unlock()
		done++
		report(done, to-from)
		return err
	})
}

// record returns the record that a server would store for key i.
func (r *keyring) record(workspace string, i int) store.Key {
	return store.Key{
		Workspace: workspace, ID: r.id(i), Owner: owner(i), Name: fmt.Sprint("load ", i),
		Scopes: []string{scope}, Audience: []string{audience},
		CreatedAt: r.now, UpdatedAt: r.now, ExpiresAt: r.now.Add(tokenLife),
	}
}
