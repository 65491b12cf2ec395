package verify

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/embedded/clickhouse/clickhousetest"
	"github.com/eventpro/boxoffice/internal/provider"
	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
	"github.com/eventpro/boxoffice/sinks/clickhouse"
)

// engineURL is the one engine of this process.
var engineURL string

func TestMain(m *testing.M) {
	os.Exit(clickhousetest.Main(m, func(url string) error { engineURL = url; return nil }))
}

const noon = 1_790_000_000_000 // 2026-09-21 14:13:20 UTC

var (
	fair  = topology.EventID("acme", "fair")
	alice = topology.RegistrationID("acme", "alice") // two tickets, confirmed
	bob   = topology.RegistrationID("acme", "bob")   // one ticket, confirmed, then cancelled and refunded
	carol = topology.RegistrationID("acme", "carol") // sold out
	dave  = topology.RegistrationID("acme", "dave")  // a free ticket, confirmed
	erin  = topology.RegistrationID("acme", "erin")  // declined, gave her seat back
	frank = topology.RegistrationID("acme", "frank") // two lines, one of them cancelled after all
)

// message is one record of the small world. Tests break the world by changing
// one, before it is produced.
type message struct {
	topic topology.Topic
	key   string
	value proto.Message
	// gone messages are not produced.
	gone bool
}

// books is the small world.
type books struct {
	messages []*message
	ledger   []provider.Entry
	// at is the records' time; now when it is zero.
	at time.Time
	// behind makes a group stop before its last record.
	behind string
	// blocks has the block that each registration's answers change.
	blocks map[string]*pb.Block
	last   map[string]*pb.Registration
	paid   map[string]*pb.Payment
}

func (b *books) put(topic topology.Topic, key string, value proto.Message) {
	b.messages = append(b.messages, &message{topic: topic, key: key, value: proto.Clone(value)})
}

// command asks for tickets, or cancels.
func (b *books) command(id uuid.UUID, c *pb.RegistrationCommand) {
	c.RegistrationId, c.Organiser, c.RequestTimeUnixMs = id[:], "acme", noon
	b.put(topology.RegistrationCommands, id.String(), c)
}

func (b *books) register(id uuid.UUID, lines ...*pb.Line) {
	b.command(id, &pb.RegistrationCommand{Command: &pb.RegistrationCommand_Register{Register: &pb.Register{
		EventId: fair[:], Currency: "EUR", Lines: lines,
	}}})
	r := &pb.Registration{
		RegistrationId: id[:], EventId: fair[:], Organiser: "acme", Currency: "EUR", Step: pb.Step_STEP_HOLDING,
		RequestTimeUnixMs: noon, DeadlineUnixMs: noon + 600_000,
	}
	for i, l := range lines {
		l.Line = uint32(i + 1)
		l.TotalMinor = int64(l.Quantity) * l.UnitPriceMinor
		r.TotalMinor += l.TotalMinor
		r.Lines = append(r.Lines, proto.CloneOf(l))
	}
	b.last[id.String()] = r
	b.snapshot(id, func(*pb.Registration) {})
}

// snapshot publishes the next version of a registration, and its table value.
func (b *books) snapshot(id uuid.UUID, change func(*pb.Registration)) {
	r := b.last[id.String()]
	change(r)
	r.Version++
	b.put(topology.RegistrationEvents, id.String(), r)
	b.table(id)
}

func (b *books) table(id uuid.UUID) {
	b.put(topology.RegistrationsTable, id.String(), b.last[id.String()])
}

