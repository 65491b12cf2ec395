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
	where["metrics"] = []string{listener.Addr().String()}
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
	Provider    string   `help:"Name of the payment provider in the books." name:"provider-name" default:"simulated" placeholder:"NAME"`
	// ClockSkew is for seeing what a wrong clock does.
	ClockSkew time.Duration `help:"How far this process's clock is ahead of the host's." hidden:""`
}

// Run implements the command.
func (c *processCommand) Run(ctx context.Context, env *environment) error {
	registry := newRegistry()
	cfg, err := c.stream(env, registry, "tables")
	if err != nil {
		return err
	}
	cfg.Clock = func() time.Time { return time.Now().Add(c.ClockSkew) }
	var stages [][]part
	var r *availability.Index
	if needsRoom(c.Groups) {
		var follow part
		if r, follow, err = openRoom(cfg); err != nil {
			return err
		}
		stages = append(stages, []part{follow})
	}
	parts, err := newProcessors(cfg, processOptions{groups: c.Groups, provider: c.Provider, providerURL: c.ProviderURL, rules: c.rules(), room: r})
	if err != nil {
		return err
	}
	where := addresses{"clock_ahead": {time.Until(cfg.Clock()).Round(time.Millisecond).String()}}
	return runRole(ctx, env, c.childFlags, c.MetricsAddr, registry, where, append(stages, parts)...)
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
	// No default: an instance of the look-ups needs no ClickHouse.
	ClickhouseURL string `help:"The ClickHouse server of the reports, which are served beside the look-ups. Default: no reports." placeholder:"URL"`
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
	server, err := newLookups(lookups, r, keys, cfg, listener, c.ClickhouseURL)
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
	sagaFlags     `embed:""`
	ClickhouseURL string `help:"The ClickHouse server: http://user:password@host:8123 or clickhouse://host:9000; several of a cluster as http://a:8123,b:8123." default:"http://127.0.0.1:8123" placeholder:"URL"`
	// ClickhouseCluster has a page of its own: sinks/clickhouse/README.md.
	ClickhouseCluster string        `help:"Make the tables on every server of this ClickHouse cluster, replicated and sharded: its name in remote_servers, or a macro such as {cluster}." placeholder:"NAME"`
	AuditRetention    int64         `name:"audit-retention-months" help:"Months for which the audit trail in ClickHouse is kept; 0 for ever. Facts and topics are kept in any case." default:"0" placeholder:"N"`
	RollupInterval    time.Duration `help:"Pause between refreshes of the rollups in ClickHouse; longer when they take long." default:"30s"`
}

// Run implements the command.
func (c *sinkCommand) Run(ctx context.Context, env *environment) error {
	registry := newRegistry()
	cfg, err := c.stream(env, registry, "sink")
	if err != nil {
		return err
	}
	sink, _, err := newSink(cfg, sinkOptions{
		brokers: c.KafkaBrokers, url: c.ClickhouseURL, cluster: c.ClickhouseCluster, member: cfg.Member, saga: c.sagaFlags,
		auditMonths: c.AuditRetention, rollups: c.RollupInterval,
	})
	if err != nil {
		return err
	}
	return runRole(ctx, env, c.childFlags, c.MetricsAddr, registry, addresses{}, []part{sink})
}
