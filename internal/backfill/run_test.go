package backfill_test

import (
	"context"
	"fmt"
	"maps"
	"math/bits"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kfake"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/backfill"
	"github.com/eventpro/boxoffice/internal/sealing"
	"github.com/eventpro/boxoffice/internal/testsystem"
	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// importing is a person who imports into a running system.
type importing struct {
	*testing.T
	cluster backfill.Cluster
	ring    *sealing.Keyring
	dir     string
	follow  bool
}

// followed demands that an order is cancelled and settled, and its payment given
// back by the source; all are the orders of which the audit trail says so.
func (i *importing) followed(s *testsystem.System, order, all int) {
	i.Helper()
	id := topology.RegistrationID(testsystem.Organiser, fmt.Sprint("import:eventbrite:", order))
	r := s.Await(id, "settled", testsystem.Settled)
	p := new(pb.Payment)
	if !s.Last(topology.PaymentsTable, topology.PaymentID(id).String(), p) || r.Outcome != pb.Outcome_OUTCOME_CANCELLED ||
		p.Status != pb.PaymentStatus_PAYMENT_STATUS_REFUNDED || p.Refunds[0].ProviderReference != fmt.Sprint(order, "-refund") {
		i.Errorf("it is %v\nits payment %v", r, p)
	}
	if actions := s.Records(topology.OperatorActions); len(actions) != all {
		i.Errorf("the audit trail has %d actions", len(actions))
	}
}

func newImporting(t *testing.T, brokers []string) *importing {
	t.Helper()
	ring, err := sealing.Parse(sealing.Generate())
	if err != nil {
		t.Fatal(err)
	}
	return &importing{T: t, cluster: backfill.Cluster{Brokers: brokers}, ring: ring, dir: t.TempDir()}
}

// row is a ticket in Eventbrite's layout.
func row(order int, status string) string {
	return fmt.Sprintf("%d,2024-05-01T10:00:00Z,a%d@example.org,Seat,EUR,25.00,%s,9,Fair,2024-06-01T10:00:00Z\n", order, order, status)
}

func (i *importing) plan(name string, event uuid.UUID, rows ...string) *backfill.Plan {
	i.Helper()
	path := filepath.Join(i.dir, name)
	content := "Order #,Order Date,Email,Ticket Type,Currency,Total Paid,Attendee Status,Event ID,Event Name,Event Start Date\n" + strings.Join(rows, "")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		i.Fatal(err)
	}
	reading, err := backfill.Read([]string{path}, backfill.Settings{Now: time.Now()})
	if err != nil {
		i.Fatal(err)
	}
	events, err := i.cluster.Events(i.Context())
	if err != nil {
		i.Fatal(err)
	}
	plan, err := backfill.NewPlan(reading, backfill.Targets{Organiser: testsystem.Organiser, EventID: event, CreateEvents: true, Events: events})
	if err != nil || len(plan.Problems) > 0 {
		i.Fatal(err, plan.Problems)
	}
	return plan
}

func (i *importing) options(name string) backfill.Options {
	return backfill.Options{
		Cluster: i.cluster, Sealing: i.ring, StatePath: filepath.Join(i.dir, name+".state"), RejectsPath: filepath.Join(i.dir, name+".rejects"),
		FollowChanges: i.follow, Operator: "ana",
	}
}

// run imports a plan and demands these outcomes.
func (i *importing) run(name string, p *backfill.Plan, want map[string]int) {
	i.Helper()
	ctx, cancel := context.WithTimeout(i.Context(), time.Minute)
	defer cancel()
	state, err := backfill.Run(ctx, p, i.options(name))
	if err != nil || !state.Finished || !maps.Equal(state.Outcomes, want) {
		i.Fatalf("%s: %+v, %v, want %v", name, state, err, want)
	}
}

func (i *importing) rejects(name string) string {
	content, _ := os.ReadFile(filepath.Join(i.dir, name+".rejects")) // there may be none
	return string(content)
}

