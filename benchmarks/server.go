package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

const (
	workspace = "bench"
	// coldLimit bounds a start that has to read a million keys.
	coldLimit = 10 * time.Minute
)

// server is burnkey serve on one database.
type server struct {
	*process
	addr    string
	admin   string // a management key
	client  *http.Client
	ready   time.Duration // from start to ready
	jwksURL string
}

func issuerPath() string { return jwks.IssuerPath + workspace }

// startServer runs a server on the database, with its address as the public URL,
// and returns once it is ready.
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
	s := &server{process: p, addr: addr, client: &http.Client{Timeout: answerTimeout}}
	s.jwksURL = "http://" + addr + issuerPath() + jwks.SetPath
	err = p.until(ctx, coldLimit, "it was ready", func() bool { return answers(addr, get(addr, "/readyz"), 200) })
	s.ready = time.Since(began)
	if err == nil {
		s.admin, err = readKey(keyFile)
	}
	if err != nil {
		p.stop()
		return nil, err
	}
	return s, nil
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

// call makes a management request. An answer but the wanted one is an error.
func (s *server) call(ctx context.Context, method, path string, want int, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+s.addr+path, body)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+s.admin)
	request.Header.Set("Content-Type", "application/json")
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != want {
		_, _ = io.Copy(io.Discard, response.Body)
		return fmt.Errorf("%s %s was answered %d, not %d", method, path, response.StatusCode, want)
	}
	if out == nil {
		_, err = io.Copy(io.Discard, response.Body)
		return err
	}
	return json.NewDecoder(response.Body).Decode(out)
}

func (s *server) createWorkspace(ctx context.Context) error {
	in := map[string]any{"id": workspace, "name": "Benchmark", "audiences": []string{audience}}
	return s.call(ctx, http.MethodPost, "/v1/workspaces", http.StatusCreated, in, nil)
}

// issued is a key of the server's own making.
type issued struct {
	ID    string `json:"id"`
	Token string `json:"token"`
}

const keysPath = "/v1/workspaces/" + workspace + "/keys"

func (s *server) issue(ctx context.Context, owner string) (k issued, err error) {
	in := map[string]any{"owner": owner, "scopes": []string{scope}, "expires_in": 3600}
	err = s.call(ctx, http.MethodPost, keysPath, http.StatusCreated, in, &k)
	return k, err
}

func (s *server) revoke(ctx context.Context, id string) error {
	return s.call(ctx, http.MethodDelete, keysPath+"/"+id, http.StatusOK, nil, nil)
}
