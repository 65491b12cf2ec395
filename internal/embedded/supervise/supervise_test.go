package supervise

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// deadline bounds what a test waits for; it is no expectation of speed.
const deadline = 30 * time.Second

func newTest(t *testing.T) *Supervisor {
	t.Helper()
	s := New(Options{Logger: slog.New(slog.DiscardHandler), BackoffMin: time.Millisecond, BackoffMax: 2 * time.Millisecond})
	t.Cleanup(func() { _ = s.Stop() })
	return s
}

func start(t *testing.T, s *Supervisor, v Service) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if err := s.Start(ctx, v); err != nil {
		t.Fatal(err)
	}
}

// untilDone is a service that is ready at once and runs until it is stopped.
func untilDone(ctx context.Context, ready func(bool)) error {
	ready(true)
	<-ctx.Done()
	return nil
}

// await waits for a value or fails.
func await[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(deadline):
		t.Fatalf("not within %v: %s", deadline, what)
		panic("unreachable")
	}
}

// The sink stops before the broker that it reads from, because it was started
// after it.
func TestStopsInReverseOrder(t *testing.T) {
	t.Parallel()
	s := newTest(t)
	var mu sync.Mutex
	var order []string
	names := []string{"broker", "processor", "sink"}
	for _, name := range names {
		start(t, s, Service{Name: name, Run: func(ctx context.Context, ready func(bool)) error {
			ready(true)
			<-ctx.Done()
			mu.Lock()
			defer mu.Unlock()
			order = append(order, name)
			return nil
		}})
	}
	if err := s.Ready(); err != nil {
		t.Error(err)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	slices.Reverse(order)
	if !slices.Equal(order, names) {
		t.Errorf("stopped in the order %v, want the opposite of %v", order, names)
	}
	if err := s.Ready(); err == nil {
		t.Error("ready after the stop")
	}
	if err := s.Start(t.Context(), Service{Name: "late", Run: untilDone}); err == nil {
		t.Error("a service starts after the stop")
	}
}

// A service that fails, ends or panics after it was ready runs again; meanwhile
// the supervisor is not ready and says why.
func TestRestarts(t *testing.T) {
	t.Parallel()
	s := newTest(t)
	ends := make(chan func() error)
	runs := make(chan struct{}, 10)
	start(t, s, Service{Name: "flaky", Run: func(ctx context.Context, ready func(bool)) error {
		ready(true)
		runs <- struct{}{}
		select {
		case <-ctx.Done():
			return nil
		case end := <-ends:
			return end()
		}
	}})
	await(t, "the first run", runs)
	for _, end := range []func() error{
		func() error { return errors.New("connection refused") },
		func() error { return nil },
		func() error { panic("index out of range") },
	} {
		ends <- end
		await(t, "another run", runs)
	}
	if st := s.States()[0]; st.Restarts != 3 || st.LastError != "panic: index out of range" || !st.Ready {
		t.Errorf("state: %+v", st)
	}
}

// A service that cannot start is reported by Start, with its reason, and is not
// tried again.
func TestCannotStart(t *testing.T) {
	t.Parallel()
	s := newTest(t)
	runs := 0
	err := s.Start(t.Context(), Service{Name: "ingest", Run: func(context.Context, func(bool)) error {
		runs++
		return errors.New("port 8080 is taken")
	}})
	if err == nil || !strings.Contains(err.Error(), "starting ingest: port 8080 is taken") {
		t.Errorf("error: %v", err)
	}
	if err := s.Ready(); err == nil || !strings.Contains(err.Error(), "port 8080 is taken") {
		t.Errorf("ready: %v", err)
	}
	if err := s.Stop(); err != nil || runs != 1 {
		t.Errorf("%d runs, %v", runs, err)
	}
}

// A service that waits for ever to be ready does not hold its starter for ever.
func TestStartGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	s := newTest(t)
	ctx, cancel := context.WithCancel(context.Background())
	err := s.Start(ctx, Service{Name: "slow", Run: func(ctx context.Context, _ func(bool)) error {
		cancel()
		<-ctx.Done()
		return nil
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v", err)
	}
}

// An error that no restart can heal ends the whole process's Wait.
func TestFatal(t *testing.T) {
	t.Parallel()
	s := newTest(t)
	broken := make(chan struct{})
	start(t, s, Service{Name: "broker", Run: untilDone})
	start(t, s, Service{Name: "processor", Run: func(_ context.Context, ready func(bool)) error {
		ready(true)
		<-broken
		return Fatal(errors.New("the table is of a newer version"))
	}})
	close(broken)
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if err := s.Wait(ctx); err == nil || err.Error() != "processor: the table is of a newer version" {
		t.Errorf("error: %v", err)
	}
	ended, end := context.WithCancel(context.Background())
	end()
	if err := s.Wait(ended); err != nil {
		t.Errorf("after its context ended: %v", err)
	}
}

// A service that does not stop is named, and the others are stopped all the same.
func TestDoesNotStop(t *testing.T) {
	t.Parallel()
	s := newTest(t)
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	stopped := make(chan struct{})
	start(t, s, Service{Name: "broker", Run: func(ctx context.Context, ready func(bool)) error {
		defer close(stopped)
		return untilDone(ctx, ready)
	}})
	start(t, s, Service{Name: "stuck", Grace: time.Millisecond, Run: func(_ context.Context, ready func(bool)) error {
		ready(true)
		<-release
		return nil
	}})
	if err := s.Stop(); err == nil || !strings.Contains(err.Error(), "stuck did not stop within 1ms") {
		t.Errorf("error: %v", err)
	}
	await(t, "the broker stops", stopped)
}

// One service is ended before the others, which go on; ended once more, and by a
// name that nobody has, nothing happens; the rest stops as ever.
func TestEndsOneFirst(t *testing.T) {
	t.Parallel()
	s := newTest(t)
	ended := make(chan string, 3)
	for _, name := range []string{"engine", "processor", "door"} {
		start(t, s, Service{Name: name, Run: func(ctx context.Context, ready func(bool)) error {
			defer func() { ended <- name }()
			return untilDone(ctx, ready)
		}})
	}
	for range 2 {
		if err := errors.Join(s.End("door"), s.End("nobody")); err != nil {
			t.Fatal(err)
		}
	}
	if name := await(t, "the door to end", ended); name != "door" {
		t.Errorf("%s ended, want the door", name)
	}
	if err := s.Ready(); err != nil || len(s.States()) != 2 {
		t.Errorf("the others: %v, %+v", err, s.States())
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"processor", "engine"} {
		if name := await(t, want+" to end", ended); name != want {
			t.Errorf("%s ended, want %s", name, want)
		}
	}
}