// answer publishes a block's change and its table value.
func (b *books) answer(ticketType string, id uuid.UUID, line uint32, kind pb.SeatEventKind, seats uint64) {
	block := b.blocks[ticketType]
	hold := topology.HoldID(id, line, 1, 1)
	at := -1
	for i := range block.Seats {
		if topology.UUID(block.HoldIds[16*i:16*i+16]) == hold {
			at = i
		}
	}
	switch kind {
	case pb.SeatEventKind_SEAT_EVENT_KIND_GRANTED:
		block.HoldIds = append(block.HoldIds, hold[:]...)
		block.RegistrationIds = append(block.RegistrationIds, id[:]...)
		block.Seats = append(block.Seats, seats)
	case pb.SeatEventKind_SEAT_EVENT_KIND_RELEASED:
		block.HoldIds = append(block.HoldIds[:16*at:16*at], block.HoldIds[16*at+16:]...)
		block.RegistrationIds = append(block.RegistrationIds[:16*at:16*at], block.RegistrationIds[16*at+16:]...)
		block.Seats = append(block.Seats[:at:at], block.Seats[at+1:]...)
		block.Sold &^= seats
	case pb.SeatEventKind_SEAT_EVENT_KIND_SOLD:
		block.Sold |= seats
	}
	block.Version++
	var owned uint64
	for _, s := range block.Seats {
		owned |= s
	}
	f := (&seating{size: block.Size, open: true, sold: block.Sold, owners: []owner{{seats: owned}}}).count()
	block.Free = uint32(f.free)
	b.put(topology.SeatEvents, id.String(), &pb.SeatEvent{
		Kind: kind, EventId: fair[:], TicketType: ticketType, Block: 1, RegistrationId: id[:],
		HoldId: hold[:], Seats: seats, BlockVersion: block.Version, BlockSize: block.Size, Held: uint32(f.held), Sold: uint32(f.sold),
		Free: uint32(f.free), Changed: true,
	})
	b.put(topology.InventoryTable, topology.BlockKey(fair[:], ticketType, 1), block)
}

func (b *books) pay(id uuid.UUID, change func(*pb.Payment)) {
	payment := topology.PaymentID(id)
	p := b.paid[id.String()]
	if p == nil {
		p = &pb.Payment{
			PaymentId: payment[:], RegistrationId: id[:], EventId: fair[:], Organiser: "acme", Currency: "EUR",
			AmountMinor: b.last[id.String()].TotalMinor, Status: pb.PaymentStatus_PAYMENT_STATUS_PENDING, RequestedAtUnixMs: noon,
		}
		b.paid[id.String()] = p
	}
	change(p)
	p.Version++
	b.put(topology.PaymentEvents, id.String(), p)
	b.put(topology.PaymentsTable, payment.String(), p)
}

func (b *books) capture(id uuid.UUID) {
	b.pay(id, func(*pb.Payment) {})
	b.pay(id, func(p *pb.Payment) {
		p.Status, p.CapturedMinor, p.FeeMinor = pb.PaymentStatus_PAYMENT_STATUS_CAPTURED, p.AmountMinor, 30
		p.CapturedAtUnixMs, p.ProviderReference = noon+1_000, "ch_"+id.String()
	})
	p := b.paid[id.String()]
	b.enter(provider.Entry{
		Kind: provider.KindCharge, Reference: topology.KeyOf(p.PaymentId), PaymentReference: topology.KeyOf(p.PaymentId),
		AmountMinor: p.AmountMinor, Currency: "EUR", FeeMinor: 30, At: time.UnixMilli(noon + 1_000).UTC(),
	})
}

func (b *books) refund(id uuid.UUID, amount int64) {
	p := b.paid[id.String()]
	refund := topology.RefundID(topology.UUID(p.PaymentId), 0)
	b.pay(id, func(p *pb.Payment) {
		p.Refunds = []*pb.Refund{{RefundId: refund[:], AmountMinor: amount, Status: pb.RefundStatus_REFUND_STATUS_PENDING}}
	})
	b.pay(id, func(p *pb.Payment) {
		p.Refunds[0].Status, p.Refunds[0].RefundedAtUnixMs = pb.RefundStatus_REFUND_STATUS_DONE, noon+86_400_000
		p.RefundedMinor = amount
		if p.RefundedMinor == p.CapturedMinor {
			p.Status = pb.PaymentStatus_PAYMENT_STATUS_REFUNDED
		}
	})
	b.enter(provider.Entry{
		Kind: provider.KindRefund, Reference: refund.String(), PaymentReference: topology.KeyOf(p.PaymentId),
		AmountMinor: amount, Currency: "EUR", At: time.UnixMilli(noon + 86_400_000).UTC(),
	})
}

