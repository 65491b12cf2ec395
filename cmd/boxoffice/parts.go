package main

import (
	"context"
	"net"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/eventpro/boxoffice/ingest"
	"github.com/eventpro/boxoffice/internal/apikey"
	"github.com/eventpro/boxoffice/internal/availability"
	"github.com/eventpro/boxoffice/internal/sagas"
	"github.com/eventpro/boxoffice/internal/sealing"
	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/processors/attendees"
	"github.com/eventpro/boxoffice/processors/catalog"
	"github.com/eventpro/boxoffice/processors/gateway"
	"github.com/eventpro/boxoffice/processors/inventory"
	"github.com/eventpro/boxoffice/processors/payments"
	"github.com/eventpro/boxoffice/processors/registrations"
	"github.com/eventpro/boxoffice/sinks/clickhouse"
	"github.com/eventpro/boxoffice/views"
)

// processOptions is what the processors need beyond the stream configuration.
type processOptions struct {
	groups      []string // which ones; empty means all
	provider    string   // its name; empty for the gateway's default
	providerURL string
	rules       registrations.Rules
	room        *availability.Index
	quietWaits  map[string]time.Duration // by group; the configuration's for the others
}

// groupNames are the groups that `boxoffice process` can run.
func groupNames() []string {
	return []string{
		topology.Catalog.Name, topology.Registrations.Name, topology.Inventory.Name,
		topology.Payments.Name, topology.Attendees.Name, topology.Gateway.Name, topology.Retrier.Name,
	}
}

