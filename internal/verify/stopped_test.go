package verify

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// A system was stopped while its loader was behind: what it had not loaded is
// counted and is no loss; who demands that all is at rest is told that it is not
// there; and a row that is gone from below that point is a loss nevertheless.
func TestStoppedBeforeAllWasLoaded(t *testing.T) {
	t.Parallel()
	o := newBooks().options(t)
	load(t, &o)
	client, err := kgo.NewClient(kgo.SeedBrokers(o.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	late := &books{blocks: map[string]*pb.Block{}, last: map[string]*pb.Registration{}}
	grace := topology.RegistrationID("acme", "grace")
	late.register(grace, &pb.Line{TicketType: "paid", Quantity: 9, UnitPriceMinor: 5_000})
	late.snapshot(grace, func(r *pb.Registration) { r.Outcome = pb.Outcome_OUTCOME_SOLD_OUT; settle(r) })
	late.produce(t, client)

	o.Stopped, o.AtRest = true, false
	r := verify(t, o)
	expect(t, r, nil, "")
	if r.NotLoaded != 2 || r.Open != 0 || !strings.Contains(text(r), "2 records, which the loader loads") {
		t.Errorf("%d records are not loaded, want 2:\n%s", r.NotLoaded, text(r))
	}
	o.AtRest = true
	expect(t, verify(t, o), []string{"I7", "I8"}, "group registrations has not read 1 records")

	o.AtRest = false
	execute(t, o, "ALTER TABLE registrations DELETE WHERE registration_id = '"+alice.String()+"' SETTINGS mutations_sync = 2")
	expect(t, verify(t, o), []string{"I8"}, "registration "+alice.String()+" is not in ClickHouse")
}

// A saga was open when its system was stopped, and its deadline passed while
// nobody was there to decide it: that is not overdue.
func TestStoppedSystemIsNotOverdue(t *testing.T) {
	t.Parallel()
	stopped := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	later := stopped.Add(30 * 24 * time.Hour)
	o := Options{Stopped: true}
	if now := o.now(later, stopped.UnixMilli()); !now.Equal(stopped) {
		t.Errorf("deadlines of a stopped system are held against %v, want %v", now, stopped)
	}
	o.Stopped = false
	if now := o.now(later, stopped.UnixMilli()); !now.Equal(later) {
		t.Errorf("deadlines of a running system are held against %v, want %v", now, later)
	}
}
