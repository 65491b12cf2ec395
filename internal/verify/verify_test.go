package verify

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/provider"
	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
	"github.com/eventpro/boxoffice/sinks/clickhouse"
)

// A correct world passes, with ClickHouse and with what clients were told.
func TestCorrectWorld(t *testing.T) {
	t.Parallel()
	o := newBooks().options(t)
	load(t, &o)
	o.AcceptedFile = accepted(t, `{"registration_id":"`+alice.String()+`","position":{"partition":0,"offset":1}}`, bob.String(), "")
	r := verify(t, o)
	if !r.OK() || r.Open != 0 || r.Moving {
		t.Errorf("a correct world is found broken:\n%s", text(r))
	}
	if r.Registrations != 6 || r.Confirmed != 3 {
		t.Errorf("%d registrations, %d confirmed, want 6 and 3", r.Registrations, r.Confirmed)
	}
	for _, i := range r.Invariants {
		if i.Checked == 0 || i.Skipped != "" {
			t.Errorf("%s was not checked", i.Name)
		}
	}
	if i, _ := r.Invariant("I1"); !strings.Contains(i.Detail, "8 places = 4 sold + 0 held + 4 free + 0 withdrawn") {
		t.Errorf("I1: %s", i.Detail)
	}
	if i, _ := r.Invariant("I4"); !strings.Contains(i.Detail, "EUR: captured 30,000, refunded 15,000, fees 90") {
		t.Errorf("I4: %s", i.Detail)
	}
}

func snapshotOf(b *books, id uuid.UUID, n int) *pb.Registration {
	return b.find(topology.RegistrationEvents, id.String(), n).value.(*pb.Registration)
}

func tableOf(b *books, id uuid.UUID, n int) *pb.Registration {
	return b.find(topology.RegistrationsTable, id.String(), n).value.(*pb.Registration)
}

func blockOf(b *books, n int) *pb.Block {
	return b.find(topology.InventoryTable, topology.BlockKey(fair[:], "paid", 1), n).value.(*pb.Block)
}

func seatEventOf(b *books, id uuid.UUID, n int) *pb.SeatEvent {
	return b.find(topology.SeatEvents, id.String(), n).value.(*pb.SeatEvent)
}

func drop(b *books, topic topology.Topic, key string, n ...int) {
	for _, n := range n {
		b.find(topic, key, n).gone = true
	}
}

func paymentKey(id uuid.UUID) string { return topology.PaymentID(id).String() }

