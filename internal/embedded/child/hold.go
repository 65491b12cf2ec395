package child

import (
	"context"
	"fmt"
	"os"
	"slices"
)

// Hold keeps the next process from being started, for those who want to see
// what happens while a role is away. The present process goes on; when it ends
// while it is held, that is no failure that makes the pauses longer. Holding a
// child that is held already changes nothing.
func (c *Child) Hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		c.held = make(chan struct{})
	}
}

// Release lets the next process be started.
func (c *Child) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held != nil {
		close(c.held)
		c.held = nil
	}
}

// SetArgs gives the processes that are started from now on further arguments,
// instead of those of the last call.
func (c *Child) SetArgs(more ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.more = slices.Clone(more)
}

// Signal sends the present process a signal.
func (c *Child) Signal(s os.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process == nil {
		return fmt.Errorf("%s does not run", c.spec.Name)
	}
	return c.process.Signal(s)
}

// released waits until the child is not held; false when ctx ends before.
func (c *Child) released(ctx context.Context) bool {
	for {
		c.mu.Lock()
		held := c.held
		c.mu.Unlock()
		if held == nil {
			return ctx.Err() == nil
		}
		select {
		case <-held:
		case <-ctx.Done():
			return false
		}
	}
}

// endedHeld says whether the last process ended while the child was held.
func (c *Child) endedHeld() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.endHeld
}

func (c *Child) args() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Concat(c.spec.Args, c.more)
}
