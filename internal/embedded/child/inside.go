package child

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
)

// StopWithParent returns a context that ends when stdin does, which is when the
// parent closes it or ends. The child side calls it once with os.Stdin.
func StopWithParent(ctx context.Context, stdin io.Reader) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		// Nothing is ever sent; whatever ends the reading ends the child.
		_, _ = io.Copy(io.Discard, stdin)
		cancel(errParentGone)
	}()
	return ctx
}

var errParentGone = fmt.Errorf("the parent process has ended")

// AnnounceReady tells the parent, on stdout, that this process is ready and
// where it listens. addresses is anything that encoding/json takes.
func AnnounceReady(stdout io.Writer, addresses any) error {
	raw, err := json.Marshal(addresses)
	if err != nil {
		return fmt.Errorf("announcing the addresses: %w", err)
	}
	if _, err := fmt.Fprintf(stdout, "%s%s\n", readyWord, raw); err != nil {
		return fmt.Errorf("announcing the addresses: %w", err)
	}
	return nil
}