// Each record that is broken, lost or doubled is found by the invariant that it
// breaks, and by no other that still holds.
func TestBrokenWorlds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		breaks func(*books)
		// broken are the invariants, said is part of what is said about the first.
		broken []string
		said   string
	}{
		"a seat is granted to two": {
			func(b *books) { seatEventOf(b, erin, 0).Seats = 0b1 },
			[]string{"I1", "I9"},
			"another hold owns",
		},
		"a seat has two owners in the table": {
			func(b *books) { blockOf(b, -1).Seats[1] |= blockOf(b, -1).Seats[0] },
			[]string{"I1", "I9"},
			"another owner too",
		},
		"a block's figures do not add up": {
			func(b *books) { seatEventOf(b, alice, 0).Free++ },
			[]string{"I1"},
			"is not 6",
		},
		"confirmed with too few seats": {
			func(b *books) {
				for _, r := range []*pb.Registration{snapshotOf(b, alice, -1), tableOf(b, alice, -1)} {
					r.Holds[0].Seats = 0b1
				}
			},
			[]string{"I1"},
			"holds 1 seats",
		},
		"more tickets than places": {
			func(b *books) {
				for _, r := range []*pb.Registration{snapshotOf(b, dave, -1), tableOf(b, dave, -1)} {
					r.Lines[0].Quantity = 3
				}
			},
			[]string{"I1"},
			"3 tickets are confirmed of 2 places",
		},
		"seats that nobody keeps": {
			func(b *books) {
				for _, r := range []*pb.Registration{snapshotOf(b, dave, -1), tableOf(b, dave, -1)} {
					r.Holds, r.Outcome = nil, pb.Outcome_OUTCOME_EXPIRED
				}
				for _, r := range []*pb.Registration{snapshotOf(b, dave, -2), tableOf(b, dave, -2)} {
					r.Outcome = pb.Outcome_OUTCOME_EXPIRED
				}
			},
			[]string{"I1"},
			"does not keep",
		},
		"sold without owning": {
			func(b *books) { seatEventOf(b, alice, 1).HoldId = erin[:] },
			[]string{"I1", "I9"},
			"is sold seats that it does not own",
		},
		"decided twice": {
			func(b *books) {
				b.snapshot(carol, func(r *pb.Registration) { r.Outcome = pb.Outcome_OUTCOME_EXPIRED })
			},
			[]string{"I2"},
			"was decided sold_out and became expired",
		},
		"settled without an outcome": {
			func(b *books) {
				for _, r := range []*pb.Registration{snapshotOf(b, carol, -1), tableOf(b, carol, -1)} {
					r.Outcome = pb.Outcome_OUTCOME_UNSPECIFIED
				}
			},
			[]string{"I2"},
			"has no outcome",
		},
		"a command without an answer": {
			func(b *books) {
				lost := topology.RegistrationID("acme", "grace")
				b.command(lost, &pb.RegistrationCommand{Command: &pb.RegistrationCommand_Register{Register: &pb.Register{EventId: fair[:]}}})
			},
			[]string{"I2", "I7"},
			"was handled and has no answer",
		},
		"an answer without a command": {
			func(b *books) { drop(b, topology.RegistrationCommands, carol.String(), 0) },
			[]string{"I2"},
			"nobody asked for it",
		},
		"open at rest": {
			func(b *books) {
				drop(b, topology.RegistrationEvents, carol.String(), -1)
				drop(b, topology.RegistrationsTable, carol.String(), -1)
			},
			[]string{"I2"},
			"1 are still open, for example " + carol.String(),
		},
		"a cancelled one is not refunded": {
			func(b *books) {
				drop(b, topology.PaymentEvents, bob.String(), -1, -2)
				drop(b, topology.PaymentsTable, paymentKey(bob), -1, -2)
				b.ledger = slices.DeleteFunc(b.ledger, func(e provider.Entry) bool {
					return e.Kind == provider.KindRefund && e.PaymentReference == paymentKey(bob)
				})
			},
			[]string{"I3"},
			"so 5000 of 5000 was to be given back, the ledger shows 0",
		},
		"captured twice": {
			func(b *books) { b.enter(b.ledger[0]) },
			[]string{"I3", "I4"},
			"was captured 2 times",
		},
		"confirmed without a capture": {
			func(b *books) { b.ledger = b.ledger[1:] },
			[]string{"I3", "I4"},
			"the provider captured nothing",
		},
		"captured and nobody knows": {
			func(b *books) {
				e := b.ledger[0]
				e.Reference, e.PaymentReference = paymentKey(carol), paymentKey(carol)
				b.enter(e)
			},
			[]string{"I3", "I4"},
			"no event tells of it",
		},
		"refunded twice": {
			func(b *books) { b.enter(b.ledger[2]) },
			[]string{"I3", "I4"},
			"given back twice",
		},
		"another fee in the ledger": {
			func(b *books) { b.ledger[0].FeeMinor++ },
			[]string{"I4"},
			"the ledger shows fee 31",
		},
		"another day in the ledger": {
			func(b *books) { b.ledger[0].At = b.ledger[0].At.Add(24 * time.Hour) },
			[]string{"I4"},
			"2026-09-22",
		},
		"another currency in the ledger": {
			func(b *books) { b.ledger[0].Currency = "USD" },
			[]string{"I4"},
			"USD",
		},
		"a refund that the ledger does not have": {
			func(b *books) { b.ledger[2].AmountMinor-- },
			[]string{"I3", "I4"},
			"the ledger shows 4999",
		},
		"a record that cannot be read": {
			func(b *books) {
				b.messages = append(b.messages, &message{topic: topology.DeadLetters, key: "x", value: &pb.Timer{}})
			},
			[]string{"I7"},
			"without its origin",
		},
		"a group that did not read everything": {
			func(b *books) {
				b.behind = topology.Inventory.Name
				b.put(topology.SeatCommands, "x", &pb.SeatCommand{Block: 1})
			},
			[]string{"I7"},
			"group inventory has not read 1 records of seat-commands",
		},
		"a table that differs from its log": {
			func(b *books) { tableOf(b, alice, -1).Channel = "phone" },
			[]string{"I9"},
			"differs from the event's",
		},
		"a table that lost its last value": {
			func(b *books) { drop(b, topology.RegistrationsTable, alice.String(), -1) },
			[]string{"I9"},
			"the table has version 3, its log version 4",
		},
		"a log that lost a version": {
			func(b *books) { drop(b, topology.RegistrationEvents, alice.String(), 1) },
			[]string{"I9"},
			"version 3 comes after version 1",
		},
		"a log that has a version twice": {
			func(b *books) {
				m := *b.find(topology.RegistrationEvents, carol.String(), -1)
				b.messages = append(b.messages, &m)
			},
			[]string{"I9"},
			"version 2 comes after version 2",
		},
		"a block's answer is lost": {
			func(b *books) { drop(b, topology.SeatEvents, erin.String(), -1) },
			[]string{"I1", "I9"},
			"",
		},
		"a block that differs from its log": {
			func(b *books) { blockOf(b, -1).Sold = 0b1 },
			[]string{"I1", "I9"},
			"",
		},
		"a payment that differs from its log": {
			func(b *books) {
				b.find(topology.PaymentsTable, paymentKey(alice), -1).value.(*pb.Payment).ProviderReference = "ch_other"
			},
			[]string{"I9"},
			"payment",
		},
		"an event that differs from its log": {
			func(b *books) { b.find(topology.CatalogTable, fair.String(), 0).value.(*pb.Event).Name = "Unfair" },
			[]string{"I9"},
			"event " + fair.String(),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBooks()
			c.breaks(b)
			expect(t, verify(t, b.options(t)), c.broken, c.said)
		})
	}
}

