// Package supervise runs the services of one process: it starts them one after
// the other, restarts those that fail, knows which are ready, and stops them in
// the opposite order.
package supervise

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/thejerf/suture/v4"

	"github.com/eventpro/boxoffice/internal/pause"
)

// Service is something that runs until its context ends.
type Service struct {
	// Name is what logs and states call it.
	Name string
	// Run runs until ctx ends and tells ready of every change of its readiness. It
	// is called again when it returns before that, with an error or without, and
	// when it panics.
	Run func(ctx context.Context, ready func(bool)) error
	// Grace is how long it may take to stop; 30 seconds when 0.
	Grace time.Duration
}

// State is what is known of a service at one moment.
type State struct {
	Name  string
	Ready bool
	// Restarts counts the runs after the first.
	Restarts int
	// LastError says why the last run ended; empty when none has.
	LastError string
}

// Options says how a Supervisor works. Logger is required.
type Options struct {
	Logger *slog.Logger
	// BackoffMin and BackoffMax bound the pause before a restart, which doubles
	// with every failure in a row; 200 ms and 10 s when 0.
	BackoffMin, BackoffMax time.Duration
}

// Supervisor runs services. Use New.
type Supervisor struct {
	options Options
	tree    *suture.Supervisor
	endTree context.CancelFunc
	ended   <-chan error // of the tree
	fatal   chan error

	mu      sync.Mutex
	running []*runner // in the order of their start
	stopped bool
}

// New returns a Supervisor without services. Its owner calls Stop.
func New(o Options) *Supervisor {
	o.BackoffMin = cmp.Or(o.BackoffMin, 200*time.Millisecond)
	o.BackoffMax = cmp.Or(o.BackoffMax, 10*time.Second)
	s := &Supervisor{options: o, fatal: make(chan error, 1)}
	s.tree = suture.New("boxoffice", suture.Spec{
		EventHook: func(e suture.Event) { s.options.Logger.Debug("supervisor", "event", e.String()) },
		// Every service pauses on its own before it is run again: one that fails
		// often must not hold up the others.
		FailureThreshold: math.MaxFloat64,
		// Services are stopped one by one, each with its own grace.
		Timeout: time.Second,
	})
	var ctx context.Context
	ctx, s.endTree = context.WithCancel(context.Background())
	s.ended = s.tree.ServeBackground(ctx)
	return s
}

// Fatal marks an error that no restart can heal: the supervisor's Wait returns it.
func Fatal(err error) error { return &fatalError{err} }

type fatalError struct{ err error }

func (f *fatalError) Error() string { return f.err.Error() }
func (f *fatalError) Unwrap() error { return f.err }

// Start runs a service and returns when it is ready. When its first run ends
// before that, it is not tried again: Start returns the error. When ctx ends
// first, the service goes on without having been ready.
func (s *Supervisor) Start(ctx context.Context, v Service) error {
	r := &runner{
		service: v, options: s.options, fatal: s.fatal,
		state: State{Name: v.Name}, firstReady: make(chan struct{}), gaveUp: make(chan error, 1),
	}
	r.service.Grace = cmp.Or(v.Grace, 30*time.Second)
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		return fmt.Errorf("starting %s: the supervisor has stopped", v.Name)
	}
	r.token = s.tree.Add(r)
	s.running = append(s.running, r)
	s.mu.Unlock()
	select {
	case <-r.firstReady:
		return nil
	case err := <-r.gaveUp:
		return fmt.Errorf("starting %s: %w", v.Name, err)
	case <-ctx.Done():
		return fmt.Errorf("starting %s: %w", v.Name, ctx.Err())
	}
}

// Wait returns when ctx ends, or with the first error that a service marked as
// Fatal.
func (s *Supervisor) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.fatal:
		return err
	}
}

// End ends one service before the others and returns when it has ended, or with
// an error when it has used up its grace. It has no effect on a name that is not
// there.
func (s *Supervisor) End(name string) error {
	s.mu.Lock()
	i := slices.IndexFunc(s.running, func(r *runner) bool { return r.service.Name == name })
	if i < 0 || s.stopped {
		s.mu.Unlock()
		return nil
	}
	r := s.running[i]
	s.running = slices.Delete(s.running, i, i+1)
	s.mu.Unlock()
	return s.end(r)
}

