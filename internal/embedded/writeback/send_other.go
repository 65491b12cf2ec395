//go:build !linux

package writeback

import "errors"

func send(string) error { return errors.ErrUnsupported }
