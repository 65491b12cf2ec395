package writeback

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// send starts writing what of a file's data is only in memory, and does not wait for
// the end.
func send(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE)
	if errors.Is(err, unix.EPERM) { // a container's filter of system calls
		return errors.ErrUnsupported
	}
	if err != nil {
		return &os.PathError{Op: "sync_file_range", Path: path, Err: err}
	}
	return nil
}