func (s *Supervisor) end(r *runner) error {
	err := s.tree.RemoveAndWait(r.token, r.service.Grace)
	r.setReady(false)
	if errors.Is(err, suture.ErrTimeout) {
		return fmt.Errorf("%s did not stop within %v", r.service.Name, r.service.Grace)
	}
	return nil
}

// Stop ends all services, the last started first, each when the one before it
// has ended or has used up its grace, and returns the names of those that did not
// end.
func (s *Supervisor) Stop() error {
	s.mu.Lock()
	running := s.running
	alreadyStopped := s.stopped
	s.stopped = true
	s.mu.Unlock()
	if alreadyStopped {
		return nil
	}
	var errs []error
	for i := len(running) - 1; i >= 0; i-- {
		if err := s.end(running[i]); err != nil {
			errs = append(errs, err)
		}
	}
	s.endTree()
	if err := <-s.ended; err != nil && !errors.Is(err, context.Canceled) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// States returns what is known of all services, in the order of their start.
func (s *Supervisor) States() []State {
	s.mu.Lock()
	defer s.mu.Unlock()
	states := make([]State, len(s.running))
	for i, r := range s.running {
		states[i] = r.snapshot()
	}
	return states
}

// Ready says whether all services are ready, and which is not.
func (s *Supervisor) Ready() error {
	for _, state := range s.States() {
		if !state.Ready {
			return fmt.Errorf("%s is not ready: %s", state.Name, cmp.Or(state.LastError, "it is starting"))
		}
	}
	return nil
}

// runner is one service as suture sees it.
type runner struct {
	service Service
	options Options
	token   suture.ServiceToken
	fatal   chan<- error

	firstReady chan struct{} // closed when it was ready for the first time
	gaveUp     chan error    // the first run's error, when it never was

	mu       sync.Mutex
	state    State
	wasReady bool
	runs     int
	pause    time.Duration
}

// Serve is suture's: it is called again when it returns an error.
func (r *runner) Serve(ctx context.Context) error {
	started := time.Now()
	r.begin()
	err := r.runOnce(ctx)
	if ctx.Err() != nil {
		return suture.ErrDoNotRestart
	}
	if err == nil {
		err = errors.New("it ended by itself")
	}
	rest, everReady := r.failed(err, time.Since(started))
	var fatal *fatalError
	if errors.As(err, &fatal) {
		select {
		case r.fatal <- fmt.Errorf("%s: %w", r.service.Name, fatal.err):
		default: // the first one is reported
		}
	}
	if !everReady || fatal != nil {
		r.gaveUp <- err
		return suture.ErrDoNotRestart
	}
	r.options.Logger.Warn("service ended and is started again", "service", r.service.Name, "error", err, "in", rest.Round(time.Millisecond))
	if !pause.For(ctx, rest) {
		return suture.ErrDoNotRestart
	}
	return err
}

// runOnce turns a panic into an error, so that it is counted and paused after
// like one.
func (r *runner) runOnce(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
		r.setReady(false)
	}()
	return r.service.Run(ctx, r.setReady)
}

func (r *runner) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.runs > 0 {
		r.state.Restarts++
	}
	r.runs++
}

// failed notes an error and returns how long to pause: the pause doubles until a
// run has lasted longer than the longest one.
func (r *runner) failed(err error, lasted time.Duration) (pause time.Duration, everReady bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.LastError = err.Error()
	if r.pause == 0 || lasted > r.options.BackoffMax {
		r.pause = r.options.BackoffMin
	}
	pause = r.pause/2 + time.Duration(rand.Int64N(int64(r.pause/2)+1)) //nolint:gosec // no secret
	r.pause = min(2*r.pause, r.options.BackoffMax)
	return pause, r.wasReady
}

func (r *runner) setReady(ready bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.Ready = ready
	if ready && !r.wasReady {
		r.wasReady = true
		close(r.firstReady)
	}
}

func (r *runner) snapshot() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// String names the service in suture's events.
func (r *runner) String() string { return r.service.Name }
