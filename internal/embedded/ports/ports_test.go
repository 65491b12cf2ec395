package ports

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
)

// A role finds its port taken and its error names the port, the process that
// holds it and the way out.
func TestTaken(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	again, err := Listen(l.Addr().String(), "the broker", "use --port")
	if err == nil {
		again.Close()
		t.Fatal("one port was taken twice")
	}
	says := err.Error()
	wants := []string{fmt.Sprintf("port %d, which the broker needs", port), "use --port"}
	if runtime.GOOS == "linux" {
		wants = append(wants, fmt.Sprintf("pid %d (", os.Getpid()))
	}
	for _, want := range wants {
		if !strings.Contains(says, want) {
			t.Errorf("%q does not say %q", says, want)
		}
	}
}

// A port that nobody listens on has no holder, and another error is left alone.
func TestNotTaken(t *testing.T) {
	t.Parallel()
	idle, err := Steady(1)
	if err != nil {
		t.Fatal(err)
	}
	if h := Holder(idle[0]); h != "" {
		t.Errorf("free port is held by %s", h)
	}
	if got := Taken(os.ErrPermission, 1, "x", "y"); !errors.Is(got, os.ErrPermission) || got.Error() != os.ErrPermission.Error() {
		t.Errorf("another error became %v", got)
	}
}

// Ports for processes that come and go are free, differ, and are not among those
// that outgoing connections get.
func TestSteady(t *testing.T) {
	t.Parallel()
	found, err := Steady(20)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, port := range found {
		if port < steadyMin || port >= steadyMax || seen[port] {
			t.Errorf("port %d among %v", port, found)
		}
		seen[port] = true
	}
}
