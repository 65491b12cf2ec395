package main

import (
	"context"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/eventpro/boxoffice/internal/availability"
	"github.com/eventpro/boxoffice/internal/embedded/supervise"
	"github.com/eventpro/boxoffice/processors/registrations"
)

// runRole runs the parts of a role of its own until ctx ends: each stage of
// parts starts when the one before it is ready.
func runRole(ctx context.Context, env *environment, f childFlags, metricsAddr string, registry *prometheus.Registry, where addresses, stages ...[]part) error {
	ctx = f.attach(ctx, env)
	listener, err := listen("the metrics", "--metrics-addr", metricsAddr)
	if err != nil {
		return err
	}
	supervisor := supervise.New(supervise.Options{Logger: env.log})
	telemetry := part{name: "telemetry", ready: func() bool { return true }, run: func(ctx context.Context) error {
		return serveTelemetry(ctx, listener, registry, supervisor.States)
	}}
	for _, parts := range append([][]part{{telemetry}}, stages...) {
		if err := startAll(ctx, supervisor, parts); err != nil {
			_ = supervisor.Stop()
			return err
		}
	}
	if err := f.announce(env, where); err != nil {
		return err
	}
	waited := supervisor.Wait(ctx)
	if err := supervisor.Stop(); waited == nil {
		waited = err
	}
	return waited
}

// processCommand runs stream processors.
type processCommand struct {
	childFlags  `embed:""`
	roleFlags   `embed:""`
	sagaFlags   `embed:""`
	Groups      []string `arg:"" optional:"" help:"Groups to run; all when none is given."`
	ProviderURL string   `help:"The payment provider." default:"http://127.0.0.1:8090" placeholder:"URL"`
}

// Run implements the command.
func (c *processCommand) Run(ctx context.Context, env *environment) error {
	registry := newRegistry()
	cfg, err := c.stream(env, registry, "tables")
	if err != nil {
		return err
	}
	var stages [][]part
	var r *availability.Index
	if needsRoom(c.Groups) {
		var follow part
		if r, follow, err = openRoom(cfg); err != nil {
			return err
		}
		stages = append(stages, []part{follow})
	}
	parts, err := newProcessors(cfg, processOptions{groups: c.Groups, providerURL: c.ProviderURL, rules: c.rules(), room: r})
	if err != nil {
		return err
	}
	return runRole(ctx, env, c.childFlags, c.MetricsAddr, registry, addresses{}, append(stages, parts)...)
}

func (f *sagaFlags) rules() registrations.Rules {
	rules := registrations.DefaultRules()
	rules.HoldTimeout, rules.ChargeTimeout = f.HoldTimeout, f.ChargeTimeout
	return rules
}

// viewsCommand runs the look-ups.
type viewsCommand struct {
	childFlags `embed:""`
	roleFlags  `embed:""`
	keyFlags   `embed:""`
	ViewsAddr  string `help:"Address of the look-ups (REST and gRPC)." default:"127.0.0.1:8081" placeholder:"HOST:PORT"`
}

// Run implements the command.
func (c *viewsCommand) Run(ctx context.Context, env *environment) error {
	registry := newRegistry()
	cfg, err := c.stream(env, registry, "views")
	if err != nil {
		return err
	}
	keys, err := c.open(env.log)
	if err != nil {
		return err
	}
	go keys.Watch(ctx, keyReload)
	listener, err := listen("the look-ups", "--views-addr", c.ViewsAddr)
	if err != nil {
		return err
	}
	lookups, follow, err := openTables(cfg)
	if err != nil {
		return err
	}
	r, seats, err := openRoom(cfg)
	if err != nil {
		return err
	}
	server, err := newLookups(lookups, r, keys, cfg, listener)
	if err != nil {
		return err
	}
	return runRole(ctx, env, c.childFlags, c.MetricsAddr, registry, listening(listener), append(follow, seats), []part{server})
}

// keyReload is how often the key file is looked at.
const keyReload = 5 * time.Second

func listening(l net.Listener) addresses { return addresses{"addr": {l.Addr().String()}} }

// ingestCommand runs the front door.
type ingestCommand struct {
	childFlags     `embed:""`
	roleFlags      `embed:""`
	keyFlags       `embed:""`
	IngestAddr     string `help:"Address of the front door (REST and gRPC)." default:"127.0.0.1:8080" placeholder:"HOST:PORT"`
	ViewsURL       string `help:"Where callers look up what became of their requests." default:"http://127.0.0.1:8081" placeholder:"URL"`
	SealingKeyFile string `help:"Key file for personal data." required:"" type:"path" placeholder:"FILE"`
}

// Run implements the command.
func (c *ingestCommand) Run(ctx context.Context, env *environment) error {
	registry := newRegistry()
	cfg, err := c.stream(env, registry, "ingest")
	if err != nil {
		return err
	}
	keys, err := c.open(env.log)
	if err != nil {
		return err
	}
	go keys.Watch(ctx, keyReload)
	ring, err := openSealing(c.SealingKeyFile)
	if err != nil {
		return err
	}
	listener, err := listen("the front door", "--ingest-addr", c.IngestAddr)
	if err != nil {
		return err
	}
	lookups, follow, err := openDoorTables(cfg)
	if err != nil {
		return err
	}
	door, err := newDoor(cfg, doorOptions{
		listener: listener, keys: keys, sealing: ring, viewsURL: c.ViewsURL,
		catalogue: lookups.events, registrations: lookups.registrations,
	})
	if err != nil {
		return err
	}
	return runRole(ctx, env, c.childFlags, c.MetricsAddr, registry, listening(listener), follow, []part{door})
}

// sinkCommand runs the ClickHouse loader.
type sinkCommand struct {
	childFlags    `embed:""`
	roleFlags     `embed:""`
	ClickhouseURL string `help:"The ClickHouse server: http://user:password@host:8123 or clickhouse://host:9000." default:"http://127.0.0.1:8123" placeholder:"URL"`
}

// Run implements the command.
func (c *sinkCommand) Run(ctx context.Context, env *environment) error {
	registry := newRegistry()
	cfg, err := c.stream(env, registry, "sink")
	if err != nil {
		return err
	}
	sink, _, err := newSink(c.KafkaBrokers, c.ClickhouseURL, cfg.Member, cfg)
	if err != nil {
		return err
	}
	return runRole(ctx, env, c.childFlags, c.MetricsAddr, registry, addresses{}, []part{sink})
}
