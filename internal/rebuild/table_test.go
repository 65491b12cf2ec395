package rebuild_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/audit"
	"github.com/eventpro/boxoffice/internal/provider"
	"github.com/eventpro/boxoffice/internal/rebuild"
	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/testsystem"
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/verify"
	"github.com/eventpro/boxoffice/processors/attendees"
	"github.com/eventpro/boxoffice/processors/inventory"
	"github.com/eventpro/boxoffice/processors/payments"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

func options(t *testing.T, s *testsystem.System, group string, swap bool) rebuild.TableOptions {
	return rebuild.TableOptions{
		Brokers: s.Brokers, Group: group, Dir: t.TempDir(), Swap: swap, Logger: slog.New(slog.DiscardHandler),
		By: rebuild.Person{Name: "ana", Note: "a damaged table"},
		Handlers: map[string]stream.Handler{
			topology.Inventory.Name: inventory.New(inventory.Config{}).Handle, topology.Attendees.Name: attendees.New(attendees.Config{}).Handle,
		},
	}
}

func table(t *testing.T, s *testsystem.System, group string, swap bool) rebuild.TableReport {
	t.Helper()
	r, err := rebuild.Table(t.Context(), options(t, s, group, swap))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var groups = []string{topology.Catalog.Name, topology.Registrations.Name, topology.Inventory.Name, topology.Payments.Name, topology.Attendees.Name}

// load sells tickets until it is stopped.
func load(s *testsystem.System, name string) (stop func() (ids []uuid.UUID)) {
	ctx, cancel := context.WithCancel(context.Background())
	sold := make(chan []uuid.UUID, 1)
	go func() {
		var ids []uuid.UUID
		for ctx.Err() == nil && len(ids) < 300 {
			ids = append(ids, s.Register(fmt.Sprintf("%s-%d", name, len(ids))))
		}
		sold <- ids
	}()
	return func() []uuid.UUID { cancel(); return <-sold }
}

// verified checks that the invariants of the whole system hold, I9 among them.
func verified(t *testing.T, s *testsystem.System, ids []uuid.UUID) {
	t.Helper()
	s.Eventually("all are settled", func() error {
		settled := map[string]bool{}
		for _, r := range s.Records(topology.RegistrationsTable) {
			v := new(pb.Registration)
			if err := proto.Unmarshal(r.Value, v); err != nil {
				return err
			}
			settled[string(r.Key)] = v.Settled
		}
		for _, id := range ids {
			if !settled[id.String()] {
				return fmt.Errorf("%s is not", id)
			}
		}
		return nil
	})
	s.BooksHold(verify.Options{})
}

// While tickets are sold, every table is what the log makes of it.
func TestTablesEqualTheirLogUnderLoad(t *testing.T) {
	t.Parallel()
	s := testsystem.Start(t, 2_000, testsystem.Options{})
	stop := load(s, "under-load")
	first := s.Register("first")
	s.Await(first, "settled", testsystem.Settled)
	for _, group := range groups {
		if r := table(t, s, group, false); r.Differ > 0 || r.LiveKeys == 0 || r.RebuiltKeys == 0 {
			t.Errorf("%s: %+v", group, r)
		}
	}
	verified(t, s, stop()[:1])
}

// The provider is away and a payment is asked for again and again. That changes its
// value and no version of it: the rebuild finds nothing to mend.
func TestAPaymentThatIsAskedForAgain(t *testing.T) {
	t.Parallel()
	s := testsystem.Start(t, 50, testsystem.Options{Payments: payments.Config{RetryBase: 20 * time.Millisecond, RetryCap: 50 * time.Millisecond}})
	s.Behave(provider.Behaviour{Away: true})
	id := topology.PaymentID(s.Register("hangs")).String()
	p := new(pb.Payment)
	s.Eventually("it was asked for twice", func() error {
		if !s.Last(topology.PaymentsTable, id, p) || p.Attempts < 2 {
			return fmt.Errorf("it is %v", p)
		}
		return nil
	})
	if r := table(t, s, topology.Payments.Name, false); r.Differ > 0 || r.LiveKeys != 1 {
		t.Errorf("%+v", r)
	}
}

// Somebody writes wrong values to a table: another outcome, an old version, a
// cent that is missing, a seat that is lost. The rebuild finds exactly those,
// with the field, and changes nothing. With a swap, and while tickets are sold,
// they are mended, and the owners go on from what is right.
func TestDamageIsFoundAndMended(t *testing.T) {
	t.Parallel()
	s := testsystem.Start(t, 2_000, testsystem.Options{})
	ids := []uuid.UUID{s.Register("outcome"), s.Register("old"), s.Register("cent")}
	for _, id := range ids {
		s.Await(id, "settled", testsystem.Settled)
	}
	r := new(pb.Registration)
	s.Last(topology.RegistrationsTable, ids[0].String(), r)
	r.Outcome = pb.Outcome_OUTCOME_SOLD_OUT
	s.Send(topology.RegistrationsTable, ids[0].String(), r)
	s.Send(topology.RegistrationsTable, ids[1].String(), firstVersion(t, s, ids[1]))
	p := new(pb.Payment)
	payment := topology.PaymentID(ids[2]).String()
	s.Last(topology.PaymentsTable, payment, p)
	p.CapturedMinor--
	s.Send(topology.PaymentsTable, payment, p)

	stop := load(s, "mended")
	found := table(t, s, topology.Registrations.Name, false)
	wantDifferences(t, found, ids[0].String(), "outcome: OUTCOME_SOLD_OUT, rebuilt OUTCOME_CONFIRMED", ids[1].String(), "version: 1, rebuilt")
	wantDifferences(t, table(t, s, topology.Payments.Name, false), payment, "captured_minor: 2499, rebuilt 2500")
	s.Last(topology.RegistrationsTable, ids[0].String(), r)
	if r.Outcome != pb.Outcome_OUTCOME_SOLD_OUT {
		t.Fatal("a rebuild without a swap has written")
	}
	for _, group := range []string{topology.Registrations.Name, topology.Payments.Name} {
		if r := table(t, s, group, true); r.Differ == 0 || r.Swapped != r.Differ {
			t.Fatalf("%+v", r)
		}
		if r := table(t, s, group, false); r.Differ != 0 {
			t.Fatalf("after the swap: %+v", r)
		}
		wantAudited(t, s, group)
	}
	// The owners work on: the damaged registration is cancelled and refunded.
	s.Cancel(ids[0])
	s.Await(ids[0], "cancelled", func(r *pb.Registration) bool {
		return r.Settled && r.Outcome == pb.Outcome_OUTCOME_CANCELLED && r.GetPayment().GetRefundedMinor() == testsystem.Price
	})
	verified(t, s, append(ids, stop()...))
}

// The first seats of a block are lost from its table's value, and it is mended
// from the commands while they come in: nobody's seat is sold again (I1).
func TestALostSeatIsMended(t *testing.T) {
	t.Parallel()
	s := testsystem.Start(t, 50, testsystem.Options{})
	id := s.Register("seat")
	s.Await(id, "settled", testsystem.Settled)
	block := topology.BlockKey(s.Event[:], "seat", 1)
	b := new(pb.Block)
	s.Last(topology.InventoryTable, block, b)
	b.Free, b.HoldIds, b.RegistrationIds, b.Seats, b.Sold = b.Size, nil, nil, nil, 0
	s.Send(topology.InventoryTable, block, b)
	found := table(t, s, topology.Inventory.Name, false)
	wantDifferences(t, found, block, "free: 50, rebuilt 49")
	stop := load(s, "lost-seat")
	if r := table(t, s, topology.Inventory.Name, true); r.Differ > 1 {
		t.Fatalf("%+v", r)
	}
	verified(t, s, append(stop(), id))
	if r := table(t, s, topology.Inventory.Name, false); r.Differ != 0 {
		t.Fatalf("after the swap: %+v", r)
	}
}

// The first commands have expired: a table that is made of them cannot be
// recomputed, which is said and not taken for a difference.
func TestExpiredCommands(t *testing.T) {
	t.Parallel()
	s := testsystem.Start(t, 50, testsystem.Options{})
	client, err := kgo.NewClient(kgo.SeedBrokers(s.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	offsets := kadm.Offsets{}
	for _, r := range s.Records(topology.SeatCommands)[:1] {
		offsets.AddOffset(r.Topic, r.Partition, r.Offset+1, -1)
	}
	if _, err := kadm.NewClient(client).DeleteRecords(t.Context(), offsets); err != nil {
		t.Fatal(err)
	}
	if _, err := rebuild.Table(t.Context(), options(t, s, topology.Inventory.Name, false)); !errors.Is(err, rebuild.ErrExpired) {
		t.Fatalf("recomputed from half of the commands: %v", err)
	}
	if _, err := rebuild.Table(t.Context(), options(t, s, topology.Gateway.Name, false)); err == nil {
		t.Fatal("recomputed the table of a group that has none")
	}
}

// wantAudited wants the audit trail to have who swapped what.
func wantAudited(t *testing.T, s *testsystem.System, what string) {
	t.Helper()
	for _, r := range s.Records(topology.OperatorActions) {
		a, err := audit.Parse(r)
		if err != nil {
			t.Fatal(err)
		}
		if a.Kind == pb.OperatorActionKind_OPERATOR_ACTION_KIND_REBUILD && a.Key == what && a.Operator == "ana" && a.Detail != "" {
			return
		}
	}
	t.Errorf("the audit trail has no swap of %s", what)
}

func firstVersion(t *testing.T, s *testsystem.System, id uuid.UUID) proto.Message {
	t.Helper()
	for _, r := range s.Records(topology.RegistrationEvents) {
		if string(r.Key) == id.String() {
			v := new(pb.Registration)
			if err := proto.Unmarshal(r.Value, v); err != nil || v.Version != 1 {
				t.Fatalf("%v, %v", v, err)
			}
			return v
		}
	}
	t.Fatal("no event")
	return nil
}

// wantDifferences wants these keys, each with that field, and no others.
func wantDifferences(t *testing.T, r rebuild.TableReport, want ...string) {
	t.Helper()
	if r.Differ != len(want)/2 || len(r.Differences) != r.Differ {
		t.Fatalf("%+v", r)
	}
	for i := 0; i < len(want); i += 2 {
		if !slices.ContainsFunc(r.Differences, func(d rebuild.Difference) bool {
			return d.Key == want[i] && strings.Contains(strings.Join(d.Fields, "; "), want[i+1])
		}) {
			t.Errorf("%s with %q is not among %+v", want[i], want[i+1], r.Differences)
		}
	}
}
