package clickhouse_test

import (
	"bytes"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// busy keeps the engine's threads working until the test ends.
func busy(t *testing.T, query func()) {
	t.Helper()
	var done atomic.Bool
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		for !done.Load() {
			query()
		}
	}()
	t.Cleanup(func() { done.Store(true); <-finished })
}

// The engine installs handlers for deadly signals, or resets them, unless it is stopped from it: then a nil dereference would end the
// process instead of being a panic.
func TestNilDereferenceIsAPanic(t *testing.T) {
	t.Parallel()
	conn := connect(t)
	busy(t, func() { value[uint64](t, conn, "SELECT sum(sipHash64(number)) FROM numbers(1000000)") })
	for range 100 {
		if dereference(nil) == nil {
			t.Fatal("a nil dereference went through")
		}
	}
}

func dereference(p *int) (recovered any) {
	defer func() { recovered = recover() }()
	*p++
	return nil
}

// A garbage collection has to stop a goroutine in a tight loop, which Go does with SIGURG, while the engine's threads run.
func TestPreemptionAmongTheEnginesThreads(t *testing.T) {
	t.Parallel()
	conn := connect(t)
	busy(t, func() { value[uint64](t, conn, "SELECT sum(sipHash64(number)) FROM numbers(1000000)") })
	var stop atomic.Bool
	spun := make(chan struct{})
	go func() {
		defer close(spun)
		for n := 0; !stop.Load(); {
			for range 10_000_000 {
				n += n ^ 1
			}
		}
	}()
	for range 20 {
		runtime.GC()
	}
	stop.Store(true)
	<-spun
}

// The profiler's signal arrives on the engine's threads too, which Go did not start.
func TestProfilingAmongTheEnginesThreads(t *testing.T) {
	conn := connect(t)
	var profile bytes.Buffer
	if err := pprof.StartCPUProfile(&profile); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		value[uint64](t, conn, "SELECT sum(sipHash64(number)) FROM numbers(20000000)")
	}
	pprof.StopCPUProfile()
	if profile.Len() == 0 {
		t.Fatal("the profile is empty")
	}
}

// Signals that hit a server under load: those that Go ignores change nothing, SIGTERM ends it in order.
func TestTerminationUnderLoad(t *testing.T) {
	t.Parallel()
	c := serve(t, t.TempDir())
	conn := c.connect(t)
	busy(t, func() {
		_ = conn.Exec(t.Context(), "SELECT sum(sipHash64(number)) FROM numbers(3000000) FORMAT Null")
	})
	for range 300 {
		for _, s := range []os.Signal{syscall.SIGURG, syscall.SIGWINCH, syscall.SIGCHLD, syscall.SIGPROF} {
			if err := c.cmd.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := value[uint8](t, conn, "SELECT 1"); got != 1 {
		t.Fatal(got)
	}
	c.stop(t)
}

// SIGQUIT prints Go's goroutines, which is how a hanging process is looked into.
func TestQuitPrintsGoroutines(t *testing.T) {
	t.Parallel()
	c := serve(t, t.TempDir())
	conn := c.connect(t)
	execute(t, conn, "SELECT sum(sipHash64(number)) FROM numbers(3000000) FORMAT Null")
	if err := c.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	c.line()
	_ = c.cmd.Wait()
	if text := c.errors(); !strings.Contains(text, "SIGQUIT: quit") || !strings.Contains(text, "goroutine 1 ") || c.cmd.ProcessState.ExitCode() != 2 {
		t.Fatalf("SIGQUIT ended the process with %v and: %s", c.cmd.ProcessState, text)
	}
}
