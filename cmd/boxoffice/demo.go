package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/eventpro/boxoffice/internal/embedded/ports"
	"github.com/eventpro/boxoffice/internal/figures"
	"github.com/eventpro/boxoffice/internal/load"
	"github.com/eventpro/boxoffice/internal/verify"
	"github.com/eventpro/boxoffice/reports"
	"github.com/eventpro/boxoffice/sinks/clickhouse"
)

// demoCommand starts everything embedded, sells out a large event and checks
// the books.
type demoCommand struct {
	saleFlags `embed:""`
	sagaFlags `embed:""`
	JSON      string `help:"File that gets the figures as JSON." name:"json" type:"path" placeholder:"FILE"`
	Profiles  string `help:"Folder that gets CPU profiles, one a process, for 'go tool pprof'." type:"path" placeholder:"DIR"`
	DataDir   string `help:"Folder of everything that is kept. Default: a temporary one." type:"path" placeholder:"DIR"`
	Keep      bool   `help:"Keep the data folder and go on running after the sale, until Ctrl-C."`
	Processes bool   `help:"Run every role as a process of its own."`
	ChdbLib   string `help:"Path of libchdb, when it is not where 'boxoffice setup' puts it." type:"path" placeholder:"FILE"`
}

// declineRate is the share of cards that the demo's provider declines.
const declineRate = 0.04

