package clickhouse

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// recomputed are the rollups worked out in another way than the loader's: the
// last version by a window, one row a movement or registration, quarter-hours by
// the server's own function.
var recomputed = map[string]string{
	"revenue_by_quarter_hour": `SELECT toDateTime64(toStartOfFifteenMinutes(occurred_at), 3, 'UTC') AS o, toDateTime64(toStartOfFifteenMinutes(booked_at), 3, 'UTC') AS b,
		event_id, organiser, currency, test_mode, imported, provider, method, channel, region, ticket_type, unit_price_minor, tax_rate_bp, tax_mode, kind,
		sum(amount_minor), sum(discount_minor), sum(tax_minor), sum(fee_minor), sum(quantity), count()
		FROM (SELECT *, row_number() OVER (PARTITION BY event_id, movement_id, line ORDER BY version DESC) AS nth FROM movements) WHERE nth = 1
		GROUP BY ALL ORDER BY ALL`,
	"orders_by_quarter_hour": `SELECT toDateTime64(toStartOfFifteenMinutes(request_time), 3, 'UTC') AS q, toDateTime64(toStartOfFifteenMinutes(decided_at), 3, 'UTC') AS d,
		toDateTime64(toStartOfFifteenMinutes(cancelled_at), 3, 'UTC') AS c, event_id, organiser, currency, test_mode, imported, channel, region, outcome, reason,
		multiIf(decided_at > 0 AND outcome = 'confirmed', 'confirmed', outcome = 'cancelled' AND arrayExists(x -> x, lines.cancelled), 'confirmed',
			notEmpty(payment_id), 'charged', held_at > 0, 'held', 'requested') AS reached,
		count(), sum(arraySum(lines.quantity)), sum(total_minor), sum(arraySum(arrayFilter((q, c) -> c, lines.quantity, lines.cancelled))),
		sum(arraySum(arrayFilter((t, c) -> c, lines.total_minor, lines.cancelled)))
		FROM (SELECT *, row_number() OVER (PARTITION BY event_id, registration_id ORDER BY version DESC) AS nth FROM registrations) WHERE nth = 1
		GROUP BY ALL ORDER BY ALL`,
}

// wantExact compares every rollup with what its facts come to now.
func wantExact(t *testing.T, db *sql.DB) {
	t.Helper()
	for _, name := range Rollups() {
		got := lines(t, db, "SELECT * EXCEPT (source, as_of) FROM "+name+" ORDER BY ALL")
		want := lines(t, db, recomputed[name])
		if got != want || want == "" {
			t.Fatalf("%s has %d rows, its facts come to %d; only here:\n%s\nonly there:\n%s", name, strings.Count(got, "\n"), strings.Count(want, "\n"),
				without(got, want), without(want, got))
		}
	}
}

// without are the lines of one text that the other lacks.
func without(text, other string) string {
	var only []string
	for line := range strings.Lines(text) {
		if !strings.Contains(other, line) {
			only = append(only, line)
		}
	}
	return strings.Join(only, "")
}

// sales draws the records of a few orders over three months: every version of
// each, in order.
type sales struct {
	rnd  *rand.Rand
	t    testing.TB
	next int64
}

func (s *sales) record(topic topology.Topic, m proto.Message) *kgo.Record {
	r := record(s.t, topic, "", m)
	s.next++
	r.Offset, r.Timestamp = s.next, time.UnixMilli(noon+s.next)
	return r
}

