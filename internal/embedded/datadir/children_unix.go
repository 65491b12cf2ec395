//go:build linux || darwin

package datadir

import (
	"errors"
	"os"
	"syscall"
)

// lockInherited locks a file for this process and all that inherit the open
// file; the lock ends with the last of them. False when others have it.
func lockInherited(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}
