package main

import (
	"io"
	"log/slog"
	"runtime/debug"

	"github.com/alecthomas/kong"
)

// cli is every command and flag; docs/CONFIG.md is generated from it.
type cli struct {
	Config    string           `help:"File with settings: one 'flag-name: value' a line. A flag beats the environment, which beats the file." placeholder:"FILE" type:"path"`
	LogLevel  slog.Level       `help:"Least level that is logged: debug, info, warn or error." default:"warn"`
	LogFormat string           `help:"How log lines look: text or json." enum:"text,json" default:"text"`
	Version   kong.VersionFlag `help:"Print the version and exit." env:"-"`

	Demo     demoCommand     `cmd:"" group:"start" help:"Start everything, sell out a large event, check the books."`
	Up       upCommand       `cmd:"" group:"start" help:"Start everything and keep it running."`
	Setup    setupCommand    `cmd:"" group:"start" help:"Bring what the embedded mode needs: the ClickHouse engine."`
	Simulate simulateCommand `cmd:"" group:"start" help:"Put load on a running system, or make up a past."`
	Bench    benchCommand    `cmd:"" group:"start" help:"Measure throughput, latency, CPU per role and memory."`
	Chaos    chaosCommand    `cmd:"" group:"start" help:"Break one thing after another under load and check that nothing is lost."`

	Report  reportCommand  `cmd:"" group:"tools" help:"Make a report: for the terminal, as a spreadsheet, page or PDF."`
	Verify  verifyCommand  `cmd:"" group:"tools" help:"Recompute the invariants from the topics, the ledger and ClickHouse."`
	Dlq     dlqCommand     `cmd:"" group:"tools" help:"List, show, redrive or discard dead letters."`
	Sagas   sagasCommand   `cmd:"" group:"tools" help:"List, show, retry and resolve registrations and payments that are not at rest."`
	Import  importCommand  `cmd:"" group:"tools" help:"Bring the history of another system: orders that were sold and paid for there."`
	Rebuild rebuildCommand `cmd:"" group:"tools" help:"Recompute what is derived from the log, compare and swap."`
	Drain   drainCommand   `cmd:"" group:"tools" help:"Wait until nothing is under way in a system whose front door is closed."`
	Topics  topicsCommand  `cmd:"" group:"tools" help:"Create or describe the topics."`
	Keys    keysCommand    `cmd:"" group:"tools" help:"Make an API key."`
	Docs    docsCommand    `cmd:"" group:"tools" help:"Write the generated documents."`

	ReportSchedule reportScheduleCommand `cmd:"" group:"tools" help:"Make reports at set times, into folders and mails."`
	Settle         settleCommand         `cmd:"" group:"tools" help:"Hold a payment provider's settlement against our payments, line by line."`

	Kafka      kafkaCommand      `cmd:"" group:"roles" help:"Run the embedded Kafka cluster."`
	Clickhouse clickhouseCommand `cmd:"" group:"roles" help:"Run the embedded ClickHouse server."`
	Provider   providerCommand   `cmd:"" group:"roles" help:"Run the simulated payment provider."`
	Ingest     ingestCommand     `cmd:"" group:"roles" help:"Run the front door (REST and gRPC)."`
	Process    processCommand    `cmd:"" group:"roles" help:"Run stream processors."`
	Views      viewsCommand      `cmd:"" group:"roles" help:"Run the look-ups (REST and gRPC)."`
	Sink       sinkCommand       `cmd:"" group:"roles" help:"Run the ClickHouse loader."`
}

// environment is what a command may touch of the world.
type environment struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	log            *slog.Logger
	logLevel       slog.Level // what log has, for children
}

var discardLog = slog.New(slog.DiscardHandler)

func (c *cli) logger(w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// version is the module version or the commit that this was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			v += " " + s.Value[:12]
		}
	}
	return v
}