func expect(t *testing.T, r Report, broken []string, said string) {
	t.Helper()
	var got []string
	for _, i := range r.Invariants {
		if !i.OK {
			got = append(got, i.Name)
		}
	}
	if !slices.Equal(got, broken) {
		t.Fatalf("broken: %v, want %v\n%s", got, broken, text(r))
	}
	if len(broken) == 0 {
		return
	}
	first, _ := r.Invariant(broken[0])
	if !strings.Contains(strings.Join(first.Offenders, "\n"), said) {
		t.Errorf("%s does not say %q:\n%s", broken[0], said, text(r))
	}
}

// Each row that ClickHouse lacks, has twice or has in another version is found.
func TestBrokenClickHouse(t *testing.T) {
	t.Parallel()
	const sync = " SETTINGS mutations_sync = 2"
	for name, c := range map[string]struct {
		statements []string
		broken     []string
		said       string
	}{
		"a registration is missing": {
			[]string{"ALTER TABLE registrations DELETE WHERE registration_id = '" + alice.String() + "'" + sync},
			[]string{"I8"},
			"registration " + alice.String() + " is not in ClickHouse",
		},
		"a registration is there twice": {
			[]string{"INSERT INTO registrations SELECT * REPLACE (generateUUIDv4() AS event_id) FROM registrations FINAL WHERE registration_id = '" + alice.String() + "'"},
			[]string{"I4", "I8"},
			"The open items do not balance: EUR by -100.00",
		},
		"an old version": {
			[]string{
				"INSERT INTO registrations SELECT * REPLACE (version - 1 AS version) FROM registrations FINAL WHERE registration_id = '" + carol.String() + "'",
				"ALTER TABLE registrations DELETE WHERE registration_id = '" + carol.String() + "' AND version = 2" + sync,
			},
			[]string{"I8"},
			"ClickHouse shows version 1, its log had version 2",
		},
		"a version that never was": {
			[]string{"INSERT INTO registrations SELECT * REPLACE (version + 1 AS version) FROM registrations FINAL WHERE registration_id = '" + carol.String() + "'"},
			[]string{"I8"},
			"ClickHouse shows version 3, its log ends at version 2",
		},
		"other money": {
			[]string{
				"ALTER TABLE payments UPDATE captured_minor = captured_minor + 1 WHERE registration_id = '" + alice.String() + "'" + sync,
			},
			[]string{"I4", "I8"},
			"ClickHouse shows captured",
		},
		"a movement is missing": {
			[]string{"ALTER TABLE movements DELETE WHERE registration_id = '" + bob.String() + "' AND kind = 'refund'" + sync},
			[]string{"I4"},
			"the journal of ClickHouse shows captured",
		},
		"a report that lacks a movement": {
			[]string{"ALTER TABLE movements DELETE WHERE registration_id = '" + bob.String() + "' AND kind = 'refund'" + sync},
			[]string{"I4"},
			"the report daily-revenue shows EUR captured 30000, refunded 10000",
		},
		"a movement of another day": {
			[]string{
				"INSERT INTO movements SELECT * REPLACE (occurred_at + INTERVAL 1 DAY AS occurred_at, version + 1 AS version) FROM movements FINAL WHERE registration_id = '" + alice.String() + "'",
			},
			[]string{"I4"},
			"the journal of ClickHouse shows captured",
		},
		"a payment is missing": {
			[]string{"ALTER TABLE payments DELETE WHERE registration_id = '" + erin.String() + "'" + sync},
			[]string{"I8"},
			"payment " + paymentKey(erin) + " is not in ClickHouse",
		},
		"a block is missing": {
			[]string{"ALTER TABLE seat_blocks DELETE WHERE ticket_type = 'free'" + sync},
			[]string{"I8"},
			"block " + topology.BlockKey(fair[:], "free", 1) + " is not in ClickHouse",
		},
		"an audit row is missing": {
			[]string{"ALTER TABLE events DELETE WHERE topic = 'catalog-events'" + sync},
			[]string{"I8"},
			"catalog-events/",
		},
		"an audit row too many": {
			[]string{"INSERT INTO events (topic, partition, offset, time, version) VALUES ('seat-events', 7, 0, now(), 1)"},
			[]string{"I8"},
			"the log none",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newBooks().options(t)
			load(t, &o)
			for _, s := range c.statements {
				execute(t, o, s)
			}
			expect(t, verify(t, o), c.broken, c.said)
		})
	}
}

