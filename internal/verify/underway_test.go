package verify

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// watching watches a world whose loader has read everything as well.
func watching(t *testing.T, b *books) (*Watch, *kgo.Client) {
	t.Helper()
	o := b.options(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(o.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	admin := kadm.NewClient(client)
	for _, topic := range topology.ClickHouseSink.Inputs {
		ends, err := admin.ListEndOffsets(t.Context(), topic.Name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := admin.CommitOffsets(t.Context(), loaderGroup, ends.Offsets()); err != nil {
			t.Fatal(err)
		}
	}
	w, err := NewWatch(Options{Brokers: o.Brokers, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w, client
}

func look(t *testing.T, w *Watch) UnderWay {
	t.Helper()
	u, err := w.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// Who waits for a system to be drained goes on when everything is settled and
// read, and not before: an order that comes in between is seen at the next look,
// and so is that it was settled.
func TestWatch(t *testing.T) {
	t.Parallel()
	b := newBooks()
	w, client := watching(t, b)
	if u := look(t, w); !u.Nothing() || u.String() != "nothing" {
		t.Fatalf("left of a settled world: %s", u)
	}
	table := func(change func(*pb.Registration)) {
		change(b.last[carol.String()])
		r := record(t, &message{topic: topology.RegistrationsTable, key: carol.String(), value: b.last[carol.String()]})
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	table(func(r *pb.Registration) { r.Settled = false })
	if u := look(t, w); u.Nothing() || u.Open != 1 || !strings.Contains(u.String(), "1 open, for example registration "+carol.String()) {
		t.Errorf("left with one order open: %s", u)
	}
	table(func(r *pb.Registration) { r.Settled = true })
	if u := look(t, w); !u.Nothing() {
		t.Errorf("left when it is settled: %s", u)
	}
	r := record(t, &message{topic: topology.SeatCommands, key: "x", value: &pb.SeatCommand{Block: 1}})
	if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if u := look(t, w); u.Nothing() || !strings.Contains(u.String(), "1 records for inventory") {
		t.Errorf("left with one record unread: %s", u)
	}
}

// A payment that is parked may wait for a person for days: nobody who wants to
// stop the system waits for it, nor for the order that hangs on it; a payment
// that is still being asked for is waited for.
func TestWatchDoesNotWaitForParkedPayments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status       pb.PaymentStatus
		open, parked int64
	}{
		{pb.PaymentStatus_PAYMENT_STATUS_PARKED, 0, 1},
		{pb.PaymentStatus_PAYMENT_STATUS_PENDING, 2, 0},
	} {
		b := newBooks()
		b.find(topology.PaymentsTable, paymentKey(erin), -1).value.(*pb.Payment).Status = c.status
		b.find(topology.RegistrationsTable, erin.String(), -1).value.(*pb.Registration).Settled = false
		w, _ := watching(t, b)
		if u := look(t, w); u.Nothing() != (c.open == 0) || u.Open != c.open || u.Parked != c.parked {
			t.Errorf("%v: %d open, %d parked, want %d and %d", c.status, u.Open, u.Parked, c.open, c.parked)
		}
	}
}
