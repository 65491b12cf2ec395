package main

import (
	"context"
	"runtime/pprof"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/eventpro/boxoffice/internal/embedded/supervise"
)

// part is something that works inside this process until its context ends.
type part struct {
	name  string
	run   func(context.Context) error
	ready func() bool
}

// service makes a part supervisable. The profile label lets the CPU time of a
// role be told apart where roles share a process.
func (p part) service() supervise.Service {
	return supervise.Service{Name: p.name, Grace: time.Minute, Run: func(ctx context.Context, ready func(bool)) (err error) {
		pprof.Do(ctx, pprof.Labels("role", p.name), func(ctx context.Context) {
			watching, stop := context.WithCancel(ctx)
			defer stop()
			go p.watch(watching, ready)
			err = p.run(ctx)
		})
		return err
	}}
}

// watch tells of every change of the part's readiness.
func (p part) watch(ctx context.Context, ready func(bool)) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	was := false
	for {
		if is := p.ready(); is != was {
			was = is
			ready(is)
			if is {
				tick.Reset(250 * time.Millisecond)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// startAll starts parts side by side and returns when all of them are ready.
func startAll(ctx context.Context, supervisor *supervise.Supervisor, parts []part) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, p := range parts {
		group.Go(func() error { return supervisor.Start(ctx, p.service()) })
	}
	return group.Wait()
}