func (s *sales) order(n int) (all []*kgo.Record) {
	id := topology.RegistrationID("acme", fmt.Sprint(n))
	payment := topology.PaymentID(id)
	pick := func(of ...string) string { return of[s.rnd.IntN(len(of))] }
	at := noon + s.rnd.Int64N(70*24*60)*min1
	asked := at + s.rnd.Int64N(2)*s.rnd.Int64N(20*24*60)*min1 // of the payment: it may be in another month
	event := topology.EventID("acme", pick("one", "two"))
	l := []*pb.Line{
		{Line: 1, TicketType: "standard", Quantity: 1 + s.rnd.Uint32N(3), TotalMinor: 1_000 + s.rnd.Int64N(5), TaxMinor: 160},
		{Line: 2, TicketType: "premium", Quantity: 1, TotalMinor: 9_000, DiscountMinor: 500},
	}[:1+s.rnd.IntN(2)]
	r := &pb.Registration{
		RegistrationId: id[:], EventId: event[:], Organiser: "acme", Currency: pick("EUR", "JPY"), Lines: l, RequestTimeUnixMs: at,
		Step: pb.Step_STEP_HOLDING, Channel: pick("web", "box"), TestMode: s.rnd.IntN(9) == 0,
	}
	p := &pb.Payment{
		PaymentId: payment[:], RegistrationId: id[:], EventId: event[:], Organiser: "acme", Currency: r.Currency, Channel: r.Channel,
		TestMode: r.TestMode, RequestedAtUnixMs: asked, Status: pb.PaymentStatus_PAYMENT_STATUS_PENDING,
	}
	for _, line := range l {
		r.TotalMinor += line.TotalMinor
		p.Lines = append(p.Lines, &pb.ChargeLine{Line: line.Line, TicketType: line.TicketType, Quantity: line.Quantity, TotalMinor: line.TotalMinor, TaxMinor: line.TaxMinor})
	}
	registered := func() { r.Version++; all = append(all, s.record(topology.RegistrationEvents, proto.Clone(r))) }
	paid := func() { p.Version++; all = append(all, s.record(topology.PaymentEvents, proto.Clone(p))) }
	registered()
	if s.rnd.IntN(4) == 0 {
		r.Outcome, r.Reason, r.DecidedAtUnixMs = pb.Outcome_OUTCOME_EXPIRED, "expired", at+20*min1
		registered()
		return all
	}
	r.HeldAtUnixMs, r.Payment = at+1_000, &pb.PaymentState{PaymentId: payment[:]}
	registered()
	paid()
	p.Status, p.CapturedMinor, p.FeeMinor, p.Provider = pb.PaymentStatus_PAYMENT_STATUS_CAPTURED, r.TotalMinor, 30, "simulated"
	p.CapturedAtUnixMs, p.BookedAtUnixMs = asked+2*min1, asked+20*min1
	paid()
	if s.rnd.IntN(8) == 0 {
		return all // parked
	}
	r.Outcome, r.DecidedAtUnixMs = pb.Outcome_OUTCOME_CONFIRMED, asked+20*min1
	registered()
	for i, line := range l {
		if s.rnd.IntN(3) > 0 {
			break
		}
		back := topology.RefundID(payment, uint32(i))
		line.Cancelled = true
		later := asked + s.rnd.Int64N(40*24*60)*min1
		if i+1 == len(l) {
			r.Outcome, r.Reason, r.CancelledAtUnixMs = pb.Outcome_OUTCOME_CANCELLED, "cancel_requested", later
		}
		registered()
		refund := &pb.Refund{
			RefundId: back[:], Line: line.Line, AmountMinor: line.TotalMinor, Status: pb.RefundStatus_REFUND_STATUS_PENDING, RequestedAtUnixMs: later,
		}
		p.Refunds = append(p.Refunds, refund)
		paid()
		if s.rnd.IntN(4) == 0 {
			break // on its way
		}
		refund.Status, refund.RefundedAtUnixMs, refund.BookedAtUnixMs = pb.RefundStatus_REFUND_STATUS_DONE, later+min1, later+2*min1
		p.RefundedMinor += line.TotalMinor
		paid()
	}
	return all
}

// mixed puts records into another order and repeats some.
func (s *sales) mixed(records []*kgo.Record) []*kgo.Record {
	mixed := slices.Clone(records)
	for range len(records) / 3 {
		mixed = append(mixed, records[s.rnd.IntN(len(records))])
	}
	s.rnd.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
	return mixed
}

func loadRecords(t testing.TB, database string, records []*kgo.Record) {
	t.Helper()
	for chunk := range slices.Chunk(records, 150) {
		b := newBatch()
		for _, r := range chunk {
			b.add(r)
		}
		load(t, database, b)
	}
}

var errCrash = errors.New("crashed")

// Records come late, in any order, twice, and all of them once more; merges run,
// rows are mutated, and the refresh crashes before or after any of its statements.
// Whenever a refresh has come to its end, each rollup is what its facts come to; and
// whatever happened before, a reader finds the rollup of one refresh, whole.
func TestRollupsAreExact(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			name, db := newDatabase(t)
			if _, err := Migrate(t.Context(), engineURL, name); err != nil {
				t.Fatal(err)
			}
			s := &sales{rnd: rand.New(rand.NewPCG(seed, 0)), t: t}
			var known []*kgo.Record
			for round := range 5 {
				for i := range 20 {
					known = append(known, s.order(100*round+i)...)
				}
				known = s.mixed(known)[:len(known)]
				fresh := known[s.rnd.IntN(len(known)/2):]
				loadRecords(t, name, fresh)
				before := dump(t, db)
				if crashes(t, db, s.rnd.IntN(18)) {
					if after := dump(t, db); round > 0 && !whole(before, after, recompute(t, db)) {
						t.Fatalf("a crash left a rollup that is neither the old nor the new one")
					}
				}
				switch s.rnd.IntN(3) {
				case 0:
					mutate(t, db, "OPTIMIZE TABLE movements FINAL")
				case 1:
					mutate(t, db, "ALTER TABLE registrations DELETE WHERE total_minor % 3 = 0 SETTINGS mutations_sync = 1")
					mutate(t, db, "ALTER TABLE movements DELETE WHERE amount_minor % 3 = 0 SETTINGS mutations_sync = 1")
				}
				again := &refresh{db: db, exec: executor(db)}
				if _, err := again.run(t.Context()); err != nil {
					t.Fatal(err)
				}
				wantExact(t, db)
			}
			if got := lines(t, db, "SELECT name FROM system.tables WHERE database = currentDatabase() AND position(name, 'scratch') > 0"); got != "" {
				t.Errorf("crashes have left %s", got)
			}
		})
	}
}

