package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/availability"
	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
)

// openRoom returns the availability index of this process and the part that
// feeds it from inventory-table. The registrations group picks blocks from it,
// the look-ups answer from it.
func openRoom(cfg stream.Config) (*availability.Index, part, error) {
	index := availability.New(availability.Options{Seed: uint64(time.Now().UnixNano())})
	follower, err := stream.NewFollower(cfg, []topology.Topic{topology.InventoryTable}, func(record *kgo.Record) {
		if err := index.ApplyRecord(record.Value); err != nil {
			cfg.Logger.Warn("a record of the inventory's table is not readable; its block is left out of the availability",
				slog.String("key", string(record.Key)), slog.Int64("offset", record.Offset), slog.Any("error", err))
		}
	})
	if err != nil {
		return nil, part{}, err
	}
	run := func(ctx context.Context) error {
		go func() {
			select {
			case <-follower.CaughtUp():
				index.SetRecovered(true)
			case <-ctx.Done():
			}
		}()
		return follower.Run(ctx)
	}
	return index, part{name: "availability", run: run, ready: index.Recovered}, nil
}
