package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// upCommand starts everything and keeps it running.
type upCommand struct {
	sagaFlags      `embed:""`
	DataDir        string        `help:"Folder of everything that is kept." default:".data" type:"path"`
	Processes      bool          `help:"Run every role as a process of its own."`
	Drain          time.Duration `help:"At the end, close the front door first and wait up to this long until every group has read everything and no order is open. What is left then goes on at the next start." default:"0s"`
	ChdbLib        string        `help:"Path of libchdb, when it is not where 'boxoffice setup' puts it." type:"path" placeholder:"FILE"`
	KafkaPorts     []int         `help:"Ports of the embedded brokers." default:"9092,9093,9094"`
	ClickhousePort int           `help:"Port of ClickHouse's HTTP interface." default:"8123"`
	ProviderPort   int           `help:"Port of the simulated payment provider." default:"8090"`
	IngestPort     int           `help:"Port of the front door." default:"8080"`
	ViewsPort      int           `help:"Port of the look-ups." default:"8081"`
	MetricsPort    int           `help:"Port of metrics, health and profiles." default:"9464"`
	DeclineRate    float64       `help:"Share of charges that the simulated provider declines." default:"0"`
	Provider       []string      `hidden:"" help:"Further flags of the provider."`
}

// Run implements the command.
func (c *upCommand) Run(ctx context.Context, env *environment) error {
	if len(c.KafkaPorts) != 3 {
		return usagef("--kafka-ports: the embedded cluster has three brokers, so give three ports")
	}
	started := time.Now()
	say := func(format string, args ...any) { fmt.Fprintf(env.stdout, format+"\n", args...) }
	s, err := openSystem(ctx, env, systemOptions{
		dataDir: c.DataDir, command: "boxoffice up", processes: c.Processes, chdbLib: c.ChdbLib, saga: c.sagaFlags,
		ports: systemPorts{
			kafka: [3]int(c.KafkaPorts), clickhouse: c.ClickhousePort, provider: c.ProviderPort,
			ingest: c.IngestPort, views: c.ViewsPort, metrics: c.MetricsPort,
		},
		provider: append([]string{"--decline-rate", fmt.Sprint(c.DeclineRate)}, c.Provider...), say: say,
	})
	if err != nil {
		return err
	}
	go s.access.keys.Watch(ctx, keyReload)
	say("everything is ready after %s\n", time.Since(started).Round(10*time.Millisecond))
	s.printAddresses(env)
	err = s.wait(ctx)
	if err == nil && c.Drain > 0 {
		err = s.drain(ctx, c.Drain)
	}
	say("stopping")
	if closed := s.close(); err == nil {
		err = closed
	}
	return err
}

// printAddresses tells where everything is and what to try first.
func (s *system) printAddresses(env *environment) {
	table := tabwriter.NewWriter(env.stdout, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{
		{"front door", s.ingestURL + "  (openapi.yaml, REST and gRPC)"},
		{"look-ups", s.viewsURL + "  (openapi.yaml, REST and gRPC)"},
		{"payment provider", s.providerURL},
		{"Kafka", strings.Join(s.brokers, ",")},
		{"ClickHouse", s.clickhouseURL + "  (database boxoffice)"},
		{"metrics, health", s.metricsURL + "/metrics  /readyz"},
		{"data", s.dir.Root()},
		{"API key", s.access.key},
	} {
		fmt.Fprintf(table, "  %s\t%s\n", row[0], row[1])
	}
	_ = table.Flush()
	fmt.Fprintf(env.stdout, `
Try, in another terminal:
  export BOXOFFICE_API_KEY=%s
  boxoffice simulate onsale --registrations 5000 --rate 500
  boxoffice report revenue
Ctrl-C stops everything; what was accepted is kept.
`, s.access.key)
}
