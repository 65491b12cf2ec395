//go:build unix

package child

import (
	"os/exec"
	"syscall"
)

// apart puts the process into a group of its own: Ctrl-C on a terminal reaches
// the parent alone, which then stops its children in order.
func apart(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}
