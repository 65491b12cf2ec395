package clickhouse_test

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventpro/boxoffice/internal/embedded/clickhouse"
)

// The disk refuses writes in the middle of an insert: the insert fails and is not acknowledged, the server ends and says why, and after a
// restart every acknowledged row is there and the repeated insert works. A limit on the size of files, which every user may set, plays
// the full disk.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := serve(t, dir)
	conn := c.connect(t)
	execute(t, conn, "CREATE TABLE t (n UInt64, s String) ENGINE = MergeTree ORDER BY n")
	insertNumbers(t, conn, "t", 0, 1000)
	const insert = "INSERT INTO t SELECT number + 1000, randomPrintableASCII(100) FROM numbers(100000)"
	limitFileSize(t, c.cmd.Process.Pid, 1<<20)
	if err := conn.Exec(t.Context(), insert); err == nil || !strings.Contains(err.Error(), "the disk refused") {
		t.Fatalf("the insert into a full disk said %v", err)
	}
	if line := c.line(); !strings.Contains(line, clickhouse.ErrDisk.Error()) {
		t.Fatalf("the server ended with %q: %s", line, c.errors())
	}
	_ = c.cmd.Wait()
	c = serve(t, dir)
	conn = c.connect(t)
	if got := value[uint64](t, conn, "SELECT uniqExact(n, s) FROM t"); got != 1000 {
		t.Fatalf("%d rows of the 1000 acknowledged ones", got)
	}
	execute(t, conn, insert)
	if got := value[uint64](t, conn, "SELECT uniqExact(n, s) FROM t"); got != 101000 {
		t.Fatalf("%d rows after the insert was repeated", got)
	}
}

// limitFileSize bounds the size of the files that a process writes, in bytes: writing past it fails as on a full disk (EFBIG).
func limitFileSize(t *testing.T, pid int, bytes uint64) {
	t.Helper()
	limit := unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}
	if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		t.Fatal(err)
	}
}