// I8: audit rows that are older than they are kept are missed by nobody; without a
// time to live the same rows are missing.
func TestAuditTrailThatForgets(t *testing.T) {
	t.Parallel()
	b := newBooks()
	b.at = time.Now().AddDate(-1, 0, 0)
	o := b.options(t)
	load(t, &o)
	execute(t, o, "ALTER TABLE events DELETE WHERE topic = 'payment-events' SETTINGS mutations_sync = 2")
	expect(t, verify(t, o), []string{"I8"}, "payment-events/")
	execute(t, o, "ALTER TABLE events MODIFY TTL toDateTime(time) + toIntervalMonth(2)")
	expect(t, verify(t, o), nil, "")
}

// A loader that stands still is found, after some patience.
func TestLoaderThatStandsStill(t *testing.T) {
	t.Parallel()
	o := newBooks().options(t)
	o.ClickHouseURL, o.ClickHouseDB, o.LoadPatience = engineURL, "t_still", time.Millisecond
	if _, err := clickhouse.Migrate(t.Context(), o.ClickHouseURL, o.ClickHouseDB); err != nil {
		t.Fatal(err)
	}
	r := verify(t, o)
	expect(t, r, []string{"I4", "I8"}, "ClickHouse shows")
	if i, _ := r.Invariant("I8"); !strings.Contains(i.Detail, "records behind") {
		t.Errorf("I8: %s", i.Detail)
	}
}

// What a client was told was accepted, and is not in the log, is lost.
func TestAcceptedAndLost(t *testing.T) {
	t.Parallel()
	o := newBooks().options(t)
	lost := topology.RegistrationID("acme", "grace")
	o.AcceptedFile = accepted(t, fmt.Sprintf(`{"registration_id":%q}`, lost))
	expect(t, verify(t, o), []string{"I2"}, "registration "+lost.String()+" was accepted")
	o.AcceptedFile = accepted(t, "grace")
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a file of something else: %v", err)
	}
}

