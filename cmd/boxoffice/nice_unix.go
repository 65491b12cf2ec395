//go:build unix

package main

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
)

// beNice gives this process the niceness and starts it anew when it has
// another one: a priority belongs to a thread, and only what is started from
// one inherits it.
func beNice(niceness int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	raw, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if err != nil {
		return fmt.Errorf("ask for the priority: %w", err)
	}
	if now := niceOf(raw); now >= niceness {
		return nil
	}
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, niceness); err != nil {
		return fmt.Errorf("lower the priority: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	return syscall.Exec(self, os.Args, os.Environ())
}

// niceOf reads what the system call returns: on Linux 20 less the niceness.
func niceOf(raw int) int {
	if runtime.GOOS == "linux" {
		return 20 - raw
	}
	return raw
}
