package systemtest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/eventpro/boxoffice/client"
)

// patience bounds every wait for something that must happen; a slow machine may
// take most of it.
const patience = 90 * time.Second

// layout is where a system keeps its data and listens.
type layout struct {
	dir                                          string
	kafka                                        []int
	clickhouse, provider, ingest, views, metrics int
}

// newLayout draws free ports and a directory. The ports are below those that
// the kernel gives to outgoing connections, so that none of these can take one
// while its process is down.
func newLayout(t *testing.T) layout {
	t.Helper()
	p := freePorts(t, 8)
	return layout{
		dir: filepath.Join(t.TempDir(), "data"), kafka: p[:3],
		clickhouse: p[3], provider: p[4], ingest: p[5], views: p[6], metrics: p[7],
	}
}

// promised are the ports that a test was given: some are bound a while later, and
// none while a system is down. No other test gets one.
var promised struct {
	sync.Mutex
	ports map[int]bool
}

func freePorts(t *testing.T, n int) []int {
	t.Helper()
	promised.Lock()
	defer promised.Unlock()
	if promised.ports == nil {
		promised.ports = map[int]bool{}
	}
	var found []int
	for range 1000 {
		port := 10_000 + rand.IntN(11_000) // ports.Steady has those above
		if promised.ports[port] {
			continue
		}
		l, err := net.Listen("tcp", loopback(port))
		if err != nil {
			continue
		}
		_ = l.Close()
		promised.ports[port] = true
		if found = append(found, port); len(found) == n {
			return found
		}
	}
	t.Fatalf("no %d free ports", n)
	return nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func url(port int) string { return "http://" + loopback(port) }

func (l layout) brokers() []string {
	return []string{loopback(l.kafka[0]), loopback(l.kafka[1]), loopback(l.kafka[2])}
}

// args are those of `boxoffice up`.
func (l layout) args(more ...string) []string {
	return append([]string{
		"up", "--data-dir", l.dir, "--kafka-ports", fmt.Sprintf("%d,%d,%d", l.kafka[0], l.kafka[1], l.kafka[2]),
		"--clickhouse-port", strconv.Itoa(l.clickhouse), "--provider-port", strconv.Itoa(l.provider),
		"--ingest-port", strconv.Itoa(l.ingest), "--views-port", strconv.Itoa(l.views), "--metrics-port", strconv.Itoa(l.metrics),
	}, more...)
}

// system is a running `boxoffice up`.
type system struct {
	layout
	more   []string
	cmd    *exec.Cmd
	exited chan struct{} // closed when the process has ended
	output *output
	key    string
	client *client.Client
}

// start starts a system and returns when it says that everything is ready. more
// are further flags. The test stops it at its end, and fails when a data race
// was seen.
func start(t *testing.T, l layout, more ...string) *system {
	t.Helper()
	s := launch(t, l, more...)
	s.awaitReady(t)
	return s
}

// launch starts a system and does not wait.
func launch(t *testing.T, l layout, more ...string) *system {
	t.Helper()
	return launchCommand(t, l, exec.Command(binary, l.args(more...)...), more)
}

func launchCommand(t *testing.T, l layout, cmd *exec.Cmd, more []string) *system {
	t.Helper()
	s := &system{layout: l, more: more, cmd: cmd, exited: make(chan struct{}), output: &output{}}
	cmd.Stdout, cmd.Stderr = s.output, s.output
	// Its children hold these pipes as long as they live; what they write after
	// its end is of no interest.
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // the state is read from cmd
		close(s.exited)
	}()
	t.Cleanup(func() {
		s.terminate()
		if strings.Contains(s.output.String(), "DATA RACE") {
			t.Error("a data race was seen in the program")
		}
		if t.Failed() {
			t.Logf("what the program said:\n%s", s.output.String())
		}
	})
	return s
}

var keyLine = regexp.MustCompile(`API key +(bo_dev_\S+)`)

func (s *system) awaitReady(t *testing.T) {
	t.Helper()
	eventually(t, "everything is ready", func() error {
		select {
		case <-s.exited:
			t.Fatalf("the program ended: %v\n%s", s.cmd.ProcessState, s.output)
		default:
		}
		m := keyLine.FindStringSubmatch(s.output.String())
		if m == nil {
			return fmt.Errorf("not yet:\n%s", s.output)
		}
		s.key = m[1]
		return nil
	})
	s.client = s.newClient(t)
}

// newClient is one more client, with connections of its own.
func (s *system) newClient(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.New(url(s.ingest), url(s.views), s.key, client.WithTimeout(10*time.Second), client.WithAttempts(20))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// terminate ends the system in order, and by force when that takes too long.
func (s *system) terminate() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-s.exited:
	case <-time.After(patience):
		s.killAll()
	}
}

// stop ends the system in order, as Ctrl-C does.
func (s *system) stop(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.awaitEnd(t)
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("stopped with %v:\n%s", s.cmd.ProcessState, s.output)
	}
}

func (s *system) awaitEnd(t *testing.T) {
	t.Helper()
	select {
	case <-s.exited:
	case <-time.After(patience):
		t.Fatalf("the program does not end:\n%s", s.output)
	}
}

// restart starts the system again in the same place. Processes that were not
// told to stop may still be about to.
func (s *system) restart(t *testing.T) *system {
	t.Helper()
	return start(t, s.layout, s.more...)
}

// killAll ends every process at once, as a loss of power would.
func (s *system) killAll() {
	// The parent is kept from starting its children again.
	_ = s.cmd.Process.Signal(syscall.SIGSTOP)
	for _, pid := range s.children() {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
	}
	_ = s.cmd.Process.Kill()
	<-s.exited
}

// signal sends a signal to the process of a role.
func (s *system) signal(t *testing.T, role string, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(s.pid(t, role), sig); err != nil {
		t.Fatalf("%v to %s: %v", sig, role, err)
	}
}

// pid is the process of a role, waiting for one that is being started.
func (s *system) pid(t *testing.T, role string) int {
	t.Helper()
	pid := 0
	eventually(t, role+" runs", func() error {
		var ok bool
		if pid, ok = s.children()[role]; !ok {
			return fmt.Errorf("only %v do", s.children())
		}
		return nil
	})
	return pid
}

// children are the pids of the roles that run as processes of their own.
func (s *system) children() map[string]int {
	pids := map[string]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// pid (comm) state ppid ...
		fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
		if len(fields) < 2 || fields[0] == "Z" || fields[1] != strconv.Itoa(s.cmd.Process.Pid) {
			continue
		}
		dir := filepath.Dir(path)
		cmdline, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(dir))
		args := strings.Split(string(cmdline), "\x00")
		if len(args) > 2 && args[1] == "process" {
			pids[args[2]] = pid
		} else if len(args) > 1 {
			pids[args[1]] = pid
		}
	}
	return pids
}

// output collects what a process says.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// eventually polls until fn returns nil, and fails with its last error when it
// does not in time.
func eventually(t *testing.T, what string, fn func() error) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		err := fn()
		if err == nil {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("%s: not within %v: %v", what, patience, err)
		case <-tick.C:
		}
	}
}

// bounded is a context for one story.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	return ctx
}

// replaced says whether a role runs as another process than it did.
func (s *system) replaced(role string, was int) error {
	if now, ok := s.children()[role]; !ok || now == was {
		return fmt.Errorf("the processes are %v, %s was %d", s.children(), role, was)
	}
	return nil
}