func (b *books) enter(e provider.Entry) {
	e.Seq = uint64(len(b.ledger) + 1)
	b.ledger = append(b.ledger, e)
}

func (b *books) hold(id uuid.UUID, line uint32, seats uint64) *pb.Hold {
	hold := topology.HoldID(id, line, 1, 1)
	return &pb.Hold{HoldId: hold[:], Line: line, Attempt: 1, Block: 1, Quantity: 2, Seats: seats, Status: pb.HoldStatus_HOLD_STATUS_KEPT}
}

// take is the way of a registration to the step before its money.
func (b *books) take(id uuid.UUID, ticketTypes []string, seats ...uint64) {
	for i, mask := range seats {
		b.answer(ticketTypes[i], id, uint32(i+1), pb.SeatEventKind_SEAT_EVENT_KIND_GRANTED, mask)
	}
	b.snapshot(id, func(r *pb.Registration) {
		r.Step = pb.Step_STEP_CHARGING
		for i, mask := range seats {
			r.Holds = append(r.Holds, b.hold(id, uint32(i+1), mask))
		}
	})
}

// confirm decides and settles.
func (b *books) confirm(id uuid.UUID, ticketTypes ...string) {
	b.snapshot(id, func(r *pb.Registration) {
		r.Step, r.Outcome = pb.Step_STEP_SETTLING, pb.Outcome_OUTCOME_CONFIRMED
		for _, h := range r.Holds {
			h.Status = pb.HoldStatus_HOLD_STATUS_CONFIRMING
		}
	})
	for i, h := range b.last[id.String()].Holds {
		b.answer(ticketTypes[i], id, h.Line, pb.SeatEventKind_SEAT_EVENT_KIND_SOLD, h.Seats)
	}
	b.snapshot(id, func(r *pb.Registration) {
		for _, h := range r.Holds {
			h.Status = pb.HoldStatus_HOLD_STATUS_SOLD
		}
		settle(r)
	})
}

func settle(r *pb.Registration) {
	r.Step, r.Settled, r.DeadlineUnixMs = pb.Step_STEP_SETTLED, true, 0
}

// cancelLine gives a line's seats back.
func (b *books) cancelLine(id uuid.UUID, ticketType string, line uint32, outcome pb.Outcome) {
	b.command(id, &pb.RegistrationCommand{Command: &pb.RegistrationCommand_Cancel{Cancel: &pb.CancelRegistration{Lines: []uint32{line}}}})
	at := int(line - 1)
	b.snapshot(id, func(r *pb.Registration) {
		r.Outcome, r.Step, r.Settled = outcome, pb.Step_STEP_SETTLING, false
		r.Lines[at].Cancelled = true
		r.Holds[at].Status = pb.HoldStatus_HOLD_STATUS_RELEASING
	})
	b.answer(ticketType, id, line, pb.SeatEventKind_SEAT_EVENT_KIND_RELEASED, b.last[id.String()].Holds[at].Seats)
	b.refund(id, b.last[id.String()].Lines[at].TotalMinor)
	b.snapshot(id, func(r *pb.Registration) {
		r.Holds[at].Status = pb.HoldStatus_HOLD_STATUS_RELEASED
		settle(r)
	})
}

