package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/client"
	"github.com/burnkey/burnkey/deploy/envoy"
)

func (d *demo) startServer(ctx context.Context) error {
	log, err := os.Create(filepath.Join(d.dir, "server.log"))
	if err != nil {
		return err
	}
	s := demoServer(d.dir, log)
	up := make(chan string, 1)
	d.start("the server", func(ctx context.Context) error {
		return errors.Join(s.run(ctx, func(addr string) { up <- addr }), log.Close())
	})
	select {
	case addr := <-up:
		d.server = "http://" + addr
	case <-ctx.Done():
		return ctx.Err()
	}
	d.keyFile = s.adminKeyFile
	if d.client, err = (&remote{server: d.server, keyFile: d.keyFile}).connect(); err != nil {
		return err
	}
	d.say("server", "%s, its database in %s", d.server, d.dir)
	w := client.NewWorkspace{ID: demoWorkspace, Name: "Acme", Audiences: []string{demoAudience}}
	if _, err := d.client.CreateWorkspace(ctx, w); err != nil {
		return err
	}
	d.say("workspace", "%s, its keys at %s", demoWorkspace, envoy.Config{Server: d.server}.JWKS(demoWorkspace))
	return nil
}

// demoServer returns a server with serve's default flags, except that it stores everything in dir.
func demoServer(dir string, log io.Writer) (s server) {
	s.flags(new(cobra.Command))
	s.listen, s.database = freeAddress("127.0.0.1:8080"), "sqlite:"+filepath.Join(dir, "burnkey.db")
	s.adminKeyFile, s.drainTimeout = filepath.Join(dir, "admin.key"), time.Second
	s.stdout, s.stderr = log, log
	return s
}

// startAPI starts an API, behind Envoy, that greets the owner of the key.
func (d *demo) startAPI(ctx context.Context) error {
	listener, err := net.Listen("tcp", freeAddress("127.0.0.1:9000"))
	if err != nil {
		return err
	}
	d.start("the API", func(ctx context.Context) error {
		h := &http.Server{ReadHeaderTimeout: readHeaderTimeout, Handler: http.HandlerFunc(greet)}
		context.AfterFunc(ctx, func() { _ = h.Close() })
		return h.Serve(listener)
	})
	gateway, admin := freeAddress("127.0.0.1:10000"), freeAddress("127.0.0.1:10001")
	config := envoy.Config{Listen: gateway, Upstream: listener.Addr().String(), Admin: admin}
	how := fmt.Sprintf("which fetches the keys every %s", d.cache)
	if d.mode == "gateway" {
		if config.Gateways, err = d.startGateway(ctx); err != nil {
			return err
		}
		how = "which asks burnkey gateway"
	} else {
		config.Server, config.Workspaces = d.server, []string{demoWorkspace}
		config.Audiences, config.Cache = []string{demoAudience}, d.cache
	}
	if err := d.startEnvoy(config); err != nil {
		return err
	}
	d.gateway = "http://" + gateway
	if _, err := d.until(ctx, http.StatusOK, "http://"+admin+"/ready", ""); err != nil {
		return err
	}
	d.say("API", "http://%s, behind Envoy at %s, %s", listener.Addr(), d.gateway, how)
	return d.offer(ctx)
}

// startGateway starts burnkey gateway for the workspace, and returns its address once it has the keys.
func (d *demo) startGateway(ctx context.Context) ([]string, error) {
	log, err := os.Create(filepath.Join(d.dir, "gateway.log"))
	if err != nil {
		return nil, err
	}
	s := demoGateway(d.server, log)
	d.start("burnkey gateway", func(ctx context.Context) error { return errors.Join(s.run(ctx), log.Close()) })
	if _, err := d.until(ctx, http.StatusOK, "http://"+s.metricsListen+"/readyz", ""); err != nil {
		return nil, err
	}
	d.say("gateway", "%s, which follows the changes of the keys", s.listen)
	return []string{s.listen}, nil
}

// demoGateway returns a gateway service with its default flags, for the demo's workspace.
func demoGateway(server string, log io.Writer) (s gatewayService) {
	s.define(new(cobra.Command))
	s.server, s.o.Workspaces, s.o.Audience = server, []string{demoWorkspace}, []string{demoAudience}
	s.listen, s.metricsListen = freeAddress("127.0.0.1:9002"), freeAddress("127.0.0.1:9003")
	s.drainTimeout, s.stderr = time.Second, log
	return s
}

// offer configures what customers see on their page.
func (d *demo) offer(ctx context.Context) error {
	_, err := d.client.UpdateWorkspace(ctx, demoWorkspace, client.Patch{
		"policy": client.Patch{"scopes": []client.OfferedScope{
			{Name: "maps:read", Description: "Look at maps"}, {Name: "maps:write", Description: "Change maps"},
		}},
		"portal": client.Patch{"display_name": "Acme Maps", "base_url": d.gateway + "/hello", "accent": "#0a7b3c"},
	})
	return err
}

func greet(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "Hello %s, this is the API.\n", r.Header.Get("X-Burnkey-Owner"))
}

func (d *demo) startEnvoy(config envoy.Config) error {
	path := filepath.Join(d.dir, "envoy.yaml")
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := errors.Join(envoy.Bootstrap(file, config), file.Close()); err != nil {
		return err
	}
	d.start("Envoy", func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, d.envoy, "-c", path, "--disable-hot-restart", "--concurrency", "1",
			"--log-level", "error", "--log-path", filepath.Join(d.dir, "envoy.log"))
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for this process only
		return cmd.Run()
	})
	return nil
}

// freeAddress returns the preferred address if its port is free, otherwise an address with another port.
func freeAddress(preferred string) string {
	for _, addr := range []string{preferred, "127.0.0.1:0"} {
		listener, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		defer listener.Close()
		return listener.Addr().String()
	}
	return preferred
}
