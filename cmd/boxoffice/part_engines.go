package main

import (
	"context"
	"fmt"
	"time"

	"github.com/eventpro/boxoffice/internal/embedded/clickhouse"
	"github.com/eventpro/boxoffice/internal/embedded/kafka"
	"github.com/eventpro/boxoffice/internal/provider"
	"github.com/eventpro/boxoffice/internal/topology"
)

// setupCommand brings the ClickHouse engine.
type setupCommand struct {
	ChdbLib string `help:"Path of a libchdb that is there already; nothing is downloaded then." type:"path" placeholder:"FILE"`
}

// Run implements the command.
func (c *setupCommand) Run(ctx context.Context, env *environment) error {
	if path, err := clickhouse.Locate("", c.ChdbLib); err == nil {
		fmt.Fprintln(env.stdout, "ClickHouse engine:", path)
		return nil
	} else if c.ChdbLib != "" {
		return usagef("%v", err)
	}
	if err := clickhouse.Fetch(ctx, "", func(line string) { fmt.Fprintln(env.stdout, line) }); err != nil {
		return err
	}
	path, err := clickhouse.Locate("", "")
	if err != nil {
		return err
	}
	fmt.Fprintln(env.stdout, "ClickHouse engine:", path)
	return nil
}

// kafkaCommand runs the embedded cluster.
type kafkaCommand struct {
	childFlags `embed:""`
	Dir        string `help:"Folder of the log." default:".data/kafka" type:"path"`
	Ports      []int  `help:"Ports of the three brokers; 0 is a free one." default:"9092,9093,9094"`
	SyncWrites bool   `help:"Flush every batch to the disk: slower, and survives a loss of power."`
}

// Run implements the command.
func (c *kafkaCommand) Run(ctx context.Context, env *environment) error {
	cluster, err := kafka.Open(kafka.Options{
		Dir: c.Dir, Ports: c.Ports, Logger: env.log, SyncWrites: c.SyncWrites, Leader: leaderOf,
		GCPercent: kafka.DefaultGCPercent, MemoryLimit: kafka.DefaultMemoryLimit,
	})
	if err != nil {
		return err
	}
	return c.serve(ctx, env, addresses{"brokers": cluster.Brokers()}, cluster.Serve)
}

// leaderOf puts all that a group writes on one of the embedded brokers, so that a
// transaction costs one produce request and its reader one fetch, not one for each
// broker: at 1,000 requests/s a tenth of all CPU time, and a quarter of the latency.
func leaderOf(topic string, _ int32) int32 { return writers[topic] }

// writers are the brokers by topic; what no group writes is on the first one.
var writers = func() map[string]int32 {
	brokers := map[string]int32{}
	for broker, groups := range [kafka.NumBrokers][]topology.Group{
		{topology.Registrations, topology.Catalog},
		{topology.Inventory, topology.Attendees},
		{topology.Payments, topology.Gateway},
	} {
		for _, g := range groups {
			for _, t := range append([]topology.Topic{g.Table, g.Timers}, g.Outputs...) {
				if _, known := brokers[t.Name]; !known {
					brokers[t.Name] = int32(broker)
				}
			}
		}
	}
	return brokers
}()

// clickhouseCommand runs the embedded engine.
type clickhouseCommand struct {
	childFlags `embed:""`
	Dir        string `help:"Folder of the data." default:".data/clickhouse" type:"path"`
	Addr       string `help:"Address of the HTTP interface." default:"127.0.0.1:8123"`
	ChdbLib    string `help:"Path of libchdb, when it is not where 'boxoffice setup' puts it." type:"path" placeholder:"FILE"`
	MemoryMb   int64  `help:"Most memory that the engine may use, in megabytes." default:"600"`
	Threads    int    `help:"Threads of one query." default:"2"`
	Nice       int    `help:"Least niceness (Unix): with 10 its merges and queries make way for everything else." default:"0"`
}

// Run implements the command.
func (c *clickhouseCommand) Run(ctx context.Context, env *environment) error {
	if err := beNice(c.Nice); err != nil {
		return err
	}
	library, err := clickhouse.Locate("", c.ChdbLib)
	if err != nil {
		return usagef("%v", err)
	}
	server, err := clickhouse.Open(clickhouse.Options{
		Library: library, DataDir: c.Dir, Addr: c.Addr,
		MaxMemoryBytes: c.MemoryMb << 20, Threads: c.Threads, Logger: env.log,
	})
	if err != nil {
		return err
	}
	return c.serve(ctx, env, addresses{"addr": {server.Addr()}}, server.Serve)
}

// providerCommand runs the simulated payment provider.
type providerCommand struct {
	childFlags   `embed:""`
	ProviderDir  string        `help:"Folder of the ledger." default:".data/provider" type:"path"`
	ProviderAddr string        `help:"Address of the API." default:"127.0.0.1:8090"`
	Seed         uint64        `help:"Decides, with the payment's id, what happens to a charge." default:"1"`
	DeclineRate  float64       `help:"Share of charges that are declined." default:"0"`
	Latency      time.Duration `help:"How long every call takes at least." default:"0s"`
}

// Run implements the command.
func (c *providerCommand) Run(ctx context.Context, env *environment) error {
	behaviour := provider.Behaviour{Seed: c.Seed, DeclineRate: c.DeclineRate, LatencyMS: c.Latency.Milliseconds()}
	p, err := provider.Open(provider.Options{
		Dir: c.ProviderDir, Addr: c.ProviderAddr, Logger: env.log, Registerer: newRegistry(), Behaviour: behaviour,
	})
	if err != nil {
		return err
	}
	return c.serve(ctx, env, addresses{"addr": {p.Addr()}}, p.Serve)
}
