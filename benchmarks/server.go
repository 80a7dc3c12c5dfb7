package main

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/burnkey/burnkey/client"
	"github.com/burnkey/burnkey/jwks"
)

const (
	workspace = "bench"
	// coldLimit limits a start, which may have to read a million keys.
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

// startServer runs a server on the database, with its address as the public URL, and returns once it is ready.
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
