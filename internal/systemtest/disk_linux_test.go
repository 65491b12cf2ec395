package systemtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// smallDisk is a file system of its own in memory, seen through the process
// that holds it: no privilege is needed where user namespaces are allowed.
func smallDisk(t *testing.T, mb int) string {
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
		t.Fatal(err)
	}
	said := &output{}
	holder.Stdout, holder.Stderr = said, said
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(stdin.Close(), holder.Wait()) }) // it only held the disk
	eventually(t, "the small disk is mounted", func() error {
		if !strings.Contains(said.String(), "mounted") {
			return fmt.Errorf("mount says %q", said)
		}
		return nil
	})
	return fmt.Sprintf("/proc/%d/root%s", holder.Process.Pid, at)
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

// The disk of log, ledger and tables becomes full while attendees order: somebody is told so in plain
// words; and once there is space again and the system was started anew, every
// order that had been accepted is there and the sale goes on.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, 300)
	s := start(t, newLayout(t))
	s.stop(t)
	// ClickHouse follows no link out of its name space; its own tests fill its
	// disk.
	for _, part := range []string{"kafka", "provider", "tables"} {
		from, to := filepath.Join(s.dir, part), filepath.Join(disk, part)
		if err := errors.Join(os.CopyFS(to, os.DirFS(from)), os.RemoveAll(from), os.Symlink(to, from)); err != nil {
			t.Fatal(err)
		}
	}
	s = s.restart(t)
	event := s.newEvent(t, "full disk", 100_000)
	orders := startLoad(t, func() *system { return s }, event, "full", 4)
	orders.awaitAnswered(t, 200)
	ballast := fill(t, disk, 2)
	eventually(t, "the full disk is told", func() error {
		if said := s.output.String(); !strings.Contains(said, "no space left on device") && !strings.Contains(said, "disk is full") {
			return fmt.Errorf("%d orders, it only says:\n%s", orders.answered.Load(), said)
		}
		return nil
	})
	accepted := orders.finish(t)
	if err := os.Remove(ballast); err != nil {
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
