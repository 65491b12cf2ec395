package main

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// listen opens a TCP port and says who holds it when it is taken.
func listen(what, addr string) (net.Listener, error) {
	listener, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("the %s address %s is taken%s: end that process or choose another address", what, addr, holder(addr))
	}
	if err != nil {
		return nil, fmt.Errorf("the %s address %s cannot be opened: %w", what, addr, err)
	}
	return listener, nil
}
