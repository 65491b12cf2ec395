package views

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/eventpro/boxoffice/internal/apikey"
	"github.com/eventpro/boxoffice/internal/availability"
	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

const (
	ownKey     = "key-of-acme"
	foreignKey = "key-of-zenith"
	writeKey   = "key-that-only-writes"
	adminKey   = "key-of-the-operators"
)

var (
	eventID        = topology.EventID("acme", "event-1")
	registrationID = topology.RegistrationID("acme", "order-1")
	paymentID      = topology.PaymentID(registrationID)
	attendeeID     = uuid.MustParse("00000000-0000-5000-8000-0000000000aa")
	// begin is when everything in these tests happens.
	begin = time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC)
)

// rooms is an index whose blocks are the given figures.
func rooms(t testing.TB) *availability.Index {
	t.Helper()
	index := availability.New(availability.Options{})
	index.Update(eventID[:], "workshop", 1, availability.Figures{Version: 1, Size: 50, Free: 47, Held: 1, Sold: 2})
	index.Update(eventID[:], "standard", 1, availability.Figures{Version: 1, Size: 50, Free: 20, Held: 10, Sold: 20})
	index.Update(eventID[:], "standard", 2, availability.Figures{Version: 1, Size: 50, Sold: 40, Withdrawn: 10})
	index.SetRecovered(true)
	return index
}

// bench is a server over tables in memory.
type bench struct {
	registrations, payments, events, attendees *memTable
	availability                               *availability.Index
	registry                                   *prometheus.Registry
	server                                     *Server
	url                                        string
}

func keys(t testing.TB) *apikey.Store {
	t.Helper()
	content := `{"keys":[` + strings.Join([]string{
		entry(ownKey, "acme", apikey.RegistrationsRead),
		entry(foreignKey, "zenith", apikey.RegistrationsRead),
		entry(writeKey, "acme", apikey.RegistrationsWrite),
		entry(adminKey, "ops", apikey.Admin),
	}, ",") + `]}`
	set, err := apikey.Parse([]byte(content))
	if err != nil {
		t.Fatal(err)
	}
	return apikey.Fixed(set)
}

func entry(key, organiser string, scope apikey.Scope) string {
	e := apikey.NewEntry(key, key, organiser, scope)
	return `{"name":"` + e.Name + `","sha256":"` + e.SHA256 + `","organiser":"` + e.Organiser + `","scopes":["` + string(scope) + `"]}`
}

func newBench(t testing.TB, adjust ...func(*Config)) *bench {
	t.Helper()
	b := &bench{
		registrations: newMemTable(), payments: newMemTable(), events: newMemTable(), attendees: newMemTable(),
		availability: rooms(t),
		registry:     prometheus.NewRegistry(),
	}
	b.events.put(eventID.String(), event(eventID, begin))
	b.payments.put(paymentID.String(), payment())
	b.registrations.put(registrationID.String(), confirmed())
	b.attendees.put(attendeeID.String(), &pb.Attendee{
		AttendeeId:    attendeeID[:],
		Registrations: []*pb.AttendeeRegistration{{RegistrationId: registrationID[:], EventId: eventID[:], Quantity: 3}},
	})
	cfg := Config{
		Registrations: b.registrations, Payments: b.payments, Events: b.events, Attendees: b.attendees,
		Availability: b.availability, AvailabilityLag: func() (int64, bool) { return 12, true }, Keys: keys(t), Registerer: b.registry,
	}
	for _, f := range adjust {
		f(&cfg)
	}
	var err error
	if b.server, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	return b
}

// listen serves the bench over HTTP/1 and unencrypted HTTP/2 until the test
// ends.
func (b *bench) listen(t testing.TB) *bench {
	t.Helper()
	s := httptest.NewUnstartedServer(b.server)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(func() { b.server.close(); s.Close() })
	b.url = s.URL
	return b
}

// get asks for a path without a network.
func (b *bench) get(t testing.TB, key, path string) (status int, header http.Header, body string) {
	t.Helper()
	return b.getContext(t.Context(), key, path, nil)
}

