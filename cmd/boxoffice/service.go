package main

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/thejerf/suture/v4"
)

// service is one part that runs inside this process.
type service struct {
	name string
	// run works until its context ends; an error has it restarted with backoff.
	run   func(context.Context) error
	ready func() bool
}

// Serve implements suture.Service. The profile label lets the CPU time of a
// role be told apart where roles share a process.
func (s service) Serve(ctx context.Context) (err error) {
	pprof.Do(ctx, pprof.Labels("role", s.name), func(ctx context.Context) { err = s.run(ctx) })
	if ctx.Err() != nil {
		return suture.ErrDoNotRestart
	}
	if err == nil {
		err = fmt.Errorf("%s ended by itself", s.name)
	}
	return err
}

// String names the service in the supervisor's events.
func (s service) String() string { return s.name }

// runServices runs the services until ctx ends, restarting those that fail. It
// ends them in groups, the last group first, so that what feeds the others
// stops before what it feeds.
func runServices(ctx context.Context, log *slog.Logger, groups ...[]service) {
	var wait sync.WaitGroup
	stops := make([]context.CancelFunc, len(groups))
	dones := make([]chan struct{}, len(groups))
	for i, group := range groups {
		supervisor := suture.New(fmt.Sprintf("group-%d", i), suture.Spec{
			EventHook: func(e suture.Event) { log.Warn("a part failed and is restarted", "event", e.String()) },
			// Never give up: what is down may come back. The first restarts are
			// immediate, then one a second.
			FailureThreshold:         3,
			FailureDecay:             10,
			FailureBackoff:           time.Second,
			Timeout:                  60 * time.Second,
			DontPropagateTermination: true,
		})
		for _, s := range group {
			supervisor.Add(s)
		}
		groupCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
		stops[i], dones[i] = stop, make(chan struct{})
		wait.Add(1)
		go func() {
			defer wait.Done()
			defer close(dones[i])
			_ = supervisor.Serve(groupCtx)
		}()
	}
	<-ctx.Done()
	for i := len(groups) - 1; i >= 0; i-- {
		stops[i]()
		<-dones[i]
	}
	wait.Wait()
}

// awaitReady polls until every service is ready; it says what it waits for
// when that takes long.
func awaitReady(ctx context.Context, services []service, waitingFor func(name string)) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	started := time.Now()
	told := time.Now()
	for {
		var missing string
		for _, s := range services {
			if !s.ready() {
				missing = s.name
				break
			}
		}
		if missing == "" {
			return nil
		}
		if time.Since(told) > 5*time.Second {
			told = time.Now()
			waitingFor(fmt.Sprintf("%s (%d s)", missing, int(time.Since(started).Seconds())))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s did not become ready: %w", missing, ctx.Err())
		case <-tick.C:
		}
	}
}
