package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// servingResult compares the server with nginx for one kind of request.
type servingResult struct {
	kind           string
	keys           int
	connections    int
	size           int64 // of the body, 0 for 304
	burnkey, nginx loadResult
}

const (
	smallSet        = 10
	notModifiedKind = "304"
	servingRounds   = 3
)

// jwks measures a JWKS served by Burnkey against a file with the same bytes served by nginx.
func (b *bench) jwks(ctx context.Context) error {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		return b.without(errors.New("no nginx, so serving was not compared (as root on Debian, make bench installs it)"))
	}
	d, err := b.newDatabase(ctx, "serving")
	if err != nil {
		return err
	}
	for _, n := range []int{smallSet, b.o.large} {
		if err := b.grow(ctx, d, n); err != nil {
			return err
		}
		if err := b.serveBoth(ctx, d, n, nginx); err != nil {
			return fmt.Errorf("%d keys: %w", n, err)
		}
	}
	return nil
}

// origin is a server of the set.
type origin struct {
	addr, path, etag string
}

func (b *bench) serveBoth(ctx context.Context, d *database, n int, nginx string) error {
	s, err := b.serve(ctx, d)
	if err != nil {
		return err
	}
	defer s.stop()
	own := origin{addr: s.addr, path: issuerPath() + jwks.SetPath}
	body, err := own.fetch(ctx)
	if err != nil {
		return err
	}
	p, other, err := b.startNginx(ctx, nginx, body)
	if err != nil {
		return err
	}
	defer p.stop()
	if same, err := other.fetch(ctx); err != nil || !bytes.Equal(same, body) {
		return errors.Join(errors.New("nginx serves other bytes"), err)
	}
	for _, not := range []bool{false, true} {
		for _, connections := range []int{1, 8} {
			if err := b.serveTurns(ctx, own, other, n, connections, int64(len(body)), not); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) serveTurns(ctx context.Context, own, other origin, n, connections int, size int64, notModified bool) (err error) {
	r := servingResult{kind: "the set", keys: n, connections: connections, size: size}
	if notModified {
		r.kind, r.size = notModifiedKind, 0
	}
	b.say.step("%d keys: %s over %d connections, in turns", n, r.kind, connections)
	for range servingRounds {
		for _, turn := range []struct {
			o  origin
			to *loadResult
		}{{own, &r.burnkey}, {other, &r.nginx}} {
			result, err := turn.o.load(connections, b.o.serving, notModified).run(ctx)
			if err != nil {
				return err
			}
			if result.bytes != int64(len(result.latencies))*r.size {
				return fmt.Errorf("%s served %d bytes in %d answers of %d", turn.o.addr, result.bytes, len(result.latencies), r.size)
			}
			*turn.to = turn.to.add(result)
		}
	}
	b.results.jwks = append(b.results.jwks, r)
	return nil
}

func (o origin) load(connections int, during time.Duration, notModified bool) load {
	l := load{addr: o.addr, connections: connections, duration: during, want: 200, requests: [][]byte{get(o.addr, o.path)}}
	if notModified {
		l.want, l.requests = 304, [][]byte{get(o.addr, o.path, "If-None-Match: "+o.etag)}
	}
	return l
}

// fetch returns the body of the answer, and records its ETag.
func (o *origin) fetch(ctx context.Context) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+o.addr+o.path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept-Encoding", "identity")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", o.addr, response.Status)
	}
	o.etag = response.Header.Get("Etag")
	return io.ReadAll(response.Body)
}

// nginxConfig serves one file from the page cache, as fast as nginx can.
const nginxConfig = `daemon off;
pid %[1]s/nginx.pid;
error_log %[1]s/nginx-error.log warn;
worker_processes auto;
%[3]sevents { worker_connections 256; }
http {
	access_log off;
	sendfile on;
	tcp_nopush on;
	open_file_cache max=16 inactive=1h;
	open_file_cache_valid 1h;
	keepalive_timeout 1h;
	keepalive_requests 1000000000;
	default_type application/jwk-set+json;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	server { listen %[2]s; root %[1]s/files; }
}
`

// startNginx runs nginx as the current user. It serves a file that contains the body.
func (b *bench) startNginx(ctx context.Context, nginx string, body []byte) (p *process, o origin, err error) {
	dir, err := os.MkdirTemp(b.dir, "nginx-")
	if err != nil {
		return nil, o, err
	}
	if o.addr, err = freeAddr(); err != nil {
		return nil, o, err
	}
	o.path = "/jwks.json"
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;\n" // else its workers change to a user that may not read this folder
	}
	config := fmt.Appendf(nil, nginxConfig, dir, o.addr, user)
	err = errors.Join(
		os.Mkdir(filepath.Join(dir, "files"), 0o700),
		os.WriteFile(filepath.Join(dir, "files", "jwks.json"), body, 0o600),
		os.WriteFile(filepath.Join(dir, "nginx.conf"), config, 0o600),
	)
	if err != nil {
		return nil, o, err
	}
	p, err = startProcess(b.dir, "nginx", nginx, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"),
		"-e", filepath.Join(dir, "nginx-error.log"))
	if err != nil {
		return nil, o, err
	}
	err = p.until(ctx, time.Minute, "it served", func() bool { return answers(o.addr, get(o.addr, o.path), 200) })
	if err != nil {
		p.stop()
	}
	return p, o, err
}
