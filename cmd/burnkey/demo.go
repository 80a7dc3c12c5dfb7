package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/client"
)

func demoCommand() *cobra.Command {
	d := demo{cache: 2 * time.Second}
	var once bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Try it: a server, an API behind Envoy, and the life of a key",
		Long: "Start a server with its own database, an API, and an Envoy in front of the API. Issue a key, show that it is\n" +
			"accepted, revoke it, and show that it is refused. Everything then keeps running until Ctrl-C. With --mode gateway,\n" +
			"Envoy asks burnkey gateway, which follows the changes of the keys.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if d.mode != "pull" && d.mode != "gateway" {
				return errors.New("--mode: must be pull or gateway")
			}
			d.out = cmd.OutOrStdout()
			return d.run(cmd.Context(), once)
		},
	}
	cmd.Flags().StringVar(&d.envoy, "envoy", "", "`PATH` of Envoy 1.40 (default: envoy on the PATH)")
	cmd.Flags().StringVar(&d.mode, "mode", "pull",
		"pull: Envoy fetches the keys and verifies tokens itself; gateway: it asks burnkey gateway")
	intervalFlag(cmd.Flags(), &d.cache, "cache", d.cache, "how often Envoy fetches the keys, in whole seconds, with --mode pull")
	choices(cmd, "mode", "pull", "gateway")
	cmd.Flags().BoolVar(&once, "once", false, "exit after the last step, with status 0 if all steps worked")
	return cmd
}

// demo is one demonstration.
type demo struct {
	out   io.Writer
	envoy string
	mode  string // pull or gateway
	cache time.Duration
	start func(name string, f func(context.Context) error) // runs a part; the demonstration fails if a part ends

	dir     string
	server  string // base URLs
	gateway string
	keyFile string
	client  *client.Client
	key     *client.IssuedKey
}

const (
	demoWorkspace = "acme"
	demoAudience  = "acme-company"
	demoOwner     = "cust_1"
	demoPatience  = time.Minute
	demoTick      = 2 * time.Millisecond // in mode gateway, a change takes effect within milliseconds
)

// run shows all steps, then waits. Everything that run starts also ends when run returns.
func (d *demo) run(ctx context.Context, once bool) (err error) {
	if d.envoy, err = exec.LookPath(cmp.Or(d.envoy, "envoy")); err != nil {
		return errors.New("no Envoy found: install one by `make envoy`, or name one with --envoy")
	}
	if d.dir, err = os.MkdirTemp("", "burnkey-demo-"); err != nil {
		return err
	}
	defer os.RemoveAll(d.dir)
	background, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	var parts sync.WaitGroup
	defer parts.Wait()
	defer cancel(nil)
	d.start = func(name string, f func(context.Context) error) {
		parts.Go(func() {
			if err := f(background); background.Err() == nil {
				cancel(fmt.Errorf("%s stopped: %w", name, err))
			}
		})
	}
	// The steps end if a part fails or the user presses Ctrl-C.
	steps, stop := context.WithCancelCause(background)
	defer stop(nil)
	context.AfterFunc(ctx, func() { stop(context.Canceled) })
	err = d.steps(steps)
	if err == nil && !once {
		d.invite()
		<-steps.Done()
	}
	if steps.Err() != nil {
		err = context.Cause(steps)
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		fmt.Fprintln(d.out, "\nGood-bye.")
		return nil
	}
	return err
}

func (d *demo) steps(ctx context.Context) error {
	for _, step := range []func(context.Context) error{d.startServer, d.startAPI, d.lifeOfAKey} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) lifeOfAKey(ctx context.Context) error {
	began := time.Now()
	if err := d.issue(ctx); err != nil {
		return err
	}
	d.say("issue", "key %s for %s, issued in %s; its private key is already destroyed", d.key.ID, demoOwner, since(began))

	answered := time.Now()
	body, err := d.until(ctx, http.StatusOK, d.gateway+"/hello", d.key.Token.Reveal())
	if err != nil {
		return err
	}
	d.say("accepted", "GET %s/hello with the token: 200 after %s: %s", d.gateway, since(answered), body)

	revoked := time.Now()
	if _, err := d.client.RevokeKey(ctx, demoWorkspace, d.key.ID); err != nil {
		return err
	}
	d.say("revoke", "answered in %s; the JWK is gone from the published set", since(revoked))
	if body, err = d.until(ctx, http.StatusUnauthorized, d.gateway+"/hello", d.key.Token.Reveal()); err != nil {
		return err
	}
	d.say("refused", "the same request: 401, %s after the revocation was sent: %s", since(revoked), body)
	return nil
}

func (d *demo) issue(ctx context.Context) (err error) {
	in := client.NewKey{Owner: demoOwner, Name: "demo", Scopes: []string{"maps:read"}}
	d.key, err = d.client.IssueKey(ctx, demoWorkspace, in, "")
	return err
}

// until requests a URL until the answer has the status, and returns the first line of the body.
func (d *demo) until(ctx context.Context, status int, url, token string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	tick := time.NewTicker(demoTick)
	defer tick.Stop()
	last := "it did not answer"
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return "", err
		}
		request.Header.Set("Authorization", "Bearer "+token)
		if response, err := http.DefaultClient.Do(request); err == nil {
			text, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10))
			response.Body.Close()
			if response.StatusCode == status {
				line, _, _ := strings.Cut(string(text), "\n")
				return line, nil
			}
			last = "it answered " + response.Status
		}
		select {
		case <-ctx.Done():
			if cause := context.Cause(ctx); !errors.Is(cause, context.DeadlineExceeded) {
				return "", cause
			}
			return "", fmt.Errorf("%s should have answered %d within %s, but %s", url, status, demoPatience, last)
		case <-tick.C:
		}
	}
}

func (d *demo) say(what, format string, args ...any) {
	fmt.Fprintf(d.out, "%-10s %s\n", what, fmt.Sprintf(format, args...))
}

func since(t time.Time) time.Duration { return time.Since(t).Round(time.Millisecond) }
