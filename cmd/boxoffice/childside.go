package main

import (
	"context"
	"fmt"
	"os"
	"runtime/pprof"

	"github.com/eventpro/boxoffice/internal/embedded/child"
)

// childFlags make a role a child of another boxoffice process.
type childFlags struct {
	Child      bool   `help:"Run as a child: say READY on standard output, end when standard input does." hidden:""`
	CPUProfile string `help:"File that gets a CPU profile of the whole run." hidden:"" name:"cpu-profile" type:"path"`
}

// addresses is what a role tells its parent when it is ready.
type addresses map[string][]string

// attach ends the returned context with the parent, when there is one.
func (f childFlags) attach(ctx context.Context, env *environment) context.Context {
	if !f.Child {
		return ctx
	}
	return child.StopWithParent(ctx, env.stdin)
}

// announce tells the parent, when there is one, that the role is ready.
func (f childFlags) announce(env *environment, where addresses) error {
	if !f.Child {
		return nil
	}
	return child.AnnounceReady(env.stdout, where)
}

// serve announces a role that is ready as soon as it is open, and runs it.
func (f childFlags) serve(ctx context.Context, env *environment, where addresses, run func(context.Context) error) error {
	ctx = f.attach(ctx, env)
	stop, err := f.profile()
	if err != nil {
		return err
	}
	defer stop()
	if err := f.announce(env, where); err != nil {
		return err
	}
	return run(ctx)
}

// profile starts the CPU profile, where one is wanted.
func (f childFlags) profile() (stop func(), err error) {
	if f.CPUProfile == "" {
		return func() {}, nil
	}
	file, err := os.Create(f.CPUProfile)
	if err != nil {
		return nil, fmt.Errorf("--cpu-profile: %w", err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("--cpu-profile: %w", err)
	}
	return func() {
		pprof.StopCPUProfile()
		_ = file.Close()
	}, nil
}
