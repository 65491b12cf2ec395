package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/eventpro/boxoffice/internal/verify"
)

// drainCommand waits until a system whose front door is closed has done all that
// it will do by itself.
type drainCommand struct {
	clusterFlags `embed:""`
	Timeout      time.Duration `help:"How long to wait at most." default:"10m"`
}

// Run implements the command.
func (c *drainCommand) Run(ctx context.Context, env *environment) error {
	say := func(format string, args ...any) { fmt.Fprintf(env.stdout, format+"\n", args...) }
	return drain(ctx, env, c.KafkaBrokers, c.Timeout, say)
}

const (
	drainLook = 200 * time.Millisecond // between two looks
	drainTell = 5 * time.Second        // between two lines for people
)

// drain returns when nothing is under way, or with an error that says what still
// is when the timeout is over.
func drain(ctx context.Context, env *environment, brokers []string, timeout time.Duration, say func(format string, args ...any)) error {
	watch, err := verify.NewWatch(verify.Options{Brokers: brokers, Logger: env.log})
	if err != nil {
		return err
	}
	defer watch.Close()
	started, told := time.Now(), time.Now()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	tick := time.NewTicker(drainLook)
	defer tick.Stop()
	for {
		left, err := watch.Look(ctx)
		if err != nil {
			return fmt.Errorf("drain: %w", err)
		}
		if left.Nothing() {
			say("drained after %s, left: %s", time.Since(started).Round(10*time.Millisecond), left)
			return nil
		}
		if time.Since(told) >= drainTell {
			told = time.Now()
			say("draining, left: %s", left)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("drain: given up, left: %s", left)
		case <-timer.C:
			return fmt.Errorf("drain: not done after %v, left: %s", timeout, left)
		case <-tick.C:
		}
	}
}

// drain closes the front door and waits until nothing is under way. A second
// signal ends the waiting.
func (s *system) drain(ctx context.Context, timeout time.Duration) error {
	ctx, stop := signal.NotifyContext(context.WithoutCancel(ctx), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s.options.say("closing the front door, then waiting up to %v until nothing is under way; once more Ctrl-C stops at once", timeout)
	if err := s.supervisor.End("ingest"); err != nil {
		return err
	}
	return drain(ctx, s.env, s.brokers, timeout, s.options.say)
}