// A saga that is open is listed and breaks nothing, unless all should be at rest.
func TestOpenIsListed(t *testing.T) {
	t.Parallel()
	b := newBooks()
	drop(b, topology.RegistrationEvents, carol.String(), -1)
	drop(b, topology.RegistrationsTable, carol.String(), -1)
	o := b.options(t)
	o.AtRest = false
	r := verify(t, o)
	expect(t, r, nil, "")
	if r.Open != 1 || r.Overdue > 1 || !slices.Equal(r.OpenFirst, []string{carol.String()}) {
		t.Errorf("%d open, %d overdue, %v; want carol", r.Open, r.Overdue, r.OpenFirst)
	}
}

// I7: a command that is a dead letter has ended there, and is listed.
func TestDeadLetterIsListed(t *testing.T) {
	t.Parallel()
	b := newBooks()
	lost := topology.RegistrationID("acme", "grace")
	b.command(lost, &pb.RegistrationCommand{})
	o := b.options(t)
	letter := again(lastRecord(t, o, topology.RegistrationCommands, lost.String()), topology.DeadLetters, 5)
	put(t, o, letter)
	r := verify(t, o)
	expect(t, r, nil, "")
	if r.DeadLetters["registration-commands: failed"] != 1 {
		t.Errorf("dead letters %v", r.DeadLetters)
	}
	put(t, o, letter)
	expect(t, verify(t, o), []string{"I7"}, "is a dead letter twice")
}

// While records arrive, what is in flight is not taken for lost: a command comes
// when reading has begun, its group has not seen it.
func TestRecordsThatArriveMeanwhile(t *testing.T) {
	t.Parallel()
	o := newBooks().options(t)
	o.AtRest = false
	client, err := kgo.NewClient(kgo.SeedBrokers(o.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var once sync.Once
	o.Progress = func(string, int64, int64) {
		once.Do(func() {
			b := &books{}
			b.command(topology.RegistrationID("acme", "grace"), &pb.RegistrationCommand{
				Command: &pb.RegistrationCommand_Register{Register: &pb.Register{EventId: fair[:]}},
			})
			r := record(t, b.messages[0])
			if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Error(err)
			}
		})
	}
	r := verify(t, o)
	expect(t, r, nil, "")
	if !r.Moving {
		t.Error("the report does not say that records arrived")
	}
	o.AtRest = true
	if r := verify(t, o); r.OK() || r.Open != 1 {
		t.Errorf("%d open at rest:\n%s", r.Open, text(r))
	}
}

// What is missing to verify at all is an error, not a broken invariant.
func TestErrors(t *testing.T) {
	t.Parallel()
	if _, err := Run(t.Context(), Options{}); err == nil {
		t.Error("verified without knowing where")
	}
	o := newBooks().options(t)
	o.ProviderURL = "http://127.0.0.1:1"
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "ledger") {
		t.Errorf("verified without a ledger: %v", err)
	}
}

// I7: records that nobody can read are found as such; they are in the audit trail
// like any other, so that ClickHouse lacks nothing.
func TestUnreadableRecords(t *testing.T) {
	t.Parallel()
	b := newBooks()
	b.put(topology.PaymentEvents, "poison", &pb.Payment{PaymentId: []byte("short"), Version: 3})
	b.put(topology.RegistrationEvents, "poison", &pb.Registration{Version: 3})
	b.put(topology.SeatEvents, "poison", &pb.SeatEvent{EventId: fair[:], BlockVersion: 9})
	b.put(topology.BlockEvents, "poison", &pb.BlockEvent{BlockVersion: 9})
	b.put(topology.CatalogEvents, "poison", &pb.Event{EventId: []byte("short"), Version: 9})
	o := b.options(t)
	load(t, &o)
	r := verify(t, o)
	expect(t, r, []string{"I7"}, "an id of 16 bytes is missing")
	if i, _ := r.Invariant("I7"); i.Violations != 5 {
		t.Errorf("%d records are found, want 5:\n%s", i.Violations, text(r))
	}
}
