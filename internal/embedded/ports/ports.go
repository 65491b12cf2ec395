// Package ports finds out who holds a TCP port, so that a role that cannot
// listen says more than "address already in use".
package ports

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Listen opens a TCP address. When its port is taken, the error is as [Taken]
// makes it.
func Listen(addr, what, change string) (net.Listener, error) {
	listener, err := net.Listen("tcp", addr)
	if err == nil {
		return listener, nil
	}
	if _, port, splitErr := net.SplitHostPort(addr); splitErr == nil {
		if number, convErr := strconv.Atoi(port); convErr == nil {
			err = Taken(err, number, what, change)
		}
	}
	return nil, err
}

// Taken turns a listen error into one that names the port and its holder, and
// leaves every other error as it is. what is the role that wanted it; change says
// how to choose another port.
func Taken(err error, port int, what, change string) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	holder := Holder(port)
	if holder == "" {
		holder = "another process"
	}
	return fmt.Errorf("port %d, which %s needs, is held by %s: stop it, or %s: %w", port, what, holder, change, err)
}

// Holder names the process that listens on a TCP port of this machine, as
// "pid 4711 (postgres)". It is empty when nobody does, when the process belongs
// to another user, and on systems without /proc.
func Holder(port int) string {
	inodes := listening(port)
	if len(inodes) == 0 {
		return ""
	}
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return ""
	}
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil {
			continue // the process has ended, or is not ours
		}
		inode, ok := strings.CutPrefix(target, "socket:[")
		if !ok || !inodes[strings.TrimSuffix(inode, "]")] {
			continue
		}
		pid := strings.Split(link, "/")[2]
		return "pid " + pid + command(pid)
	}
	return ""
}

// listening returns the socket inodes that listen on a port.
func listening(port int) map[string]bool {
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		raw, err := os.ReadFile(table)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		lines := bufio.NewScanner(bytes.NewReader(raw))
		for lines.Scan() {
			// sl local_address rem_address st ... uid timeout inode
			f := strings.Fields(lines.Text())
			const listen = "0A"
			if len(f) < 10 || f[3] != listen {
				continue
			}
			_, hex, _ := strings.Cut(f[1], ":")
			if n, err := strconv.ParseInt(hex, 16, 32); err == nil && int(n) == port {
				inodes[f[9]] = true
			}
		}
	}
	return inodes
}

func command(pid string) string {
	name, err := os.ReadFile("/proc/" + pid + "/comm")
	if err != nil {
		return ""
	}
	return " (" + strings.TrimSpace(string(name)) + ")"
}

// The range that Steady draws from: below the ports that kernels give to
// outgoing connections.
const (
	steadyMin = 21_000
	steadyMax = 32_000
)

// Steady returns n free TCP ports of the loopback interface that no outgoing
// connection can take, before they are bound or while their process is down.
func Steady(n int) ([]int, error) {
	found := make([]int, 0, n)
	for range steadyMax - steadyMin {
		port := steadyMin + rand.IntN(steadyMax-steadyMin) //nolint:gosec // no secret
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		// Held until all are found, so that they differ.
		defer l.Close()
		if found = append(found, port); len(found) == n {
			return found, nil
		}
	}
	return nil, fmt.Errorf("there are no %d free ports from %d to %d", n, steadyMin, steadyMax)
}
