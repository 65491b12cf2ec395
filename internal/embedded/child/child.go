// Package child runs a role as a child process of this program and keeps it
// running.
//
// The two sides agree on three things. The child's standard input is a pipe that
// its parent holds: when the parent ends, however it ends, the pipe closes and
// the child stops. The child says on its standard output, in one line, that it is
// ready and where it listens: "READY {...}". Everything else that it writes goes
// to its parent's log, each line with the role's name in front.
package child

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/eventpro/boxoffice/internal/pause"
)

// Spec says what to run. Name and Logger are required.
type Spec struct {
	// Name is the role's, as in logs and states.
	Name string
	// Path is the program; this one when empty.
	Path string
	Args []string
	// Env is the whole environment; this process's when nil.
	Env []string
	// Logger receives what happens to the process.
	Logger *slog.Logger
	// Files are open in the process too, for the locks that they carry.
	Files []*os.File
	// Output receives the process's own lines, whole and with the name in front;
	// os.Stderr when nil. Several children may share one Lines.
	Output *Lines
	// Ignore is the beginning of lines that mean nothing to anybody and are not
	// passed on; empty for none.
	Ignore string
	// Grace is how long the process may take to stop after SIGTERM before it is
	// killed; 15 seconds when 0.
	Grace time.Duration
	// BackoffMin and BackoffMax bound the pause before a restart, which doubles
	// with every exit in a row; 200 ms and 10 s when 0.
	BackoffMin, BackoffMax time.Duration
}

// Child is one role's process over all its restarts.
type Child struct {
	spec Spec

	mu       sync.Mutex
	state    State
	process  *os.Process   // the live one
	spent    time.Duration // CPU time of those that have ended
	changed  chan struct{} // closed and replaced when state changes
	ended    error         // why Run returned
	hasEnded bool
	held     chan struct{} // closed by Release; nil: not held
	endHeld  bool          // the last process ended while the child was held
	more     []string      // arguments after those of the Spec
}

// State is what is known of a child at one moment.
type State struct {
	Name string
	// PID is 0 while no process runs.
	PID int
	// Ready is whether the present process has said so; Addresses is what it
	// said with it, JSON.
	Ready     bool
	Addresses json.RawMessage
	// Restarts counts the processes after the first.
	Restarts int
	// Since is when the present process started, or the last one ended.
	Since time.Time
	// LastExit says how the last process ended; empty when none has.
	LastExit string
}

// New prepares a child; Run starts it.
func New(s Spec) (*Child, error) {
	if s.Name == "" || s.Logger == nil {
		return nil, errors.New("child: Name and Logger are required")
	}
	if s.Path == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("child %s: finding this program: %w", s.Name, err)
		}
		s.Path = self
	}
	if s.Output == nil {
		s.Output = NewLines(os.Stderr)
	}
	s.Grace = cmp.Or(s.Grace, 15*time.Second)
	s.BackoffMin = cmp.Or(s.BackoffMin, 200*time.Millisecond)
	s.BackoffMax = cmp.Or(s.BackoffMax, 10*time.Second)
	return &Child{spec: s, state: State{Name: s.Name}, changed: make(chan struct{})}, nil
}

// Run keeps the process running until ctx ends, then stops it: SIGTERM, and
// SIGKILL after the grace. It tells ready of every change. A process that ends
// before the first one was ever ready will not do better the next time: Run
// returns an error with its last words. Run runs once.
func (c *Child) Run(ctx context.Context, ready func(bool)) error {
	err := c.keepRunning(ctx, ready)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended, c.hasEnded = err, true
	c.announce()
	return err
}

func (c *Child) keepRunning(ctx context.Context, ready func(bool)) error {
	everReady := false
	backoff := c.spec.BackoffMin
	for {
		if !c.released(ctx) {
			return nil
		}
		started := time.Now()
		wasReady, words, err := c.runOnce(ctx, ready)
		if ctx.Err() != nil {
			return nil
		}
		everReady = everReady || wasReady
		if !everReady {
			return fmt.Errorf("%s ended before it was ready (%w)%s", c.spec.Name, err, words)
		}
		if time.Since(started) > c.spec.BackoffMax || c.endedHeld() {
			backoff = c.spec.BackoffMin
		}
		wait := jitter(backoff)
		c.spec.Logger.Warn("role ended and is started again", "role", c.spec.Name, "error", err, "in", wait.Round(time.Millisecond))
		if !pause.For(ctx, wait) {
			return nil
		}
		backoff = min(2*backoff, c.spec.BackoffMax)
		c.update(func(s *State) { s.Restarts++ })
	}
}

// jitter spreads restarts over the second half of a pause.
func jitter(pause time.Duration) time.Duration {
	return pause/2 + time.Duration(rand.Int64N(int64(pause/2)+1)) //nolint:gosec // no secret
}

