//go:build unix

package child

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// deadline bounds what a test waits for; it is no expectation of speed.
const deadline = 30 * time.Second

// part chooses what this program does when a test starts it as a child.
const part = "CHILD_TEST_PART"

func TestMain(m *testing.M) {
	if p := os.Getenv(part); p != "" {
		play(p)
	}
	os.Exit(m.Run())
}

// play is the child side.
func play(p string) {
	ctx := StopWithParent(context.Background(), os.Stdin)
	ready := func() {
		if err := AnnounceReady(os.Stdout, map[string]int{"pid": os.Getpid()}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
	}
	switch p {
	case "good":
		ctx, _ = signal.NotifyContext(ctx, syscall.SIGTERM)
		fmt.Println("hello on stdout")
		fmt.Fprintln(os.Stderr, "hello on stderr")
		ready()
		<-ctx.Done()
		fmt.Fprintln(os.Stderr, "goodbye")
		os.Exit(0)
	case "never-ready":
		fmt.Fprintln(os.Stderr, "port 9092 is taken")
		os.Exit(1)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		ready()
		select {}
	case "parent":
		c, err := New(Spec{Name: "grandchild", Args: os.Args[1:], Env: append(os.Environ(), part+"=good"), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			os.Exit(3)
		}
		go func() { _ = c.Run(ctx, func(bool) {}) }()
		if _, err := c.WaitReady(ctx); err != nil {
			os.Exit(3)
		}
		if err := AnnounceReady(os.Stdout, map[string]int{"pid": c.State().PID}); err != nil {
			os.Exit(3)
		}
		select {}
	}
	os.Exit(4)
}

// output collects lines and may be read while it is written.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}
func (o *output) String() string { o.mu.Lock(); defer o.mu.Unlock(); return o.buf.String() }

// run starts a child that plays a part; stop ends it and returns Run's error.
func run(t *testing.T, p string, change func(*Spec)) (c *Child, out *output, stop func() error) {
	t.Helper()
	out = &output{}
	s := Spec{
		Name: "role", Args: []string{"-test.run=^$"}, Env: append(os.Environ(), part+"="+p), Output: NewLines(out),
		Logger: slog.New(slog.DiscardHandler), BackoffMin: time.Millisecond, BackoffMax: 4 * time.Millisecond,
	}
	if change != nil {
		change(&s)
	}
	c, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx, func(bool) {}) }()
	stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { _ = stop() })
	return c, out, stop
}

// waitPID waits until a process is ready whose pid is not the given one.
func waitPID(t *testing.T, c *Child, not int) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	for {
		raw, err := c.WaitReady(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var said struct{ PID int }
		if err := json.Unmarshal(raw, &said); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		if said.PID != not {
			return said.PID
		}
		runtime.Gosched()
	}
}

// waitGone waits until a process does not exist any more.
func waitGone(t *testing.T, pid int) {
	t.Helper()
	end := time.After(deadline)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for syscall.Kill(pid, 0) == nil && !zombie(pid) {
		select {
		case <-end:
			t.Fatalf("process %d still runs", pid)
		case <-tick.C:
		}
	}
}

// zombie is for a process whose new parent has not reaped it.
func zombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && strings.Contains(string(stat), ") Z ")
}

// A child says where it listens, its lines come with its name, and it stops on
// its own when it is asked to.
func TestReadyAndStop(t *testing.T) {
	t.Parallel()
	c, out, stop := run(t, "good", nil)
	pid := waitPID(t, c, 0)
	if s := c.State(); s.PID != pid || !s.Ready || s.Restarts != 0 {
		t.Errorf("state: %+v, the child says pid %d", s, pid)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"role       | hello on stdout\n", "role       | hello on stderr\n", "role       | goodbye\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("output %q has no %q", out, want)
		}
	}
	if strings.Contains(out.String(), readyWord) {
		t.Errorf("the protocol is in the output: %q", out)
	}
	if _, err := c.WaitReady(t.Context()); err == nil {
		t.Error("a stopped child is ready")
	}
}

