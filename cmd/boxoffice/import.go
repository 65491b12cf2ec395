package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"github.com/eventpro/boxoffice/internal/backfill"
	"github.com/eventpro/boxoffice/internal/figures"
	"github.com/eventpro/boxoffice/internal/sealing"
)

// importCommand brings history from another system.
type importCommand struct {
	clusterFlags   `embed:""`
	Files          []string      `arg:"" type:"existingfile" help:"Exports of the other system: Eventbrite's attendee report, pretix's orders and positions, or the own format (docs/IMPORT.md)."`
	Organiser      string        `help:"Whose orders they are." required:"" placeholder:"NAME"`
	SealingKeyFile string        `help:"Key file for personal data, the front door's. Not needed with --dry-run." type:"path" placeholder:"FILE"`
	Format         string        `help:"Layout of the files: eventbrite, pretix-orders, pretix-positions or ndjson. Default: by each file's headings." enum:",eventbrite,pretix-orders,pretix-positions,ndjson" default:"" env:"-"`
	Source         string        `help:"Name of the other system in ids and books. Default: the layout's." placeholder:"NAME" env:"-"`
	EventMap       string        `help:"File that says what events, ticket types and headings are here." type:"existingfile" placeholder:"FILE" env:"-"`
	EventID        uuid.UUID     `help:"Event that orders go to which the event map does not place." placeholder:"ID" env:"-"`
	CreateEvents   bool          `help:"Make the events that nothing else places." env:"-"`
	Event          string        `help:"Key of the event in files that name none." placeholder:"KEY" env:"-"`
	Currency       string        `help:"Currency of amounts without one." placeholder:"CODE" env:"-"`
	TZ             string        `help:"Time zone of times without one, for example Europe/Berlin." name:"tz" placeholder:"ZONE" env:"-"`
	DateOrder      string        `help:"How to read 03/04/2024: dmy or mdy." enum:",dmy,mdy" default:"" env:"-"`
	DryRun         bool          `help:"Check everything, send nothing."`
	SkipInvalid    bool          `help:"Import what can be imported; what cannot is written to the file of --rejects." env:"-"`
	AllowSoldOut   bool          `help:"Go on although an event lacks places: orders beyond them end as sold out, for good." env:"-"`
	State          string        `help:"File that says how far the import is. Default: the first file's name with .import.json." type:"path" placeholder:"FILE" env:"-"`
	Rejects        string        `help:"File of what was not imported, with reasons. Default: the first file's name with .rejects.ndjson." type:"path" placeholder:"FILE" env:"-"`
	FollowChanges  bool          `help:"Cancel orders here that were cancelled and given back in full there after they were imported." env:"-"`
	Operator       string        `help:"Who follows changes, for the audit trail. Default: the user of this process." placeholder:"NAME"`
	InFlight       int           `help:"Orders that are sent and not decided, at most." default:"500"`
	Patience       time.Duration `help:"How long nothing may be decided before the import gives up." default:"2m"`
	Limit          int           `help:"Problems to print, at most." default:"20" env:"-"`
	JSON           bool          `help:"Print JSON." name:"json"`
}

// importResult is what the command prints as JSON.
type importResult struct {
	backfill.Summary
	DryRun   bool           `json:"dry_run"`
	Finished bool           `json:"finished"`
	Done     int            `json:"done"`
	Outcomes map[string]int `json:"outcomes"`
}

// Run implements the command.
func (c *importCommand) Run(ctx context.Context, env *environment) error {
	mapping, err := c.mapping()
	if err != nil {
		return err
	}
	settings, err := c.settings(mapping)
	if err != nil {
		return err
	}
	ring, err := c.sealing()
	if err != nil {
		return err
	}
	reading, err := backfill.Read(c.Files, settings)
	if err != nil {
		return usagef("%v", err)
	}
	cluster := backfill.Cluster{Brokers: c.KafkaBrokers, Progress: readingProgress(env.stderr)}
	plan, err := c.plan(ctx, cluster, reading, mapping)
	if err != nil {
		return err
	}
	if err := c.problems(env, plan); err != nil {
		return err
	}
	if c.DryRun {
		return c.tell(env.stdout, importResult{Summary: plan.Summary(), DryRun: true})
	}
	if err := c.room(ctx, env, plan, cluster); err != nil {
		return err
	}
	return c.run(ctx, env, plan, cluster, ring)
}