// runOnce runs one process to its end. words are its last lines.
func (c *Child) runOnce(ctx context.Context, ready func(bool)) (wasReady bool, words string, err error) {
	cmd := exec.Command(c.spec.Path, c.args()...) //nolint:gosec // the caller's program
	cmd.Env, cmd.ExtraFiles = c.spec.Env, c.spec.Files
	apart(cmd)
	// Held until the process has ended, or until this process has.
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return false, "", err
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return false, "", err
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return false, "", err
	}
	if err := cmd.Start(); err != nil {
		return false, "", err
	}
	c.started(cmd.Process)
	last := &lastLines{}
	var readers sync.WaitGroup
	readers.Go(func() { c.forward(stderr, last) })
	readers.Go(func() {
		c.listen(stdout, last, func(addresses json.RawMessage) {
			wasReady = true
			c.update(func(s *State) { s.Ready, s.Addresses = true, addresses })
			ready(true)
		})
	})
	exited := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		c.stopWhenDone(ctx, cmd.Process, exited)
	}()
	// The pipes are read to their ends before Wait closes them.
	readers.Wait()
	err = cmd.Wait()
	close(exited)
	<-stopped
	if err == nil {
		err = errors.New("exit status 0")
	}
	c.exited(cmd.ProcessState, err)
	if wasReady {
		ready(false)
	}
	return wasReady, last.String(), err
}

// stopWhenDone asks the process to stop when ctx ends, and makes it after the
// grace.
func (c *Child) stopWhenDone(ctx context.Context, p *os.Process, exited <-chan struct{}) {
	select {
	case <-exited:
		return
	case <-ctx.Done():
	}
	// A process that has just ended needs no signal.
	_ = p.Signal(syscall.SIGTERM)
	grace := time.NewTimer(c.spec.Grace)
	defer grace.Stop()
	select {
	case <-exited:
	case <-grace.C:
		c.spec.Logger.Warn("role did not stop in time and is killed", "role", c.spec.Name, "grace", c.spec.Grace)
		_ = p.Kill()
	}
}

const readyWord = "READY "

// listen waits for the line that says ready and forwards all others.
func (c *Child) listen(r io.Reader, last *lastLines, ready func(json.RawMessage)) {
	eachLine(r, func(line []byte) {
		addresses, ok := bytes.CutPrefix(line, []byte(readyWord))
		if ok && json.Valid(addresses) {
			ready(bytes.Clone(addresses))
			return
		}
		c.say(line, last)
	})
}

func (c *Child) forward(r io.Reader, last *lastLines) {
	eachLine(r, func(line []byte) { c.say(line, last) })
}

func (c *Child) say(line []byte, last *lastLines) {
	if c.spec.Ignore != "" && bytes.HasPrefix(line, []byte(c.spec.Ignore)) {
		return
	}
	last.add(line)
	c.spec.Output.write(c.spec.Name, line)
}

// eachLine splits what is read into lines, cutting those that are too long.
func eachLine(r io.Reader, fn func(line []byte)) {
	const longest = 64 << 10
	in := bufio.NewReaderSize(r, longest)
	for {
		line, err := in.ReadSlice('\n')
		if len(line) > 0 {
			fn(bytes.TrimRight(line, "\r\n"))
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// State returns what is known now.
func (c *Child) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// WaitReady waits until the process is ready and returns the addresses that it
// said. It returns Run's error when that ends first.
func (c *Child) WaitReady(ctx context.Context) (json.RawMessage, error) {
	for {
		c.mu.Lock()
		state, changed, ended, hasEnded := c.state, c.changed, c.ended, c.hasEnded
		c.mu.Unlock()
		if state.Ready {
			return state.Addresses, nil
		}
		if hasEnded {
			return nil, cmp.Or(ended, fmt.Errorf("%s was stopped", c.spec.Name))
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for %s to be ready: %w", c.spec.Name, ctx.Err())
		case <-changed:
		}
	}
}

// Kill ends the present process with SIGKILL, for those who want to see what
// happens then; Run starts the next one.
func (c *Child) Kill() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process == nil {
		return fmt.Errorf("%s does not run", c.spec.Name)
	}
	return c.process.Kill()
}

// Usage is the present process's memory and the CPU time of all of them.
func (c *Child) Usage() (Usage, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := Usage{}
	if c.state.PID != 0 {
		var err error
		if u, err = UsageOf(c.state.PID); err != nil {
			return Usage{}, err
		}
	}
	u.CPU += c.spent
	return u, nil
}

func (c *Child) started(p *os.Process) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.process = p
	c.state.PID, c.state.Since = p.Pid, time.Now()
	c.announce()
}

func (c *Child) exited(ps *os.ProcessState, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.process, c.endHeld = nil, c.held != nil
	c.spent += ps.UserTime() + ps.SystemTime()
	c.state.PID, c.state.Ready, c.state.Since, c.state.LastExit = 0, false, time.Now(), err.Error()
	c.announce()
}

func (c *Child) update(fn func(*State)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fn(&c.state)
	c.announce()
}

// announce wakes whoever waits for a change; the caller holds mu.
func (c *Child) announce() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// lastLines keeps a process's last words.
type lastLines struct {
	mu    sync.Mutex
	lines []string
}

const keptLines = 5

func (l *lastLines) add(line []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(line))
	if len(l.lines) > keptLines {
		l.lines = l.lines[1:]
	}
}

func (l *lastLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) == 0 {
		return ""
	}
	return ":\n  " + strings.Join(l.lines, "\n  ")
}

// Lines writes whole lines of several processes to one writer.
type Lines struct {
	mu sync.Mutex
	to io.Writer
}

// NewLines returns Lines that write to w.
func NewLines(w io.Writer) *Lines { return &Lines{to: w} }

func (l *Lines) write(name string, line []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// A log that cannot be written must not stop the role.
	_, _ = fmt.Fprintf(l.to, "%-10s | %s\n", name, line)
}