// newBooks is a correct small world: an event with six places at 50.00 EUR and
// two free ones, and six registrations that each end in another way.
func newBooks() *books {
	b := &books{blocks: map[string]*pb.Block{}, last: map[string]*pb.Registration{}, paid: map[string]*pb.Payment{}}
	event := &pb.Event{
		EventId: fair[:], Organiser: "acme", Name: "Fair", Currency: "EUR", Version: 1, Status: pb.EventStatus_EVENT_STATUS_ON_SALE,
		TicketTypes: []*pb.TicketType{{Id: "paid", PriceMinor: 5_000, BlockSizes: []uint32{6}, BlockStates: []byte{0}}, {Id: "free", BlockSizes: []uint32{2}}},
	}
	b.put(topology.CatalogEvents, fair.String(), event)
	event.TicketTypes[0].BlockStates = []byte{1}
	b.put(topology.CatalogTable, fair.String(), event)
	for id, size := range map[string]uint32{"paid": 6, "free": 2} {
		b.blocks[id] = &pb.Block{Free: size, Status: pb.BlockStatus_BLOCK_STATUS_OPEN, Size: size, Version: 1, EventId: fair[:], TicketType: id, Number: 1}
		b.put(topology.InventoryTable, topology.BlockKey(fair[:], id, 1), b.blocks[id])
		b.put(topology.BlockEvents, fair.String(), &pb.BlockEvent{
			Kind: pb.BlockEventKind_BLOCK_EVENT_KIND_OPENED, EventId: fair[:], TicketType: id, Block: 1,
			BlockVersion: 1, BlockSize: size, Free: size, Changed: true,
		})
	}
	paid := func(n uint32) *pb.Line { return &pb.Line{TicketType: "paid", Quantity: n, UnitPriceMinor: 5_000} }
	free := func(n uint32) *pb.Line { return &pb.Line{TicketType: "free", Quantity: n} }

	b.register(alice, paid(2))
	b.take(alice, []string{"paid"}, 0b11)
	b.capture(alice)
	b.confirm(alice, "paid")

	b.register(bob, paid(1))
	b.take(bob, []string{"paid"}, 0b100)
	b.capture(bob)
	b.confirm(bob, "paid")
	b.cancelLine(bob, "paid", 1, pb.Outcome_OUTCOME_CANCELLED)

	b.register(carol, paid(9))
	b.snapshot(carol, func(r *pb.Registration) { r.Outcome = pb.Outcome_OUTCOME_SOLD_OUT; settle(r) })

	b.register(dave, free(1))
	b.take(dave, []string{"free"}, 0b1)
	b.confirm(dave, "free")

	b.register(erin, paid(1))
	b.take(erin, []string{"paid"}, 0b1000)
	b.pay(erin, func(p *pb.Payment) { p.Status = pb.PaymentStatus_PAYMENT_STATUS_DECLINED })
	b.answer("paid", erin, 1, pb.SeatEventKind_SEAT_EVENT_KIND_RELEASED, 0b1000)
	b.snapshot(erin, func(r *pb.Registration) {
		r.Outcome, r.Holds[0].Status = pb.Outcome_OUTCOME_PAYMENT_FAILED, pb.HoldStatus_HOLD_STATUS_RELEASED
		settle(r)
	})

	b.register(frank, paid(1), paid(2))
	b.take(frank, []string{"paid", "paid"}, 0b1000, 0b110000)
	b.capture(frank)
	b.confirm(frank, "paid", "paid")
	b.cancelLine(frank, "paid", 2, pb.Outcome_OUTCOME_CONFIRMED)
	return b
}

// find returns the nth message of a topic and key that matches; n < 0 counts
// from the end.
func (b *books) find(topic topology.Topic, key string, n int) *message {
	var found []*message
	for _, m := range b.messages {
		if m.topic.Name == topic.Name && m.key == key {
			found = append(found, m)
		}
	}
	if n < 0 {
		n += len(found)
	}
	return found[n]
}