func mutate(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func dump(t *testing.T, db *sql.DB) []string {
	t.Helper()
	var all []string
	for _, name := range Rollups() {
		all = append(all, lines(t, db, "SELECT * EXCEPT (source, as_of) FROM "+name+" ORDER BY ALL"))
	}
	return all
}

func recompute(t *testing.T, db *sql.DB) []string {
	t.Helper()
	var all []string
	for _, name := range Rollups() {
		all = append(all, lines(t, db, recomputed[name]))
	}
	return all
}

func whole(before, after, facts []string) bool {
	for i := range after {
		if after[i] != before[i] && after[i] != facts[i] {
			return false
		}
	}
	return true
}

// crashes runs a refresh that ends before its n-th statement, as a killed loader's
// does, and tells whether it came that far.
func crashes(t *testing.T, db *sql.DB, n int) bool {
	t.Helper()
	r := &refresh{db: db}
	r.exec = func(ctx context.Context, statement string) error {
		if n--; n < 0 {
			return errCrash
		}
		return executor(db)(ctx, statement)
	}
	_, err := r.run(t.Context())
	if err != nil && !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	return err != nil
}

// A refresh that finds nothing new computes nothing; one month that changed is the
// only one that is computed again, and the moment as of which all is exact moves on.
func TestRefreshComputesWhatHasChanged(t *testing.T) {
	t.Parallel()
	name, db := newDatabase(t)
	if _, err := Migrate(t.Context(), engineURL, name); err != nil {
		t.Fatal(err)
	}
	s := &sales{rnd: rand.New(rand.NewPCG(1, 1)), t: t}
	var records []*kgo.Record
	for i := range 60 {
		records = append(records, s.order(i)...)
	}
	loadRecords(t, name, records)
	for _, table := range []string{"movements", "registrations"} {
		mutate(t, db, "OPTIMIZE TABLE "+table+" FINAL") // no merge later
		mutate(t, db, "SYSTEM STOP MERGES "+table)
	}
	count := func() (inserts int) {
		r := &refresh{db: db}
		r.exec = func(ctx context.Context, statement string) error {
			if strings.HasPrefix(statement, "INSERT INTO revenue_by_quarter_hour") {
				inserts++
			}
			return executor(db)(ctx, statement)
		}
		asOf, err := r.run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if want := time.UnixMilli(noon + s.next); !asOf.Equal(want) {
			t.Errorf("as of %v, want %v", asOf, want)
		}
		if got := lines(t, db, "SELECT uniqExact(rollup), toUnixTimestamp64Milli(min(as_of)) FROM rollup_refreshes FINAL"); got != fmt.Sprintf("2\t%d\n", noon+s.next) {
			t.Errorf("rollup_refreshes: %s", got)
		}
		return inserts
	}
	if n := count(); n < 3 {
		t.Fatalf("the first refresh computed %d months", n)
	}
	if n := count(); n != 0 {
		t.Errorf("a refresh without news computed %d months", n)
	}
	late := topology.PaymentID(uuid.UUID{1})
	loadRecords(t, name, []*kgo.Record{s.record(topology.PaymentEvents, &pb.Payment{
		PaymentId: late[:], RegistrationId: late[:], EventId: late[:], CapturedMinor: 5, CapturedAtUnixMs: noon, Version: 1,
	})})
	if n := count(); n != 1 {
		t.Errorf("a payment of one month made %d months be computed", n)
	}
	wantExact(t, db)
	mutate(t, db, "ALTER TABLE movements DROP PARTITION '202609'")
	count()
	wantExact(t, db)
}

// The loader keeps the rollups: what it has loaded is in them a while later.
func TestLoaderKeepsTheRollups(t *testing.T) {
	t.Parallel()
	brokers := newKafka(t)
	produce(t, brokers, story(t)...)
	cfg, name := sinkConfig(t, brokers)
	cfg.RollupInterval = 10 * time.Millisecond
	s, _ := start(t, cfg)
	caughtUp(t, s)
	// A refresh that knows of this one has begun after the facts were there.
	produce(t, brokers, &kgo.Record{
		Topic: topology.CatalogEvents.Name, Key: []byte("poison"), Value: []byte("x"), Timestamp: time.Now().Add(time.Second),
	})
	caughtUp(t, s)
	db, err := OpenDB(engineURL, name)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const refreshed = "SELECT min(as_of) = (SELECT max(time) FROM events) AND count() = 2 FROM rollup_refreshes FINAL"
	until(t, "the rollups are refreshed", func() bool { return lines(t, db, refreshed) == "1\n" })
	wantExact(t, db)
}