// Run implements the command.
func (c *demoCommand) Run(ctx context.Context, env *environment) (err error) {
	cfg, err := c.config()
	if err != nil {
		return err
	}
	dir, remove, err := c.folder()
	if err != nil {
		return err
	}
	defer remove()
	started := time.Now()
	heading(env.stdout, "Start")
	s, err := c.open(ctx, env, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	fmt.Fprintf(env.stdout, "  everything is ready after %s: Kafka, ClickHouse, provider, processors, views, loader, front door\n",
		time.Since(started).Round(10*time.Millisecond))
	cfg.IngestURL, cfg.APIKey, cfg.Brokers, cfg.Logger = s.ingestURL, s.access.key, s.brokers, env.log
	cfg.Run = newRunName()
	cfg.AcceptedFile = filepath.Join(dir, "accepted-"+cfg.Run+".ndjson")
	outcome, err := c.sellAndCheck(ctx, env, s, cfg)
	if err != nil {
		return err
	}
	if err := outcome.write(ctx, env, s, c.JSON); err != nil {
		return err
	}
	if c.Keep {
		s.printAddresses(env)
		err = s.wait(ctx)
	}
	if !outcome.books.OK() {
		return errors.Join(err, errBroken)
	}
	return err
}

// folder returns the data folder and what removes a temporary one.
func (c *demoCommand) folder() (dir string, remove func(), err error) {
	if c.DataDir != "" {
		return c.DataDir, func() {}, nil
	}
	dir, err = os.MkdirTemp("", "boxoffice-demo-")
	if err != nil {
		return "", nil, fmt.Errorf("make a temporary data folder: %w", err)
	}
	if c.Keep {
		return dir, func() {}, nil
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil
}

func (c *demoCommand) open(ctx context.Context, env *environment, dir string) (*system, error) {
	if c.Profiles != "" {
		if err := os.MkdirAll(c.Profiles, 0o755); err != nil {
			return nil, usagef("--profiles: %v", err)
		}
	}
	free, err := ports.Steady(8)
	if err != nil {
		return nil, err
	}
	return openSystem(ctx, env, systemOptions{
		dataDir: dir, command: "boxoffice demo", processes: c.Processes, chdbLib: c.ChdbLib, saga: c.sagaFlags, profileDir: c.Profiles,
		ports: systemPorts{
			kafka: [3]int(free[:3]), clickhouse: free[3], provider: free[4],
			ingest: free[5], views: free[6], metrics: free[7],
		},
		provider: []string{"--seed", fmt.Sprint(c.Seed), "--decline-rate", fmt.Sprint(declineRate)},
		say:      func(format string, args ...any) { fmt.Fprintf(env.stdout, "  "+format+"\n", args...) },
	})
}

// sellAndCheck runs the sale, waits until ClickHouse has everything, and
// recomputes the invariants.
func (c *demoCommand) sellAndCheck(ctx context.Context, env *environment, s *system, cfg load.Config) (*outcome, error) {
	fmt.Fprintf(env.stdout, "\nNational Developer Conference: %s places, %s requests%s\n",
		grouped(int64(cfg.Places)), grouped(int64(c.Registrations)), c.pace())
	meter, err := s.startMeter()
	if err != nil {
		return nil, err
	}
	result, err := sell(ctx, env, cfg)
	if err != nil {
		_, _ = meter.stop()
		return nil, err
	}
	loading := time.Now()
	if err := s.caughtUp(ctx); err != nil {
		_, _ = meter.stop()
		return nil, fmt.Errorf("ClickHouse did not catch up: %w", err)
	}
	o := &outcome{sale: result, loadedAfter: time.Since(loading)}
	if o.usage, err = meter.stop(); err != nil {
		return nil, err
	}
	if c.Profiles != "" {
		if err := os.WriteFile(filepath.Join(c.Profiles, ownProcess+".pprof"), o.usage.profile, 0o644); err != nil {
			return nil, fmt.Errorf("write the CPU profile: %w", err)
		}
	}
	if o.records, err = countRecords(ctx, s.brokers); err != nil {
		return nil, err
	}
	fmt.Fprintf(env.stdout, "  checking the books ...\n")
	o.books, err = verify.Run(ctx, verify.Options{
		Brokers: s.brokers, ProviderURL: s.providerURL, ClickHouseURL: s.clickhouseURL,
		AcceptedFile: cfg.AcceptedFile, AtRest: true, Logger: env.log,
	})
	if err != nil {
		return nil, fmt.Errorf("check the books: %w", err)
	}
	return o, nil
}

func (c *demoCommand) pace() string {
	if c.Rate > 0 {
		return fmt.Sprintf(", %g a second", c.Rate)
	}
	return ", as fast as the system decides"
}

// outcome is all that a demo found out.
type outcome struct {
	sale        load.Result
	loadedAfter time.Duration // until ClickHouse had everything, after the sale
	usage       usage
	records     recordCounts
	books       verify.Report
}

// recordsPerS is the rate of event and command records over the sale.
func (o *outcome) recordsPerS() float64 {
	return float64(o.records.eventsAndCommands) / o.sale.Duration.Seconds()
}

// write tells people and, with a file, programs.
func (o *outcome) write(ctx context.Context, env *environment, s *system, file string) error {
	writeSale(env.stdout, o.sale)
	fmt.Fprintf(env.stdout, "  %-22s %s event and command records/s (%s in all), loaded into ClickHouse %s after the last\n",
		"records", grouped(int64(o.recordsPerS())), grouped(o.records.eventsAndCommands), o.loadedAfter.Round(10*time.Millisecond))
	o.usage.write(env.stdout, o.sale.Confirmed)
	heading(env.stdout, "Revenue")
	report := reportCommand{Name: "revenue", ClickhouseURL: s.clickhouseURL, Database: clickhouse.DefaultDatabase}
	if err := report.Run(ctx, env); err != nil {
		return err
	}
	heading(env.stdout, "Books")
	if _, err := o.books.WriteTo(env.stdout); err != nil {
		return err
	}
	if o.books.OK() {
		fmt.Fprintln(env.stdout, "\nEvery invariant holds: recomputed from the topics, the provider's ledger and ClickHouse.")
	}
	if file == "" {
		return nil
	}
	return o.writeJSON(ctx, s, file)
}

type revenueFigures struct {
	Currency string `json:"currency"`
	Gross    string `json:"gross"`
	Refunds  string `json:"refunds"`
	Fees     string `json:"fees"`
	Net      string `json:"net"`
}

func (o *outcome) writeJSON(ctx context.Context, s *system, file string) error {
	db, err := clickhouse.OpenDB(s.clickhouseURL, clickhouse.DefaultDatabase)
	if err != nil {
		return err
	}
	defer db.Close()
	totals, err := reports.RevenueTotals(ctx, db, reports.Params{})
	if err != nil {
		return err
	}
	revenue := make([]revenueFigures, 0, len(totals))
	for _, t := range totals {
		revenue = append(revenue, revenueFigures{
			t.Currency, figures.Decimal(t.GrossMinor, t.Currency), figures.Decimal(t.RefundsMinor, t.Currency),
			figures.Decimal(t.FeesMinor, t.Currency), figures.Decimal(t.NetMinor, t.Currency),
		})
	}
	raw, err := json.MarshalIndent(o.figures(revenue), "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(raw, '\n'), 0o644)
}

// demoFigures is the shape of --json.
type demoFigures struct {
	Requests          int64              `json:"requests"`
	Accepted          int64              `json:"accepted"`
	Confirmed         int64              `json:"confirmed"`
	Tickets           int64              `json:"tickets"`
	SoldOut           int64              `json:"sold_out"`
	PaymentFailed     int64              `json:"payment_failed"`
	Expired           int64              `json:"expired"`
	Cancelled         int64              `json:"cancelled"`
	DurationS         float64            `json:"duration_s"`
	ConfirmedPerS     float64            `json:"confirmed_per_s"`
	EventsPerS        float64            `json:"events_per_s"`
	LoadedAfterS      float64            `json:"loaded_after_s"`
	LatencyMs         map[string]float64 `json:"latency_ms"`
	CPUUsPerConfirmed map[string]float64 `json:"cpu_us_per_confirmed"`
	ResidentMB        map[string]float64 `json:"resident_mb"`
	Revenue           []revenueFigures   `json:"revenue"`
	Invariants        []invariantFigures `json:"invariants"`
}

type invariantFigures struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

func (o *outcome) figures(revenue []revenueFigures) demoFigures {
	r := o.sale
	f := demoFigures{
		Requests: r.Sent, Accepted: r.Accepted, Confirmed: r.Confirmed, Tickets: r.Tickets, SoldOut: r.SoldOut,
		PaymentFailed: r.PaymentFailed, Expired: r.Expired, Cancelled: r.Cancelled,
		DurationS: r.Duration.Seconds(), ConfirmedPerS: r.ConfirmedPerS, EventsPerS: o.recordsPerS(),
		LoadedAfterS: o.loadedAfter.Seconds(),
		LatencyMs: map[string]float64{
			"p50": float64(r.Confirmation.P50.Microseconds()) / 1000,
			"p95": float64(r.Confirmation.P95.Microseconds()) / 1000,
			"p99": float64(r.Confirmation.P99.Microseconds()) / 1000,
		},
		CPUUsPerConfirmed: o.usage.perConfirmed(r.Confirmed), ResidentMB: o.usage.residentMB(), Revenue: revenue,
	}
	for _, i := range o.books.Invariants {
		f.Invariants = append(f.Invariants, invariantFigures{i.Name, i.OK, i.Detail})
	}
	return f
}