// brokers produces the world and commits what its groups have read: all of it.
func (b *books) brokers(t testing.TB) []string {
	t.Helper()
	var topics []string
	for _, topic := range topology.Topics() {
		topics = append(topics, topic.Name)
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, topics...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	b.produce(t, client)
	admin := kadm.NewClient(client)
	for _, g := range topology.Groups() {
		if g.Name == topology.ClickHouseSink.Name {
			continue
		}
		for _, topic := range g.Inputs {
			ends, err := admin.ListEndOffsets(t.Context(), topic.Name)
			if err != nil {
				t.Fatal(err)
			}
			offsets := ends.Offsets()
			if g.Name == b.behind {
				offsets.Each(func(o kadm.Offset) {
					if o.At > 0 {
						o.At--
						offsets[o.Topic][o.Partition] = o
					}
				})
			}
			if _, err := admin.CommitOffsets(t.Context(), g.Name, offsets); err != nil {
				t.Fatal(err)
			}
		}
	}
	return cluster.ListenAddrs()
}

// produce appends the world in order, commands first; each table value carries the
// position of its key's last command.
func (b *books) produce(t testing.TB, client *kgo.Client) {
	t.Helper()
	answered := map[string]*pb.CommandResult{}
	var rest []*kgo.Record
	for _, command := range []bool{true, false} {
		for _, m := range b.messages {
			if m.gone || command != (m.topic.Name == topology.RegistrationCommands.Name) {
				continue
			}
			if r, ok := m.value.(*pb.Registration); ok && r.LastCommand == nil && m.topic.Name == topology.RegistrationsTable.Name {
				r.LastCommand = answered[m.key]
			}
			r := record(t, m)
			r.Timestamp = b.at
			if !command {
				rest = append(rest, r)
				continue
			}
			if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
			answered[m.key] = &pb.CommandResult{Partition: r.Partition, Offset: r.Offset, Verdict: pb.CommandVerdict_COMMAND_VERDICT_APPLIED}
		}
	}
	if err := client.ProduceSync(t.Context(), rest...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// provider serves the world's ledger.
func (b *books) provider(t testing.TB) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		after, err := strconv.ParseUint(r.URL.Query().Get("after"), 10, 64)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		out := json.NewEncoder(w)
		for _, e := range b.ledger {
			if e.Seq > after {
				_ = out.Encode(e)
			}
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// options produces the world and says where it is.
func (b *books) options(t testing.TB) Options {
	t.Helper()
	return Options{Brokers: b.brokers(t), ProviderURL: b.provider(t), Logger: slog.New(slog.DiscardHandler), AtRest: true}
}

// load loads the world into ClickHouse.
func load(t *testing.T, o *Options) {
	t.Helper()
	o.ClickHouseURL = engineURL
	o.ClickHouseDB = "t_" + strings.ToLower(strings.NewReplacer("/", "_", " ", "_", ",", "", "'", "").Replace(t.Name()))
	s, err := clickhouse.New(clickhouse.Config{
		Brokers: o.Brokers, URL: o.ClickHouseURL, Database: o.ClickHouseDB, Logger: o.Logger,
		FlushAfter: time.Millisecond, FlushAfterBusy: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	if err := s.CaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// execute changes what was loaded.
func execute(t *testing.T, o Options, statement string) {
	t.Helper()
	db, err := clickhouse.OpenDB(o.ClickHouseURL, o.ClickHouseDB)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// accepted writes a file of what clients were told.
func accepted(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "accepted.ndjson")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func verify(t *testing.T, o Options) Report {
	t.Helper()
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func text(r Report) string {
	var out strings.Builder
	_, _ = r.WriteTo(&out)
	return out.String()
}

func record(t testing.TB, m *message) *kgo.Record {
	t.Helper()
	value, err := proto.Marshal(m.value)
	if err != nil {
		t.Fatal(err)
	}
	return &kgo.Record{Topic: m.topic.Name, Key: []byte(m.key), Value: value}
}
