package systemtest

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var (
	// binary is the program under test, built once unless it is given.
	binary  string
	given   = flag.String("binary", "", "a built program to test; empty builds it")
	moments = flag.Int("moments", 6, "how often the kill -9 story kills something")
	seed    = flag.Uint64("seed", 1, "what the moments and the victims are drawn from")
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	if binary = *given; binary != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "boxoffice-systemtest")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "boxoffice")
	build := exec.Command("go", append(append([]string{"build"}, buildFlags...), "-o", binary, "../../cmd/boxoffice")...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "the program cannot be built: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}
