package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
)

// readyLimit limits the time until a side admits its first token.
const readyLimit = 10 * time.Minute

// side is one way to protect the API: stock Envoy, or Envoy with a gateway.
type side struct {
	name      string
	addr      string // where clients connect
	processes []*process
	ready     time.Duration // from its start to the first token admitted
}

const (
	stock   = "Envoy jwt_authn"
	gateway = "Envoy + burnkey gateway"

	// Names of their processes.
	stockProcess   = "stock-envoy"
	guardProcess   = "gateway-envoy"
	gatewayProcess = "gateway"
)

func (s *side) stop() {
	if s == nil {
		return
	}
	for _, p := range s.processes {
		p.stop()
	}
}

// envoyConfig writes the Envoy configuration that `burnkey` generates, and returns its file and Envoy's
// address.
func (b *bench) envoyConfig(name string, flags ...string) (file, addr string, err error) {
	if addr, err = freeAddr(); err != nil {
		return "", "", err
	}
	args := append([]string{
		"envoy", "config", "--listen", addr, "--upstream", b.upstream.Addr().String(),
	}, flags...)
	cmd := exec.Command(b.o.burnkey, args...)
	cmd.Env = environment()
	text, err := cmd.Output()
	if err != nil {
		return "", "", fmt.Errorf("burnkey %s: %w", strings.Join(args, " "), withStderr(err))
	}
	if b.o.quick { // it checks answers, not times: a busy machine may be late
		text = []byte(envoytest.Patient(string(text)))
	}
	file = filepath.Join(b.dir, name+".yaml")
	return file, addr, os.WriteFile(file, text, 0o600)
}

func withStderr(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	return err
}

// startEnvoy runs Envoy with one worker, as on small machines. The published figures use one worker, too.
func (b *bench) startEnvoy(name, config string) (*process, error) {
	return startProcess(b.dir, name, b.o.envoy, "-c", config,
		"--disable-hot-restart", "--concurrency", "1", "--log-level", "warn")
}

// startStock runs an Envoy that fetches the JWKS at an interval, and returns once it admits the token.
func (b *bench) startStock(ctx context.Context, cache time.Duration, token string) (*side, error) {
	config, addr, err := b.envoyConfig("stock", "--mode", "pull",
		"--server", "http://"+b.addr, "--workspace", workspace, "--any-audience", "--cache", cache.String())
	if err != nil {
		return nil, err
	}
	began := time.Now()
	p, err := b.startEnvoy(stockProcess, config)
	if err != nil {
		return nil, err
	}
	s := &side{name: stock, addr: addr, processes: []*process{p}}
	return s, s.await(ctx, p, began, token)
}

// await returns once the side admits the token. If the token is not admitted in time, await stops the side.
func (s *side) await(ctx context.Context, p *process, began time.Time, token string) error {
	err := p.until(ctx, readyLimit, "it admitted a good token", func() bool {
		return answers(s.addr, withToken(s.addr, token), 200)
	})
	s.ready = time.Since(began)
	if err != nil {
		s.stop()
	}
	return err
}

// startUpstream starts the API behind Envoy. It answers each request with the same few bytes, and parses
// requests only to find where they end. It closes a connection only after Envoy has.
func startUpstream() (net.Listener, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go answer(c)
		}
	}()
	return listener, nil
}

func answer(c net.Conn) {
	defer func() { _ = c.Close() }()
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n")
	r := bufio.NewReaderSize(c, 32<<10)
	for {
		line, err := r.ReadSlice('\n')
		if err == nil && len(line) <= 2 {
			_, err = c.Write(answer)
		}
		if err != nil {
			return
		}
	}
}
