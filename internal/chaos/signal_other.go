//go:build !unix

package chaos

import "syscall"

// Here a process cannot be stopped and continued: those faults have no effect,
// and the verdict says so.
const (
	sigKill = syscall.SIGKILL
	sigTerm = syscall.SIGTERM
	sigStop = syscall.Signal(0)
	sigCont = syscall.Signal(0)
)
