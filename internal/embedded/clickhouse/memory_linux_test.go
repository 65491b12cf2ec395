package clickhouse_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// Memory stays bounded through a load of three million rows and a query that merges all of them.
func TestMemoryStaysBounded(t *testing.T) {
	t.Parallel()
	c := serve(t, t.TempDir())
	conn := c.connect(t)
	idle := c.residentMB(t, "VmRSS")
	execute(t, conn, "CREATE TABLE t (n UInt64, s String) ENGINE = ReplacingMergeTree ORDER BY n")
	const batches, size = 60, 50_000
	for batch := range batches {
		insertNumbers(t, conn, "t", batch*size, size)
	}
	loaded := c.residentMB(t, "VmRSS")
	if got := value[uint64](t, conn, "SELECT count() FROM t FINAL WHERE NOT ignore(s)"); got != batches*size {
		t.Fatalf("%d rows, not %d", got, batches*size)
	}
	peak := c.residentMB(t, "VmHWM")
	t.Logf("resident MB: idle %d, loaded %d, after FINAL %d, peak %d", idle, loaded, c.residentMB(t, "VmRSS"), peak)
	const limit = 800 // the engine's own 600 and the library's mapped pages
	if peak > limit {
		t.Fatalf("the server's memory reached %d MB", peak)
	}
}

// residentMB is the child's resident memory as field (VmRSS, VmHWM, RssAnon) of its status says.
func (c *child) residentMB(t *testing.T, field string) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var kb int
		if n, _ := fmt.Sscanf(line, field+": %d kB", &kb); n == 1 {
			return kb >> 10
		}
	}
	t.Fatalf("no %s in %s", field, status)
	return 0
}
