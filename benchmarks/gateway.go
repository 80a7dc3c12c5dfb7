package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

var errNoGateway = errors.New("this burnkey has no gateway command: only stock Envoy is measured")

// lookForGateway makes a note if the program under test has no gateway command; older versions lack it.
func (b *bench) lookForGateway() error {
	cmd := exec.Command(b.o.burnkey, "gateway", "--help")
	cmd.Env = environment()
	if cmd.Run() == nil {
		return nil
	}
	b.o.noGateway = os.Getenv("CI") != "true"
	return b.without(errNoGateway)
}

// without makes a note that a measurement is not possible. With CI=true it returns the error instead, so that
// CI cannot pass without the measurement.
func (b *bench) without(err error) error {
	if os.Getenv("CI") == "true" {
		return err
	}
	b.results.notes = append(b.results.notes, err.Error())
	b.say.step("%v", err)
	return nil
}

// guarded is an Envoy that asks a Burnkey gateway. Envoy keeps running when the gateway restarts.
type guarded struct {
	*side
	envoy  *process
	listen string // address of the gateway
	state  string
}

// startGuarded runs Envoy, and the gateway with an empty state directory.
func (b *bench) startGuarded(ctx context.Context, token string) (_ *guarded, err error) {
	g := &guarded{side: &side{name: gateway}, state: filepath.Join(b.dir, "state")}
	if err := os.RemoveAll(g.state); err != nil {
		return nil, err
	}
	if g.listen, err = freeAddr(); err != nil {
		return nil, err
	}
	config, addr, err := b.envoyConfig("gateway", "--mode", "gateway", "--gateway", g.listen)
	if err != nil {
		return nil, err
	}
	g.addr = addr
	if g.envoy, err = b.startEnvoy(guardProcess, config); err != nil {
		return nil, err
	}
	g.processes = []*process{g.envoy}
	if err := b.startGateway(ctx, g, token); err != nil {
		g.stop()
		return nil, err
	}
	return g, nil
}

// startGateway runs the gateway. If there is a snapshot, the gateway starts from it.
func (b *bench) startGateway(ctx context.Context, g *guarded, token string) error {
	began := time.Now()
	p, err := startProcess(b.dir, gatewayProcess, b.o.burnkey, "gateway", "--server", "http://"+b.addr, "--workspace", workspace,
		"--any-audience", "--listen", g.listen, "--state-dir", g.state)
	if err != nil {
		return err
	}
	g.processes = []*process{g.envoy, p}
	return g.await(ctx, p, began, token)
}

// restartGateway stops the gateway, starts it from its snapshot and returns the time until a token is admitted.
func (b *bench) restartGateway(ctx context.Context, g *guarded, token string) (time.Duration, error) {
	g.processes[1].stop()
	cold := g.ready
	err := b.startGateway(ctx, g, token)
	warm := g.ready
	g.ready = cold
	return warm, err
}