func (c *importCommand) mapping() (*backfill.Mapping, error) {
	if c.EventMap == "" {
		return &backfill.Mapping{}, nil
	}
	m, err := backfill.ReadMapping(c.EventMap)
	if err == nil {
		err = m.Validate()
	}
	if err != nil {
		return nil, usagef("--event-map: %v", err)
	}
	return m, nil
}

func (c *importCommand) settings(m *backfill.Mapping) (backfill.Settings, error) {
	s := backfill.Settings{
		Format: c.Format, Source: c.Source, Event: c.Event, Currency: c.Currency, Columns: m.Columns, Now: time.Now(),
		DayFirst: c.DateOrder == "dmy", MonthFirst: c.DateOrder == "mdy",
	}
	if c.TZ != "" {
		zone, err := time.LoadLocation(c.TZ)
		if err != nil {
			return s, usagef("--tz: %v", err)
		}
		s.Zone = zone
	}
	return s, nil
}

func (c *importCommand) sealing() (*sealing.Keyring, error) {
	switch {
	case c.SealingKeyFile != "":
		return openSealing(c.SealingKeyFile)
	case c.DryRun:
		return nil, nil
	}
	return nil, usagef("--sealing-key-file is missing: personal data is sealed with the front door's key ('boxoffice up' has it in its data folder)")
}

// plan finds out where orders go. The catalogue is only read where it is needed,
// so that most files can be checked without a running system.
func (c *importCommand) plan(ctx context.Context, cluster backfill.Cluster, reading *backfill.Reading, mapping *backfill.Mapping) (*backfill.Plan, error) {
	targets := backfill.Targets{Organiser: c.Organiser, Mapping: mapping, EventID: c.EventID, CreateEvents: c.CreateEvents}
	if !c.DryRun || mapping.NamesEvents() || c.EventID != (uuid.UUID{}) {
		var err error
		if targets.Events, err = cluster.Events(ctx); err != nil {
			return nil, err
		}
	}
	plan, err := backfill.NewPlan(reading, targets)
	if err != nil {
		return nil, usagef("%v", err)
	}
	return plan, nil
}

// problems prints what cannot be imported. It ends the import before anything was
// sent, unless the rest is to be imported.
func (c *importCommand) problems(env *environment, plan *backfill.Plan) error {
	if len(plan.Problems) == 0 {
		if len(plan.Orders) == 0 {
			return usagef("there is no order to import in %s", strings.Join(c.Files, ", "))
		}
		return nil
	}
	for _, p := range plan.Problems[:min(len(plan.Problems), max(c.Limit, 0))] {
		fmt.Fprintln(env.stderr, p)
	}
	if more := len(plan.Problems) - c.Limit; more > 0 {
		fmt.Fprintf(env.stderr, "... and %s more\n", grouped(int64(more)))
	}
	if !c.SkipInvalid {
		return usagef("%s problems, so nothing was sent; --skip-invalid imports the rest", grouped(int64(len(plan.Problems))))
	}
	if c.DryRun {
		return nil
	}
	return backfill.WriteRejects(c.rejectsPath(), plan.Problems)
}

func (c *importCommand) statePath() string {
	if c.State != "" {
		return c.State
	}
	return c.Files[0] + ".import.json"
}

func (c *importCommand) rejectsPath() string {
	if c.Rejects != "" {
		return c.Rejects
	}
	return c.Files[0] + ".rejects.ndjson"
}

// room refuses to begin what would end as sold out: that is for good.
func (c *importCommand) room(ctx context.Context, env *environment, plan *backfill.Plan, cluster backfill.Cluster) error {
	short, err := plan.Room(ctx, cluster)
	if err != nil {
		return err
	}
	for _, s := range short {
		fmt.Fprintln(env.stderr, s)
	}
	if len(short) > 0 && !c.AllowSoldOut {
		return usagef("there are too few places, so nothing was sent: raise the capacity first, or let orders end as sold out with --allow-sold-out")
	}
	return nil
}

