package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/user"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/eventpro/boxoffice/internal/figures"
	"github.com/eventpro/boxoffice/internal/sagas"
	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// sagasCommand is the tool for registrations and payments that are not at rest.
type sagasCommand struct {
	List    sagasListCommand    `cmd:"" help:"List what is open, or only what is stuck."`
	Show    sagasShowCommand    `cmd:"" help:"Show one registration with its payment and its history."`
	Retry   sagasRetryCommand   `cmd:"" help:"Have sagas try at once what they wait for, parked payments too."`
	Resolve sagasResolveCommand `cmd:"" help:"End a parked charge or refund with what the provider's books say."`
}

// limitFlags say from when on a saga is stuck.
type limitFlags struct {
	Grace    time.Duration `help:"How long a deadline may have passed before a saga counts as overdue." default:"1m"`
	Redrives uint32        `help:"How often a saga may have been asked again before it counts as stuck." default:"8"`
}

func (f limitFlags) limits() sagas.Limits { return sagas.Limits{Grace: f.Grace, Redrives: f.Redrives} }

type sagasListCommand struct {
	clusterFlags `embed:""`
	limitFlags   `embed:""`
	Stuck        bool          `help:"Only what does not come on by itself: overdue, re-driven in vain, or parked for a person."`
	Event        uuid.UUID     `help:"Only this event." placeholder:"ID"`
	OlderThan    time.Duration `help:"Only what was asked for longer ago."`
	Limit        int           `help:"How many to list; the totals count all." default:"100"`
	JSON         bool          `help:"Print JSON, one object a line." name:"json"`
}

// sagaLine is one saga in a listing.
type sagaLine struct {
	ID            uuid.UUID      `json:"registration_id"`
	EventID       uuid.UUID      `json:"event_id"`
	Step          string         `json:"step,omitempty"`
	Outcome       string         `json:"outcome,omitempty"`
	AgeS          int64          `json:"age_s"`
	Deadline      *time.Time     `json:"deadline,omitempty"`
	WaitsFor      []string       `json:"waits_for"`
	Redrives      uint32         `json:"redrives"`
	PaymentID     string         `json:"payment_id,omitempty"`
	PaymentStatus string         `json:"payment_status,omitempty"`
	Stuck         []sagas.Reason `json:"stuck,omitempty"`
}

func lineOf(s *sagas.Saga, now time.Time, limits sagas.Limits) sagaLine {
	line := sagaLine{
		ID: s.ID, EventID: s.EventID(), AgeS: int64(now.Sub(s.Since()).Seconds()), WaitsFor: s.WaitsFor(),
		Redrives: s.Registration.GetRedrives(), Stuck: s.Stuck(now, limits),
	}
	if d := s.Deadline().UTC(); !s.Deadline().IsZero() {
		line.Deadline = &d
	}
	if r := s.Registration; r != nil {
		line.Step = sagas.Name(r.Step)
		if r.Outcome != pb.Outcome_OUTCOME_UNSPECIFIED {
			line.Outcome = sagas.Name(r.Outcome)
		}
		if r.Payment != nil {
			line.PaymentID, line.PaymentStatus = topology.KeyOf(r.Payment.PaymentId), sagas.Name(r.Payment.Status)
		}
	}
	if p := s.Payment; p != nil {
		line.PaymentID, line.PaymentStatus = topology.KeyOf(p.PaymentId), sagas.Name(p.Status)
	}
	return line
}

