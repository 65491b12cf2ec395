package systemtest

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// smallDisk is a file system of its own in memory, seen through the process
// that holds it. No privilege is needed where user namespaces are allowed; where
// they are not it says so.
func smallDisk(t *testing.T, mb int) (path string, err error) {
	t.Helper()
	at := t.TempDir()
	holder := exec.Command("sh", "-c", `mount -t tmpfs -o size="$1"m tmpfs "$0" && echo mounted && exec cat`, at, fmt.Sprint(mb))
	holder.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	stdin, err := holder.StdinPipe()
	if err != nil {
		return "", err
	}
	stdout, err := holder.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := holder.Start(); err != nil {
		return "", err
	}
	t.Cleanup(func() { _ = errors.Join(stdin.Close(), holder.Wait()) }) // it only held the disk
	if word, err := bufio.NewReader(stdout).ReadString('\n'); word != "mounted\n" {
		return "", fmt.Errorf("mount said %q: %w", word, err)
	}
	return fmt.Sprintf("/proc/%d/root%s", holder.Process.Pid, at), nil
}

// moveTo puts parts of a stopped system onto another disk. ClickHouse follows no
// link out of its name space; its own tests fill its disk.
func (l layout) moveTo(t *testing.T, disk string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		from, to := filepath.Join(l.dir, part), filepath.Join(disk, part)
		if err := errors.Join(os.CopyFS(to, os.DirFS(from)), os.RemoveAll(from), os.Symlink(to, from)); err != nil {
			t.Fatal(err)
		}
	}
}

// fill takes all but a little of the space that is left; it is given back by
// removing the file.
func fill(t *testing.T, disk string, leaveMB uint64) (ballast string) {
	t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(disk, &s); err != nil {
		t.Fatal(err)
	}
	ballast = filepath.Join(disk, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size := int64(s.Bavail)*s.Bsize - int64(leaveMB<<20) //nolint:gosec // a disk of some megabytes
	if err := syscall.Fallocate(int(f.Fd()), 0, 0, size); err != nil {
		t.Fatal(err)
	}
	return ballast
}

// limitFiles keeps the files of a role from growing, which is as a full disk to
// it.
func (s *system) limitFiles(t *testing.T, role string) {
	t.Helper()
	limit := unix.Rlimit{Cur: 64 << 10, Max: unix.RLIM_INFINITY}
	if err := unix.Prlimit(s.pid(t, role), unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		t.Fatal(err)
	}
}

// The disk of log, ledger and tables becomes full while attendees order:
// somebody is told so in plain words; and once there is space again and the
// system was started anew, every order that had been accepted is there and the
// sale goes on.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	s := start(t, newLayout(t))
	disk, err := smallDisk(t, 300)
	if err == nil {
		s.stop(t)
		s.moveTo(t, disk, "kafka", "provider", "tables")
		s = s.restart(t)
	} else {
		t.Logf("no disk can be made here (%v): limiting the size of the log's and the ledger's files instead", err)
	}
	event := s.newEvent(t, "full disk", 100_000)
	orders := startLoad(t, func() *system { return s }, event, "full", 4)
	orders.awaitAnswered(t, 200)
	free := func() error { return nil }
	if disk != "" {
		ballast := fill(t, disk, 2)
		free = func() error { return os.Remove(ballast) }
	} else {
		s.limitFiles(t, "kafka")
		s.limitFiles(t, "provider")
	}
	eventually(t, "the full disk is told", func() error {
		said := s.output.String()
		for _, words := range []string{syscall.ENOSPC.Error(), syscall.EFBIG.Error(), "disk is full"} {
			if strings.Contains(said, words) {
				return nil
			}
		}
		return fmt.Errorf("%d orders, it only says:\n%s", orders.answered.Load(), said)
	})
	accepted := orders.finish(t)
	if err := free(); err != nil {
		t.Fatal(err)
	}
	s.killAll()
	s = s.restart(t)
	accepted = append(accepted, s.buy(t, event, "after-full").RegistrationID)
	for _, id := range accepted {
		s.awaitSettled(t, id)
	}
	s.checkBooks(t, accepted)
}