func (c *importCommand) run(ctx context.Context, env *environment, plan *backfill.Plan, cluster backfill.Cluster, ring *sealing.Keyring) error {
	who := c.Operator
	if c.FollowChanges {
		var err error
		if who, err = (operatorFlags{Operator: c.Operator}).name(); err != nil {
			return err
		}
	}
	shown := newProgress(env.stderr)
	state, err := backfill.Run(ctx, plan, backfill.Options{
		Cluster: cluster, Sealing: ring, StatePath: c.statePath(), RejectsPath: c.rejectsPath(),
		FollowChanges: c.FollowChanges, Operator: who, InFlight: c.InFlight, Patience: c.Patience, Progress: func(s backfill.State) { showImport(shown, s) },
	})
	shown.finish()
	switch {
	case errors.Is(err, backfill.ErrChanged):
		return usagef("%v", err)
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("interrupted: %s of %s orders are decided; the same command goes on", grouped(int64(state.Done)), grouped(int64(state.Orders)))
	case err != nil:
		return err
	}
	result := importResult{Summary: plan.Summary(), Finished: state.Finished, Done: state.Done, Outcomes: state.Outcomes}
	if err := c.tell(env.stdout, result); err != nil {
		return err
	}
	lost := 0
	for outcome, n := range state.Outcomes {
		if !backfill.Here(outcome) {
			lost += n
		}
	}
	if lost > 0 {
		return fmt.Errorf("%s orders are not here what they were there: %s names them", grouped(int64(lost)), c.rejectsPath())
	}
	return nil
}

// showImport shows how far an import is.
func showImport(p *progress, s backfill.State) {
	if p.live {
		p.redraw([]string{fmt.Sprintf("  imported  %s  %9s of %s", gauge(int64(s.Done), int64(s.Orders), max(10, min(48, p.width-40))), grouped(int64(s.Done)), grouped(int64(s.Orders)))})
		return
	}
	if time.Since(p.plain) >= plainEvery {
		p.plain = time.Now()
		fmt.Fprintf(p.out, "  %s of %s orders imported\n", grouped(int64(s.Done)), grouped(int64(s.Orders)))
	}
}

// tell prints what was imported, or would be.
func (c *importCommand) tell(out io.Writer, r importResult) error {
	if c.JSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "source\t%s, %s lines\n", r.Source, grouped(int64(r.Lines)))
	fmt.Fprintf(t, "orders\t%s, of which %s stand with %s tickets\n", grouped(int64(r.Orders)), grouped(int64(r.Standing)), grouped(int64(r.Tickets)))
	for _, m := range r.Money {
		fmt.Fprintf(t, "money\t%s %s captured, %s refunded, %s fees\n", m.Currency, figures.Amount(m.CapturedMinor, m.Currency),
			figures.Amount(m.RefundedMinor, m.Currency), figures.Amount(m.FeeMinor, m.Currency))
	}
	for _, e := range r.Events {
		is := "is here"
		if e.New {
			is = "is new"
		}
		fmt.Fprintf(t, "event\t%s (%s) %s, %s tickets\n", e.ID, e.Name, is, grouped(int64(e.Tickets)))
	}
	for _, list := range []struct {
		what   string
		counts map[string]int
	}{{"skipped", r.Skipped}, {"note", r.Notes}, {"outcome", r.Outcomes}} {
		for _, reason := range slices.Sorted(maps.Keys(list.counts)) {
			fmt.Fprintf(t, "%s\t%s %s\n", list.what, grouped(int64(list.counts[reason])), reason)
		}
	}
	if r.Invalid > 0 {
		fmt.Fprintf(t, "invalid\t%s left out\n", grouped(int64(r.Invalid)))
	}
	if r.DryRun {
		fmt.Fprint(t, "nothing\twas sent (--dry-run)\n")
	}
	return t.Flush()
}
