package stream

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Environment of the test binary when it plays a member in its own process.
const (
	envMember  = "STREAM_TEST_MEMBER"
	envBrokers = "STREAM_TEST_BROKERS"
	envDir     = "STREAM_TEST_DIR"
)

// TestMain is the test, or a member of the counting group that lives until it
// is killed or its parent is gone.
func TestMain(m *testing.M) {
	if os.Getenv(envMember) == "" {
		os.Exit(m.Run())
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with the parent
		cancel()
	}()
	cfg := processConfig(os.Getenv(envMember), strings.Split(os.Getenv(envBrokers), ","), os.Getenv(envDir))
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelInfo}))
	if err := Run(ctx, cfg, Processor{Group: count, Handle: add}); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func processConfig(member string, brokers []string, dir string) Config {
	return Config{
		Brokers: brokers, Member: member, DataDir: dir,
		SessionTimeout: 3 * time.Second, HeartbeatInterval: 100 * time.Millisecond, TransactionTimeout: 4 * time.Second,
		BatchRecordsMax: 50,
	}
}

// child is a member in its own process.
type child struct {
	cmd   *exec.Cmd
	in    io.Closer
	lines chan string // of its log
}

func (b *bench) spawn(member, dir string) *child {
	b.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envMember+"="+member, envBrokers+"="+strings.Join(b.brokers, ","), envDir+"="+dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	c := &child{cmd: cmd, in: in, lines: make(chan string, 10_000)}
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			select {
			case c.lines <- s.Text():
			default:
			}
		}
		close(c.lines)
	}()
	b.t.Cleanup(c.kill)
	return c
}

// kill is kill -9.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// consuming waits until the member says that it consumes.
func (b *bench) consuming(c *child) {
	b.t.Helper()
	limit := time.After(deadline)
	for {
		select {
		case line, ok := <-c.lines:
			if !ok {
				b.t.Fatal("the member ended")
			}
			if strings.Contains(line, "group is consuming") {
				return
			}
		case <-limit:
			b.t.Fatal("the member does not consume")
		}
	}
}

// members waits until the group has settled with n members.
func (b *bench) members(n int) {
	b.t.Helper()
	b.eventually(fmt.Sprintf("%d members", n), func() bool {
		groups, err := b.adm.DescribeGroups(b.ctx, count.Name)
		return err == nil && len(groups[count.Name].Members) == n && groups[count.Name].State == "Stable"
	})
}

// I5, trace 2: three members in processes of their own. They are killed in the
// middle of transactions and started again at once or after others took over;
// they are paused until the group has given them up, and wake with
// transactions open and records in hand. Every table value and every output
// must be as if nothing had happened.
func TestKilledAndPausedProcesses(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	spawn := func(i int) *child { return b.spawn(fmt.Sprintf("m%d", i), dirs[i]) }
	n := 0
	pour := func() {
		b.produce(numbers.Name, 40, 50)
		b.produce(more.Name, 40, 50)
		n += 100
	}
	cs := []*child{spawn(0), spawn(1), spawn(2)}
	b.members(3)
	for i, c := range cs {
		pour()
		c.kill() // its share is half done
		cs[i] = spawn(i)
	}
	pour()
	b.consuming(cs[2])

	cs[0].kill() // another member takes over
	pour()
	b.members(2)
	cs[0] = spawn(0)
	b.members(3)

	pour()
	if err := cs[1].cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	pour()
	b.members(2) // it was given up
	if err := cs[1].cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	pour()
	b.members(3)
	pour()

	b.consumed(count.Name, numbers.Name, more.Name)
	b.sumsExact(40, n)
	for _, c := range cs {
		c.kill()
	}
	// The tables of each, as its disk and the log have them.
	for i := range cs {
		cfg := b.config(fmt.Sprintf("m%d", i))
		cfg.DataDir = dirs[i]
		r := b.start(cfg, Processor{Group: count, Handle: add})
		b.eventually("it owns all partitions", func() bool { return len(r.Assigned()) == testPartitions })
		b.tableExact(r, 40, n)
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// A member that was killed is back on its own disk at once: it keeps its
// partitions, and it reads only the tail of its tables, of which kill -9 took
// nothing but what the last moments wrote.
func TestKilledProcessIsBackFromItsDisk(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	dir := t.TempDir()
	c := b.spawn("m", dir)
	b.consuming(c)
	b.produce(numbers.Name, 200, 50)
	b.consumed(count.Name, numbers.Name)
	c.kill()
	cfg := b.config("m")
	cfg.DataDir = dir
	r := b.start(cfg, Processor{Group: count, Handle: add})
	b.tableExact(r, 200, 50)
	read := metric(t, cfg.Registerer, "recovered_records_total", "")
	t.Logf("%v of 10,000 table records were read again", read)
	if read > 5000 {
		t.Fatalf("%v records were read again", read)
	}
}
