//go:build !linux && !darwin

package datadir

import "errors"

// freeBytes is not known here; a full disk shows when something is written.
func freeBytes(string) (uint64, error) {
	return 0, errors.ErrUnsupported
}