// Run implements the command.
func (c *sagasListCommand) Run(ctx context.Context, env *environment) error {
	cluster := sagas.Cluster{Brokers: c.KafkaBrokers, Progress: readingProgress(env.stderr)}
	open, err := cluster.Open(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	totals := map[sagas.Reason]int{}
	var listed []*sagas.Saga
	for _, s := range open {
		if c.Event != (uuid.UUID{}) && s.EventID() != c.Event || now.Sub(s.Since()) < c.OlderThan {
			continue
		}
		stuck := s.Stuck(now, c.limits())
		for _, reason := range stuck {
			totals[reason]++
		}
		if len(stuck) > 0 || !c.Stuck {
			listed = append(listed, s)
		}
	}
	slices.SortFunc(listed, func(a, b *sagas.Saga) int {
		return cmp.Or(a.Since().Compare(b.Since()), strings.Compare(a.ID.String(), b.ID.String()))
	})
	return c.write(env.stdout, now, listed, totals)
}

func (c *sagasListCommand) write(w io.Writer, now time.Time, listed []*sagas.Saga, totals map[sagas.Reason]int) error {
	shown := listed[:min(len(listed), max(c.Limit, 0))]
	if c.JSON {
		encoder := json.NewEncoder(w)
		for _, s := range shown {
			if err := encoder.Encode(lineOf(s, now, c.limits())); err != nil {
				return fmt.Errorf("write the list: %w", err)
			}
		}
		return nil
	}
	if len(shown) > 0 {
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "REGISTRATION\tEVENT\tSTEP\tOUTCOME\tAGE\tDEADLINE\tREDRIVES\tPAYMENT\tSTUCK\tWAITS FOR")
		for _, s := range shown {
			l := lineOf(s, now, c.limits())
			deadline := "-"
			if l.Deadline != nil {
				deadline = l.Deadline.Format(time.RFC3339)
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", l.ID, l.EventID, orDash(l.Step), orDash(l.Outcome),
				time.Duration(l.AgeS)*time.Second, deadline, l.Redrives, orDash(l.PaymentStatus), orDash(reasonsText(l.Stuck)), strings.Join(l.WaitsFor, "; "))
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	fmt.Fprintf(w, "%d open", len(listed))
	if c.Stuck {
		fmt.Fprint(w, " and stuck")
	}
	for _, reason := range sagas.Reasons() {
		fmt.Fprintf(w, ", %d %s", totals[reason], reason)
	}
	fmt.Fprintln(w)
	return nil
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func reasonsText(reasons []sagas.Reason) string {
	words := make([]string, len(reasons))
	for i, r := range reasons {
		words[i] = string(r)
	}
	return strings.Join(words, ",")
}

type sagasShowCommand struct {
	clusterFlags `embed:""`
	ID           uuid.UUID `arg:"" help:"Id of the registration or of its payment."`
	JSON         bool      `help:"Print JSON." name:"json"`
}

// Run implements the command.
func (c *sagasShowCommand) Run(ctx context.Context, env *environment) error {
	cluster := sagas.Cluster{Brokers: c.KafkaBrokers}
	s, err := find(ctx, cluster, c.ID)
	if err != nil {
		return err
	}
	steps, err := cluster.History(ctx, s.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeSagaJSON(env.stdout, s, steps)
	}
	line := lineOf(s, time.Now(), sagas.DefaultLimits())
	fmt.Fprintf(env.stdout, "registration  %s\nevent         %s\nstep          %s %s\n", s.ID, line.EventID, orDash(line.Step), line.Outcome)
	if line.PaymentID != "" {
		fmt.Fprintf(env.stdout, "payment       %s %s\n", line.PaymentID, line.PaymentStatus)
	}
	for _, h := range s.Registration.GetHolds() {
		fmt.Fprintf(env.stdout, "hold          %s line %d, block %d, %d seats, %s\n", topology.KeyOf(h.HoldId), h.Line, h.Block, h.Quantity, sagas.Name(h.Status))
	}
	for i, r := range s.Payment.GetRefunds() {
		fmt.Fprintf(env.stdout, "refund        %s %d of %d over %s, %s %s\n", topology.KeyOf(r.RefundId), i+1, len(s.Payment.Refunds), figures.Amount(r.AmountMinor, s.Payment.Currency), sagas.Name(r.Status), r.Reason)
	}
	for _, w := range line.WaitsFor {
		fmt.Fprintf(env.stdout, "waits for     %s\n", w)
	}
	fmt.Fprintln(env.stdout)
	for _, step := range steps {
		fmt.Fprintf(env.stdout, "%s  %s\n", step.At.UTC().Format("2006-01-02 15:04:05.000"), step.What)
	}
	return nil
}

type sagasRetryCommand struct {
	clusterFlags  `embed:""`
	limitFlags    `embed:""`
	operatorFlags `embed:""`
	IDs           []uuid.UUID `arg:"" optional:"" name:"id" help:"Ids of registrations or payments."`
	Stuck         bool        `help:"All that 'sagas list --stuck' lists."`
}

// operatorFlags go into the audit trail.
type operatorFlags struct {
	Operator string `help:"Who does it, for the audit trail. Default: the user of this process." placeholder:"NAME"`
	Note     string `help:"Why, for the audit trail." placeholder:"TEXT"`
}

// name is who does it.
func (f operatorFlags) name() (string, error) {
	if f.Operator != "" {
		return f.Operator, nil
	}
	u, err := user.Current()
	if err != nil {
		return "", usagef("this process has no user name (%v): set --operator", err)
	}
	return u.Username, nil
}

func (f operatorFlags) connect(cluster sagas.Cluster) (*sagas.Operator, error) {
	name, err := f.name()
	if err != nil {
		return nil, err
	}
	o := &sagas.Operator{Cluster: cluster, Name: name, Note: f.Note}
	return o, o.Connect()
}

// Run implements the command.
func (c *sagasRetryCommand) Run(ctx context.Context, env *environment) error {
	if (len(c.IDs) > 0) == c.Stuck {
		return usagef("name the ids to retry, or --stuck for all that are stuck")
	}
	cluster := sagas.Cluster{Brokers: c.KafkaBrokers, Progress: readingProgress(env.stderr)}
	chosen, err := c.chosen(ctx, cluster)
	if err != nil {
		return err
	}
	operator, err := c.connect(cluster)
	if err != nil {
		return err
	}
	defer operator.Close()
	for _, s := range chosen {
		done, err := operator.Retry(ctx, s)
		switch {
		case errors.Is(err, sagas.ErrNothingToRetry):
			fmt.Fprintf(env.stdout, "%s  waits for nothing\n", s.ID)
		case err != nil:
			return err
		default:
			fmt.Fprintf(env.stdout, "%s  %s\n", s.ID, strings.Join(done, "; "))
		}
	}
	return nil
}

func (c *sagasRetryCommand) chosen(ctx context.Context, cluster sagas.Cluster) ([]*sagas.Saga, error) {
	var chosen []*sagas.Saga
	for _, id := range c.IDs {
		s, err := find(ctx, cluster, id)
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, s)
	}
	if !c.Stuck {
		return chosen, nil
	}
	open, err := cluster.Open(ctx)
	for _, s := range open {
		if len(s.Stuck(time.Now(), c.limits())) > 0 {
			chosen = append(chosen, s)
		}
	}
	return chosen, err
}

type sagasResolveCommand struct {
	clusterFlags  `embed:""`
	operatorFlags `embed:""`
	ID            uuid.UUID `arg:"" help:"Id of the registration or of its payment."`
	As            string    `help:"What the provider's books say: captured, not-captured, refunded, or not-refunded (the refund is asked for anew then)." enum:"captured,not-captured,refunded,not-refunded" required:""`
	Refund        uuid.UUID `help:"The refund that is meant, when several are parked." placeholder:"ID"`
	Reference     string    `help:"The provider's id of the charge or refund; default: the ledger's." placeholder:"ID"`
	Amount        int64     `help:"What the provider moved, in minor units; default: the ledger's." placeholder:"MINOR"`
	Fee           int64     `help:"What the provider kept of a charge; default: the ledger's." placeholder:"MINOR"`
	ProviderTime  time.Time `help:"When the provider moved it (RFC 3339): the day of the books; default: the ledger's." placeholder:"TIME" format:"2006-01-02T15:04:05.999999999Z07:00"`
	ProviderURL   string    `help:"The payment provider, for its ledger." default:"http://127.0.0.1:8090" placeholder:"URL"`
	Provider      string    `help:"Name of the payment provider in the books." name:"provider-name" default:"simulated" placeholder:"NAME"`
	WithoutLedger bool      `help:"The ledger cannot be reached: resolve without it."`
	Force         bool      `help:"Resolve although the ledger says otherwise."`
}

// Run implements the command.
func (c *sagasResolveCommand) Run(ctx context.Context, env *environment) error {
	if c.Note == "" {
		return usagef("--note is missing: say how you know, for the audit trail")
	}
	cluster := sagas.Cluster{Brokers: c.KafkaBrokers}
	s, err := find(ctx, cluster, c.ID)
	if err != nil {
		return err
	}
	operator, err := c.connect(cluster)
	if err != nil {
		return err
	}
	defer operator.Close()
	resolution := sagas.Resolution{
		As: sagas.Finding(c.As), Refund: c.Refund, Reference: c.Reference, AmountMinor: c.Amount, FeeMinor: c.Fee,
		At: c.ProviderTime, Force: c.Force, LedgerURL: c.ProviderURL, Provider: c.Provider,
	}
	if c.WithoutLedger {
		resolution.LedgerURL = ""
	}
	done, err := operator.Resolve(ctx, s, resolution)
	if errors.Is(err, sagas.ErrContradiction) {
		return fmt.Errorf("%w; --force resolves nevertheless", err)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(env.stdout, "%s  %s\n", s.ID, done)
	return nil
}

func find(ctx context.Context, cluster sagas.Cluster, id uuid.UUID) (*sagas.Saga, error) {
	s, err := cluster.Find(ctx, id)
	if errors.Is(err, sagas.ErrUnknown) {
		return nil, usagef("%v", err)
	}
	return s, err
}

// readingProgress says how far a long reading is, every few seconds.
func readingProgress(out io.Writer) func(topic string, done, total int64) {
	last := time.Now()
	return func(topic string, done, total int64) {
		if time.Since(last) < plainEvery {
			return
		}
		last = time.Now()
		fmt.Fprintf(out, "  %s: %s of %s records\n", topic, grouped(done), grouped(total))
	}
}

// writeSagaJSON prints the saga's values as the contracts' JSON, and its history.
func writeSagaJSON(w io.Writer, s *sagas.Saga, steps []sagas.Step) error {
	out := struct {
		ID           uuid.UUID       `json:"registration_id"`
		WaitsFor     []string        `json:"waits_for"`
		Registration json.RawMessage `json:"registration,omitempty"`
		Payment      json.RawMessage `json:"payment,omitempty"`
		History      []sagas.Step    `json:"history"`
	}{ID: s.ID, WaitsFor: s.WaitsFor(), History: steps}
	var err error
	if s.Registration != nil {
		if out.Registration, err = protojson.Marshal(s.Registration); err != nil {
			return err
		}
	}
	if s.Payment != nil {
		if out.Payment, err = protojson.Marshal(s.Payment); err != nil {
			return err
		}
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(out)
}
