package clickhouse_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eventpro/boxoffice/internal/embedded/clickhouse"
)

// A second process on the same directory is told who has it, and does no harm to the first; a crash leaves no lock behind.
func TestDataDirectoryIsHeldByOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := serve(t, dir)
	_, line := startChild(t, childOptions{DataDir: dir})
	if !strings.Contains(line, "is in use by process") || !strings.Contains(line, dir) {
		t.Fatalf("the second process said %q", line)
	}
	if got := value[uint8](t, first.connect(t), "SELECT 1"); got != 1 {
		t.Fatal(got)
	}
	first.kill(t)
	serve(t, dir).stop(t)
}

// A second engine in one process would end it, so it is refused; the first goes on.
func TestOneEnginePerProcess(t *testing.T) {
	t.Parallel()
	library, err := clickhouse.Locate("", os.Getenv("BOXOFFICE_CHDB_LIB"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = clickhouse.Open(clickhouse.Options{Library: library, DataDir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "one data directory") {
		t.Fatalf("got %v", err)
	}
	post(t, "SELECT 1").want(t, "1\n")
}

// A directory with a torn definition, as a power cut can leave it, is refused with its name and what to do, not opened without the table.
func TestTornDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := serve(t, dir)
	conn := c.connect(t)
	execute(t, conn, "CREATE DATABASE d")
	execute(t, conn, "CREATE TABLE d.t (n UInt64) ENGINE = MergeTree ORDER BY n")
	c.kill(t)
	definitions, err := filepath.Glob(filepath.Join(dir, "data", "store", "*", "*", "t.sql"))
	if err != nil || len(definitions) != 1 {
		t.Fatalf("%v %v", definitions, err)
	}
	if err := os.Truncate(definitions[0], 10); err != nil {
		t.Fatal(err)
	}
	c, line := startChild(t, childOptions{DataDir: dir})
	if !strings.Contains(line, "refused: clickhouse did not start on "+dir) || !strings.Contains(line, "move it away") {
		t.Fatalf("the server said %q", line)
	}
	_ = c.cmd.Wait()
	if !strings.Contains(c.errors(), "t.sql") {
		t.Fatalf("nothing names the damaged file: %s", c.errors())
	}
}

// Options that cannot work are one clear message each.
func TestUnusableOptions(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("no library"), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		options childOptions
		says    string
	}{
		"no directory":        {childOptions{}, "Library and DataDir are required"},
		"a file as directory": {childOptions{DataDir: filepath.Join(file, "data")}, "clickhouse data directory"},
		"no library":          {childOptions{DataDir: t.TempDir(), Library: file}, "make setup"},
		"too little memory":   {childOptions{DataDir: t.TempDir(), MaxMemoryBytes: 1 << 20}, "needs at least"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, line := startChild(t, c.options); !strings.HasPrefix(line, "refused: ") || !strings.Contains(line, c.says) {
				t.Fatalf("the server said %q", line)
			}
		})
	}
}

// After one engine has stopped the same process can open another directory, and the first one again, as tests of other packages do.
func TestOpenAgain(t *testing.T) {
	t.Parallel()
	a, b := t.TempDir(), t.TempDir()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(executable)
	cmd.Env = append(os.Environ(), "BOXOFFICE_TEST_CHILD=reopen", "BOXOFFICE_TEST_DIRS="+strings.Join([]string{a, b, a}, string(os.PathListSeparator)))
	out, err := cmd.Output()
	if err != nil || string(out) != "1\n1\n2\n" {
		t.Fatalf("%q %v", out, err)
	}
}