// The old system goes on selling while its past is imported. A later export has
// everything again and more: what is here stays, the event gets the places that it
// lacks, and an order that has changed since is named and not changed.
func TestALaterExport(t *testing.T) {
	t.Parallel()
	s := testsystem.Start(t, 1, testsystem.Options{})
	i := newImporting(t, s.Brokers)
	first := i.plan("first", uuid.UUID{}, row(1, "Attending"), row(2, "Attending"), row(3, "Refunded"))
	if short, err := first.Room(t.Context(), i.cluster); err != nil || len(short) > 0 {
		t.Fatal(short, err)
	}
	i.run("first", first, map[string]int{"confirmed": 2, "cancelled at its source": 1})
	later := i.plan("later", uuid.UUID{}, row(1, "Attending"), row(2, "Refunded"), row(3, "Refunded"), row(4, "Attending"), row(5, "Attending"), row(5, "Attending"))
	if later.Events[0].Create != nil {
		t.Error("it would make the event again")
	}
	short, err := later.Room(t.Context(), i.cluster)
	if err != nil || len(short) > 0 || later.Events[0].Grow["seat"] != 5 {
		t.Fatalf("it lacks %v and grows to %v: %v", short, later.Events[0].Grow, err)
	}
	i.run("later", later, map[string]int{"confirmed": 3, "cancelled at its source": 1, "differs": 1})
	if said := i.rejects("later"); strings.Count(said, "\n") != 1 || !strings.Contains(said, `"order":"2","reason":"differs"`) {
		t.Errorf("not imported are %s", said)
	}
	if sold := owned(s, later.Events[0].ID); sold != 5 {
		t.Errorf("%d seats have an owner", sold)
	}
	// Somebody wants the change to be followed: the order is cancelled here too, and
	// what was given back there is in the books. Once is enough.
	want := map[string]int{"confirmed": 3, "cancelled at its source": 1, "cancelled there since, and here now": 1}
	for _, name := range []string{"follow", "again"} {
		i.follow = true
		i.run(name, later, want)
		if said := i.rejects(name); said != "" {
			t.Errorf("not imported are %s", said)
		}
	}
	i.followed(s, 2, 1)
	// The importer was killed after it had cancelled another one: it goes on.
	killed := topology.RegistrationID(testsystem.Organiser, "import:eventbrite:4")
	s.Cancel(killed)
	s.Await(killed, "cancelled", func(r *pb.Registration) bool { return r.Outcome == pb.Outcome_OUTCOME_CANCELLED })
	s.Eventually("its refund is parked", func() error {
		p := new(pb.Payment)
		if !s.Last(topology.PaymentsTable, topology.PaymentID(killed).String(), p) || len(p.Refunds) != 1 {
			return fmt.Errorf("it is %v", p)
		}
		return nil
	})
	i.run("killed", i.plan("killed", uuid.UUID{}, row(4, "Refunded")), map[string]int{"cancelled there since, and here now": 1})
	i.followed(s, 4, 2)
	if sold := owned(s, later.Events[0].ID); sold != 3 {
		t.Errorf("%d seats have an owner", sold)
	}
	if n := len(s.Records(topology.GatewayRequests)); n > 0 {
		t.Errorf("the provider was asked %d times", n)
	}
}

// owned counts the seats of an event that have an owner.
func owned(s *testsystem.System, event uuid.UUID) (sold int) {
	blocks := map[string]*pb.Block{}
	for _, r := range s.Records(topology.InventoryTable) {
		b := new(pb.Block)
		if proto.Unmarshal(r.Value, b) == nil && topology.UUID(b.EventId) == event {
			blocks[string(r.Key)] = b
		}
	}
	for _, b := range blocks {
		for _, seats := range b.Seats {
			sold += bits.OnesCount64(seats)
		}
	}
	return sold
}

// An event has fewer places than were sold elsewhere: that is said before anything
// is sent. Whoever goes on gets sold out for the others, and no money for them.
func TestAnImportThatDoesNotFit(t *testing.T) {
	t.Parallel()
	s := testsystem.Start(t, 2, testsystem.Options{})
	i := newImporting(t, s.Brokers)
	p := i.plan("e", s.Event, row(1, "Attending"), row(2, "Attending"), row(3, "Attending"))
	short, err := p.Room(t.Context(), i.cluster)
	if err != nil || len(short) != 1 || !strings.Contains(short[0], "has 2 places for 3 tickets") {
		t.Fatalf("it lacks %v, %v", short, err)
	}
	i.run("e", p, map[string]int{"confirmed": 2, "sold out": 1})
	if said := i.rejects("e"); strings.Count(said, "sold out") != 1 {
		t.Errorf("not imported are %s", said)
	}
	s.Eventually("two payments are in the books", func() error {
		paid := map[string]bool{}
		for _, r := range s.Records(topology.PaymentEvents) {
			paid[string(r.Key)] = true
		}
		if len(paid) != 2 {
			return fmt.Errorf("%d are", len(paid))
		}
		return nil
	})
	// Imported again, they lack nothing any more: all of them are decided.
	if short, err := i.plan("e", s.Event, row(1, "Attending"), row(2, "Attending"), row(3, "Attending")).Room(t.Context(), i.cluster); err != nil || len(short) > 0 {
		t.Errorf("it lacks %v, %v", short, err)
	}
}

// No processor runs: an import says so instead of waiting for ever, and has sent
// nothing twice when it goes on.
func TestNobodyDecides(t *testing.T) {
	t.Parallel()
	var topics []string
	for _, topic := range topology.Topics() {
		topics = append(topics, topic.Name)
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, topics...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	i := newImporting(t, cluster.ListenAddrs())
	o := i.options("e")
	o.Patience = 50 * time.Millisecond
	state, err := backfill.Run(t.Context(), i.plan("e", uuid.UUID{}, row(1, "Attending")), o)
	if err == nil || !strings.Contains(err.Error(), "are the processors running?") || state.Finished || state.Done != 0 {
		t.Errorf("%+v, %v", state, err)
	}
}
