package writeback

import (
	"os"

	"golang.org/x/sys/unix"
)

// send starts writing what of a file is only in memory, and does not wait for the end.
func send(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE); err != nil {
		return &os.PathError{Op: "sync_file_range", Path: path, Err: err}
	}
	return nil
}
