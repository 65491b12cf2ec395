package writeback

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// After the call the disk has the file's data, long before the system would have
// begun: after 30 s, if nobody has changed that.
func TestSendReachesTheDisk(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "segment")
	if err := os.WriteFile(path, make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	inMemory := func() uint64 {
		var s unix.Cachestat_t
		err := unix.Cachestat(uint(f.Fd()), &unix.CachestatRange{}, &s, 0)
		if err != nil && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EOPNOTSUPP) {
			t.Fatal(err)
		}
		return s.Dirty + s.Writeback // 0 before Linux 6.5, which cannot tell: the call is checked alone then
	}
	if err := send(path); err != nil {
		t.Fatal(err)
	}
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for limit := time.Now().Add(20 * time.Second); inMemory() > 0; <-look.C {
		if time.Now().After(limit) {
			t.Fatalf("%d pages are not on disk", inMemory())
		}
	}
}
