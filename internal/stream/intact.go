package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/eventpro/boxoffice/internal/stream/storage"
)

// intact runs fn on a local database that can be read. As soon as that turns out
// to be damaged, fn is stopped; the next call starts with an empty database, which
// fn recovers from the log.
func intact(ctx context.Context, store *storage.Store, fn func(context.Context) error) error {
	if err := store.Mend(); err != nil {
		return err
	}
	damaged, _ := store.Damaged()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-damaged:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := fn(ctx)
	if _, cause := store.Damaged(); cause != nil {
		return errors.Join(fmt.Errorf("the local tables are damaged: %w", cause), err)
	}
	return err
}
