package writeback

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// After the call the disk has the file, long before the system would have begun.
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
		if err := unix.Cachestat(uint(f.Fd()), &unix.CachestatRange{}, &s, 0); err != nil {
			if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
				return 0 // Linux before 6.5 cannot tell; that the call is taken is still checked
			}
			t.Fatal(err)
		}
		return s.Dirty + s.Writeback
	}
	if err := send(path); err != nil {
		t.Fatal(err)
	}
	for limit := time.Now().Add(time.Minute); inMemory() > 0; {
		if time.Now().After(limit) {
			t.Fatalf("%d pages are still not on disk", inMemory())
		}
		if err := send(path); err != nil {
			t.Fatal(err)
		}
	}
}