func (b *bench) getContext(ctx context.Context, key, path string, header http.Header) (int, http.Header, string) {
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	for name, values := range header {
		r.Header[name] = values
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	w := httptest.NewRecorder()
	b.server.ServeHTTP(w, r)
	body, _ := io.ReadAll(w.Result().Body) // a recorder's body cannot fail
	return w.Code, w.Result().Header, string(body)
}

func millis(after time.Duration) int64 { return begin.Add(after).UnixMilli() }

// confirmed is a settled registration of three tickets of two types, whose
// first block granted only one of two seats.
func confirmed() *pb.Registration {
	hold := func(line, attempt, block uint32, seats uint64, status pb.HoldStatus) *pb.Hold {
		id := topology.HoldID(registrationID, line, attempt, block)
		return &pb.Hold{HoldId: id[:], Line: line, Attempt: attempt, Block: block, Quantity: 1, Seats: seats, Status: status}
	}
	return &pb.Registration{
		RegistrationId: registrationID[:], Organiser: "acme", EventId: eventID[:], AttendeeId: attendeeID[:], Currency: "EUR",
		Lines: []*pb.Line{
			{Line: 1, TicketType: "standard", Quantity: 2, UnitPriceMinor: 11900, TaxRateBp: 1900, TaxMode: pb.TaxMode_TAX_MODE_INCLUDED, TaxMinor: 3800, TotalMinor: 23800},
			{Line: 2, TicketType: "workshop", Quantity: 1, UnitPriceMinor: 20000, DiscountMinor: 1000, TaxRateBp: 700, TaxMode: pb.TaxMode_TAX_MODE_ON_TOP, TaxMinor: 1330, TotalMinor: 20330},
		},
		Holds: []*pb.Hold{
			hold(1, 0, 7, 1<<3, pb.HoldStatus_HOLD_STATUS_SOLD),
			hold(1, 1, 8, 0, pb.HoldStatus_HOLD_STATUS_REFUSED),
			hold(1, 2, 9, 1<<63, pb.HoldStatus_HOLD_STATUS_CONFIRMING),
			hold(2, 0, 1, 1<<0, pb.HoldStatus_HOLD_STATUS_KEPT),
			hold(2, 1, 2, 1<<5, pb.HoldStatus_HOLD_STATUS_RELEASED),
		},
		Payment: &pb.PaymentState{
			PaymentId: paymentID[:], AmountMinor: 44130, CapturedMinor: 44130,
			Status: pb.PaymentStatus_PAYMENT_STATUS_CAPTURED, CapturedAtUnixMs: millis(80 * time.Millisecond),
		},
		Step: pb.Step_STEP_SETTLED, Outcome: pb.Outcome_OUTCOME_CONFIRMED, Settled: true, Version: 6,
		RequestTimeUnixMs: millis(0), HeldAtUnixMs: millis(30 * time.Millisecond), DecidedAtUnixMs: millis(90 * time.Millisecond),
		SettledAtUnixMs: millis(120 * time.Millisecond), ChangedAtUnixMs: millis(120 * time.Millisecond), ExpiresAtUnixMs: millis(10 * time.Minute),
		TotalMinor: 44130, Channel: "web", Region: "eu",
		LastCommand: &pb.CommandResult{Partition: partitionOf(registrationID), Offset: 41, Verdict: pb.CommandVerdict_COMMAND_VERDICT_APPLIED},
	}
}

func partitionOf(id uuid.UUID) int32 { return stream.Partition(id.String(), testPartitions) }

// at is an early version of the registration.
func at(step pb.Step, version uint64) *pb.Registration {
	r := confirmed()
	r.Step, r.Outcome, r.Settled, r.Version = step, pb.Outcome_OUTCOME_UNSPECIFIED, false, version
	return r
}

func payment() *pb.Payment {
	refund := topology.RefundID(paymentID, 0)
	return &pb.Payment{
		PaymentId: paymentID[:], RegistrationId: registrationID[:], EventId: eventID[:], Organiser: "acme",
		AmountMinor: 44130, Currency: "EUR", Method: "tok_visa", Status: pb.PaymentStatus_PAYMENT_STATUS_CAPTURED,
		ProviderReference: "ch_17", FeeMinor: 640, CapturedMinor: 44130, CapturedAtUnixMs: millis(80 * time.Millisecond), RefundedMinor: 23800,
		Refunds: []*pb.Refund{{
			RefundId: refund[:], AmountMinor: 23800, Status: pb.RefundStatus_REFUND_STATUS_DONE,
			RefundedAtUnixMs: millis(time.Hour), RequestedAtUnixMs: millis(time.Hour - time.Second), Reason: "line_cancelled",
		}},
		Version: 4, RequestedAtUnixMs: millis(31 * time.Millisecond), ChangedAtUnixMs: millis(time.Hour),
	}
}

func event(id uuid.UUID, created time.Time) *pb.Event {
	return &pb.Event{
		EventId: id[:], Organiser: "acme", Name: `National "Developer" Conférence`, Venue: "Hall 1", Region: "eu", Currency: "EUR",
		StartsAtUnixMs: millis(90 * 24 * time.Hour), SaleStartsUnixMs: millis(0), SaleEndsUnixMs: millis(60 * 24 * time.Hour),
		TicketTypes: []*pb.TicketType{
			{
				Id: "standard", Name: "Standard", PriceMinor: 11900, TaxRateBp: 1900, TaxMode: pb.TaxMode_TAX_MODE_INCLUDED,
				BlockSizes: []uint32{50, 50, 20}, BlockStates: []byte{1, 3, 0},
			},
			{Id: "workshop", Name: "Workshop", PriceMinor: 20000, TaxRateBp: 700, TaxMode: pb.TaxMode_TAX_MODE_ON_TOP, BlockSizes: []uint32{50, 50}, BlockStates: []byte{1, 1}},
		},
		MaxPerAttendee: 4, Status: pb.EventStatus_EVENT_STATUS_ON_SALE, Version: 3, BlockListVersion: 1,
		CreatedAtUnixMs: created.UnixMilli(), ChangedAtUnixMs: created.Add(time.Second).UnixMilli(),
		LastCommand: &pb.CommandResult{Partition: stream.Partition(id.String(), testPartitions), Offset: 5, Verdict: pb.CommandVerdict_COMMAND_VERDICT_APPLIED},
	}
}