// newProcessors wires the groups.
func newProcessors(cfg stream.Config, o processOptions) ([]part, error) {
	wanted := o.groups
	if len(wanted) == 0 {
		wanted = groupNames()
	}
	var parts []part
	for _, name := range wanted {
		p, err := newProcessor(cfg, name, o)
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	return parts, nil
}

func newProcessor(cfg stream.Config, name string, o processOptions) (part, error) {
	if wait, own := o.quietWaits[name]; own {
		cfg.QuietWait = wait
	}
	var processor stream.Processor
	switch name {
	case topology.Catalog.Name:
		processor = catalog.New(catalog.Config{})
	case topology.Registrations.Name:
		config := registrations.Config{Rules: o.rules, Availability: o.room, Clock: cfg.Clock}
		if err := config.Validate(); err != nil {
			return part{}, usagef("%v", err)
		}
		processor = registrations.New(config)
	case topology.Inventory.Name:
		processor = inventory.New(inventory.Config{})
	case topology.Payments.Name:
		processor = payments.New(payments.Config{})
	case topology.Attendees.Name:
		processor = attendees.New(attendees.Config{})
	case topology.Gateway.Name:
		return newGateway(cfg, o.provider, o.providerURL)
	case topology.Retrier.Name:
		return newRetrier(cfg)
	default:
		return part{}, usagef("there is no group %q; the groups are %v", name, groupNames())
	}
	runner, err := stream.NewRunner(cfg, processor)
	if err != nil {
		return part{}, err
	}
	return part{name: name, run: runner.Run, ready: runner.Ready}, nil
}

func newGateway(cfg stream.Config, provider, providerURL string) (part, error) {
	stage, err := gateway.New(gateway.Config{BaseURL: providerURL, Provider: provider, Logger: cfg.Logger, Registerer: cfg.Registerer})
	if err != nil {
		return part{}, usagef("--provider-url: %v", err)
	}
	runner, err := stream.NewStage(cfg, stage)
	if err != nil {
		return part{}, err
	}
	return part{name: topology.Gateway.Name, run: runner.Run, ready: runner.Ready}, nil
}

// newRetrier wires the stage that brings back what was put off.
func newRetrier(cfg stream.Config) (part, error) {
	runner, err := stream.NewRetrier(cfg, topology.Topics())
	if err != nil {
		return part{}, err
	}
	return part{name: topology.Retrier.Name, run: runner.Run, ready: runner.Ready}, nil
}

// needsRoom says whether any of the groups looks for seats.
func needsRoom(groups []string) bool {
	return len(groups) == 0 || slices.Contains(groups, topology.Registrations.Name)
}

// tables are the views that the look-ups serve.
type tables struct{ registrations, payments, events, attendees *stream.View }

func openTables(cfg stream.Config) (*tables, []part, error) {
	t := &tables{}
	tracker, err := sagas.NewTracker(cfg.Registerer)
	if err != nil {
		return nil, nil, err
	}
	parts, err := openViews(cfg, "views", map[string]**stream.View{
		topology.RegistrationsTable.Name: &t.registrations, topology.PaymentsTable.Name: &t.payments,
		topology.CatalogTable.Name: &t.events, topology.AttendeesTable.Name: &t.attendees,
	}, map[string]func(stream.Update){
		topology.RegistrationsTable.Name: tracker.Registration, topology.PaymentsTable.Name: tracker.Payment,
	})
	if err != nil {
		return nil, nil, err
	}
	// Not waited for: the metrics may come later than the look-ups.
	count := func(ctx context.Context) error { return tracker.Run(ctx, t.registrations, t.payments) }
	return t, append(parts, part{name: "saga metrics", run: count, ready: func() bool { return true }}), nil
}

// openDoorTables opens the two tables that the front door looks things up in.
func openDoorTables(cfg stream.Config) (*tables, []part, error) {
	t := &tables{}
	parts, err := openViews(cfg, "ingest", map[string]**stream.View{
		topology.RegistrationsTable.Name: &t.registrations, topology.CatalogTable.Name: &t.events,
	}, nil)
	return t, parts, err
}

// openViews opens a view of each table and returns the parts that run them;
// updates are told to whom they are listed for.
func openViews(cfg stream.Config, role string, wanted map[string]**stream.View, updates map[string]func(stream.Update)) ([]part, error) {
	var parts []part
	for _, table := range topology.Topics() {
		to := wanted[table.Name]
		if to == nil {
			continue
		}
		view, err := stream.NewView(cfg, role, table, stream.ViewOptions{OnUpdate: updates[table.Name]})
		if err != nil {
			return nil, err
		}
		*to = view
		parts = append(parts, part{name: "view of " + table.Name, run: view.Run, ready: view.Ready})
	}
	return parts, nil
}

// newLookups wires the look-ups' server, and the reports' where clickhouseURL names
// the analytics database.
func newLookups(t *tables, r *availability.Index, keys *apikey.Store, cfg stream.Config, listener net.Listener, clickhouseURL string) (part, error) {
	others, err := newReports(clickhouseURL, keys, cfg)
	if err != nil {
		return part{}, err
	}
	server, err := views.New(views.Config{
		Registrations: t.registrations, Payments: t.payments, Events: t.events, Attendees: t.attendees,
		Availability: r, Keys: keys, Others: others, Registerer: cfg.Registerer, Logger: cfg.Logger,
	})
	if err != nil {
		return part{}, err
	}
	serve := func(ctx context.Context) error { return server.Serve(ctx, listener) }
	return part{name: "views", run: serve, ready: server.Ready}, nil
}

// doorOptions is what the front door needs beyond the stream configuration.
type doorOptions struct {
	listener  net.Listener
	keys      *apikey.Store
	sealing   *sealing.Keyring
	viewsURL  string
	catalogue *stream.View
	// registrations lets the door refuse at once what otherwise the look-up
	// tells: a key that was used with another body.
	registrations *stream.View
}

// newDoor wires the front door: an emitter for commands and the HTTP server.
func newDoor(cfg stream.Config, o doorOptions) (part, error) {
	emitter, err := stream.NewEmitter(cfg)
	if err != nil {
		return part{}, err
	}
	server, err := ingest.New(ingest.Config{
		Producer: emitter, Catalogue: o.catalogue, Registrations: o.registrations, Keys: o.keys, Sealing: o.sealing,
		ViewsURL: o.viewsURL, Log: cfg.Logger, Registerer: cfg.Registerer,
	})
	if err != nil {
		return part{}, err
	}
	serve := func(ctx context.Context) error {
		defer func() {
			flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
			defer cancel()
			_ = emitter.Close(flush)
		}()
		return server.Serve(ctx, o.listener)
	}
	return part{name: "ingest", run: serve, ready: func() bool { return server.Ready() == nil }}, nil
}

// sinkOptions is what the loader needs beyond the stream configuration.
type sinkOptions struct {
	brokers      []string
	url, cluster string
	auditMonths  int64
	rollups      time.Duration // between their refreshes; 0 for the default
	member       string
	saga         sagaFlags
	gather       time.Duration // how long a large batch gathers; 0: the loader's default
	tableGap     time.Duration // between the inserts of its tables
}

// decidePatience is how long after its deadlines an order may be undecided before
// the books differ.
const decidePatience = 4 * time.Minute

// newSink wires the ClickHouse loader, which makes its tables first.
func newSink(cfg stream.Config, o sinkOptions) (part, *clickhouse.Sink, error) {
	sink, err := clickhouse.New(clickhouse.Config{
		Brokers: o.brokers, URL: o.url, Cluster: o.cluster, Logger: cfg.Logger, InstanceID: o.member, Registerer: cfg.Registerer,
		DecideWithin: o.saga.HoldTimeout + o.saga.ChargeTimeout + decidePatience, AuditRetentionMonths: o.auditMonths,
		RollupInterval: o.rollups, FlushAfterBusy: o.gather, TableGap: o.tableGap,
	})
	if err != nil {
		return part{}, nil, usagef("%v", err)
	}
	return part{name: "sink", run: sink.Run, ready: func() bool { return sink.Ready() == nil }}, sink, nil
}

// registerer keeps the metrics of roles that run twice in one process apart.
func registerer(registry prometheus.Registerer, role string) prometheus.Registerer {
	return prometheus.WrapRegistererWith(prometheus.Labels{"role": role}, registry)
}
