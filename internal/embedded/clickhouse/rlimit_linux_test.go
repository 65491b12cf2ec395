package clickhouse_test

import (
	"testing"

	"golang.org/x/sys/unix"
)

// limitFileSize bounds the size of the files that a process writes, in bytes: writing past it fails as on a full disk (EFBIG).
func limitFileSize(t *testing.T, pid int, bytes uint64) {
	t.Helper()
	limit := unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}
	if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		t.Fatal(err)
	}
}