// A child that is killed comes back, and the CPU time of the dead ones counts.
func TestRestart(t *testing.T) {
	t.Parallel()
	c, _, _ := run(t, "good", nil)
	pid := 0
	for range 3 {
		pid = waitPID(t, c, pid)
		if err := c.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	waitPID(t, c, pid)
	if s := c.State(); s.Restarts != 3 || s.LastExit != "signal: killed" {
		t.Errorf("state: %+v", s)
	}
	if c.spent == 0 {
		t.Error("the dead processes used no CPU time")
	}
}

// A child that is held stays away after it was killed, until it is released,
// and then starts with the arguments that it was given meanwhile.
func TestHold(t *testing.T) {
	t.Parallel()
	c, _, _ := run(t, "good", nil)
	pid := waitPID(t, c, 0)
	c.Hold()
	c.SetArgs("-test.v")
	if err := c.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitGone(t, pid)
	end := time.Now().Add(deadline)
	for c.State().Restarts == 0 { // counted once the pause is over
		if time.Now().After(end) {
			t.Fatalf("state: %+v", c.State())
		}
		runtime.Gosched()
	}
	if s := c.State(); s.PID != 0 || c.Signal(syscall.SIGCONT) == nil {
		t.Fatalf("a held child runs: %+v", s)
	}
	c.Release()
	next := waitPID(t, c, pid)
	if cmdline, err := os.ReadFile("/proc/" + strconv.Itoa(next) + "/cmdline"); err == nil && !strings.Contains(string(cmdline), "-test.v") {
		t.Errorf("it was started as %q", cmdline)
	}
}

// A process that was ended on purpose, again and again, is started again as soon
// as the first time: its pauses do not grow as those of one that fails do.
func TestHoldIsNoFailure(t *testing.T) {
	t.Parallel()
	c, _, _ := run(t, "good", func(s *Spec) { s.BackoffMin, s.BackoffMax = time.Millisecond, time.Hour })
	pid := 0
	for range 18 { // the pauses would come to minutes
		pid = waitPID(t, c, pid)
		c.Hold()
		if err := c.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		waitGone(t, pid)
		for c.State().PID == pid {
			runtime.Gosched()
		}
		c.Release()
	}
	waitPID(t, c, pid)
}

// A role that cannot start says why, once, instead of being restarted for ever.
func TestNeverReady(t *testing.T) {
	t.Parallel()
	c, _, _ := run(t, "never-ready", nil)
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	_, err := c.WaitReady(ctx)
	if err == nil || !strings.Contains(err.Error(), "role ended before it was ready (exit status 1)") || !strings.Contains(err.Error(), "port 9092 is taken") {
		t.Errorf("error: %v", err)
	}
}

// A child that ignores SIGTERM is killed after its grace.
func TestStubborn(t *testing.T) {
	t.Parallel()
	c, _, stop := run(t, "stubborn", func(s *Spec) { s.Grace = 10 * time.Millisecond })
	pid := waitPID(t, c, 0)
	if err := stop(); err != nil {
		t.Error(err)
	}
	waitGone(t, pid)
	if s := c.State(); s.LastExit != "signal: killed" {
		t.Errorf("state: %+v", s)
	}
}

// The parent is killed with -9: its child sees its standard input end and stops.
func TestParentKilled(t *testing.T) {
	t.Parallel()
	parent := exec.Command(os.Args[0], "-test.run=^$")
	parent.Env = append(os.Environ(), part+"=parent")
	stdin, err := parent.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var said struct{ PID int }
	buf := make([]byte, 256)
	n, err := stdout.Read(buf)
	if err != nil || json.Unmarshal(bytes.TrimPrefix(buf[:n], []byte(readyWord)), &said) != nil || said.PID == 0 {
		t.Fatalf("the parent said %q, %v", buf[:n], err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	waitGone(t, said.PID)
}

// Memory and CPU time are those of the process that is asked for.
func TestUsage(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		if _, err := UsageOf(os.Getpid()); err == nil {
			t.Error("usage is known on a system without /proc")
		}
		return
	}
	before, err := UsageOf(os.Getpid())
	if err != nil || before.RSSBytes < 1<<20 || before.PeakRSSBytes < before.RSSBytes {
		t.Fatalf("%+v, %v", before, err)
	}
	for x, used := 0, time.Duration(0); used < 50*time.Millisecond; x++ {
		if x%1_000_000 == 0 {
			now, err := UsageOf(os.Getpid())
			if err != nil {
				t.Fatal(err)
			}
			used = now.CPU - before.CPU
		}
	}
	if _, err := UsageOf(1 << 30); err == nil {
		t.Error("a process that does not exist has a usage")
	}
	if cpu, err := cpuTime([]byte("7 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0")); err != nil || cpu != 3*time.Second {
		t.Errorf("cpu time %v, %v", cpu, err)
	}
}
