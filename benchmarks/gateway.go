package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// errNoGateway says that the program under test cannot do what is to be measured.
var errNoGateway = errors.New("this burnkey has no gateway command")

// hasGateway asks the program itself.
func (b *bench) hasGateway() error {
	cmd := exec.Command(b.o.burnkey, "gateway", "--help")
	cmd.Env = environment()
	if cmd.Run() != nil {
		return errNoGateway
	}
	return nil
}

// lookForGateway notes that the program has no gateway; where CI is "true", so that
// a run which shows nothing cannot pass there, that is a failure.
func (b *bench) lookForGateway() error {
	err := b.hasGateway()
	if err == nil || os.Getenv("CI") == "true" {
		return err
	}
	b.o.noGateway = true
	b.results.notes = append(b.results.notes, err.Error()+": nothing was measured of it")
	b.say.step("%v: the other side is measured alone", err)
	return nil
}

// guarded is an Envoy that asks a burnkey gateway. It outlives the gateway's
// restarts.
type guarded struct {
	*side
	envoy   *process
	listen  string // where the gateway does
	metrics string
	state   string
}

// startGuarded runs Envoy and, with an empty state folder, the gateway; ready is
// measured from the gateway's start.
func (b *bench) startGuarded(ctx context.Context, token string) (_ *guarded, err error) {
	g := &guarded{side: &side{name: gateway}, state: filepath.Join(b.dir, "state")}
	if err := os.RemoveAll(g.state); err != nil { // of the rung before
		return nil, err
	}
	if g.listen, err = freeAddr(); err != nil {
		return nil, err
	}
	if g.metrics, err = freeAddr(); err != nil {
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

// startGateway runs the gateway, from its snapshot if there is one.
func (b *bench) startGateway(ctx context.Context, g *guarded, token string) error {
	began := time.Now()
	p, err := startProcess(b.dir, gatewayProcess, b.o.burnkey, "gateway", "--server", "http://"+b.addr, "--workspace", workspace,
		"--any-audience",
		"--listen", g.listen, "--state-dir", g.state, "--metrics-listen", g.metrics)
	if err != nil {
		return err
	}
	g.processes = []*process{g.envoy, p}
	return g.await(ctx, p, began, token)
}

// restart stops the gateway, starts it again from its snapshot and returns the time
// until a token was admitted.
func (b *bench) restartGateway(ctx context.Context, g *guarded, token string) (time.Duration, error) {
	g.processes[1].stop()
	cold := g.ready
	err := b.startGateway(ctx, g, token)
	warm := g.ready
	g.ready = cold
	return warm, err
}
