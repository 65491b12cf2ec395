package systemtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eventpro/boxoffice/client"
	"github.com/eventpro/boxoffice/internal/provider"
	"github.com/eventpro/boxoffice/internal/verify"
)

// newEvent puts an event with one ticket type, "seat" at 25.00, on sale.
func (s *system) newEvent(t *testing.T, name string, capacity int, change ...func(*client.NewEvent)) string {
	t.Helper()
	e := &client.NewEvent{
		Key: strings.ReplaceAll(name, " ", "-"), Name: name, Currency: "EUR", StartsAt: time.Now().Add(30 * 24 * time.Hour),
		TicketTypes: []client.NewTicketType{{ID: "seat", PriceMinor: 2500, TaxRateBp: 1900, TaxMode: "included", Capacity: capacity, BlockSize: 20}},
	}
	for _, c := range change {
		c(e)
	}
	a, err := s.client.WaitOnSale(bounded(t), e)
	if err != nil {
		t.Fatalf("event %s: %v", name, err)
	}
	return a.EventID
}

// order asks for one seat. The key names the attendee too.
func order(event, key string) *client.Order {
	return &client.Order{
		Key: key, EventID: event, Email: key + "@example.org", Name: "A. Attendee",
		Lines: []client.OrderLine{{TicketType: "seat", Quantity: 1}}, PaymentMethod: "tok_visa",
	}
}

// register asks for tickets and returns the registration's id.
func (s *system) register(t *testing.T, o *client.Order) string {
	t.Helper()
	a, err := s.client.Register(bounded(t), o)
	if err != nil {
		t.Fatalf("register %s: %v", o.Key, err)
	}
	return a.RegistrationID
}

// awaitSettled waits until a registration is decided and nothing is outstanding.
func (s *system) awaitSettled(t *testing.T, id string) *client.Registration {
	t.Helper()
	return s.awaitRegistration(t, id, "settled", func(r *client.Registration) bool { return r.Decided() && r.Settled })
}

func (s *system) awaitRegistration(t *testing.T, id, what string, fn func(*client.Registration) bool) *client.Registration {
	t.Helper()
	var found *client.Registration
	eventually(t, "registration "+id+" is "+what, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		r, err := s.client.Registration(ctx, id, nil)
		if err != nil {
			return err
		}
		if found = r; !fn(r) {
			return fmt.Errorf("it is %+v, payment %+v", *r, r.Payment)
		}
		return nil
	})
	return found
}

// buy asks for one seat and waits until it is confirmed and settled.
func (s *system) buy(t *testing.T, event, key string) *client.Registration {
	t.Helper()
	r := s.awaitSettled(t, s.register(t, order(event, key)))
	if r.Status != "confirmed" || len(r.Tickets) != 1 || r.Payment == nil || r.Payment.CapturedMinor != r.TotalMinor {
		t.Fatalf("%s is %+v, payment %+v, want it confirmed and paid", key, *r, r.Payment)
	}
	return r
}

// ledger is all that the provider decided about a payment.
func (s *system) ledger(t *testing.T, payment string) (charges, refunds []provider.Entry) {
	t.Helper()
	for _, e := range s.wholeLedger(t) {
		switch {
		case e.PaymentReference != payment:
		case e.Kind == provider.KindCharge:
			charges = append(charges, e)
		case e.Kind == provider.KindRefund:
			refunds = append(refunds, e)
		}
	}
	return charges, refunds
}

// seats are the figures of an event's one ticket type, once they add up to what
// the caller expects.
func (s *system) awaitSeats(t *testing.T, event string, sold, free int) {
	t.Helper()
	eventually(t, "the seats add up", func() error {
		a, err := s.client.Availability(t.Context(), event)
		if err != nil {
			return err
		}
		if tt := a.TicketTypes[0]; tt.Sold != sold || tt.Free != free || tt.Held != 0 {
			return fmt.Errorf("%+v, want sold %d, free %d, held 0", tt, sold, free)
		}
		return nil
	})
}

// checkBooks waits until nothing is open any more and demands that every
// invariant holds. accepted are the registrations that clients were told of.
func (s *system) checkBooks(t *testing.T, accepted []string) verify.Report {
	t.Helper()
	file := filepath.Join(t.TempDir(), "accepted")
	if err := os.WriteFile(file, []byte(strings.Join(accepted, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	options := verify.Options{
		Brokers: s.brokers(), ProviderURL: url(s.provider), ClickHouseURL: url(s.clickhouse),
		AcceptedFile: file, Logger: slog.New(slog.DiscardHandler),
	}
	var report verify.Report
	eventually(t, "nothing is open", func() error {
		var err error
		if report, err = verify.Run(t.Context(), options); err != nil {
			return err
		}
		if report.Open > 0 || report.Moving {
			return errors.New(describe(report))
		}
		return nil
	})
	options.AtRest = true
	report, err := verify.Run(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	if !report.OK() {
		t.Errorf("the books do not balance:\n%s", describe(report))
	}
	return report
}

func describe(r verify.Report) string {
	var text strings.Builder
	_, _ = r.WriteTo(&text) // never fails
	return text.String()
}

// load is attendees who order one after another, each until it is answered.
type load struct {
	system  func() *system // the one that runs now
	event   string
	prefix  string
	clients int

	stop     context.CancelFunc
	done     sync.WaitGroup
	answered atomic.Int64

	mu       sync.Mutex
	accepted []string // guarded by mu; what was answered 202
	refused  []error  // guarded by mu; answers that are final and no 202
}

// pace is how often one of the clients orders: the whole machine is shared by
// all stories, and a backlog that only grows tells nothing.
const pace = 10 * time.Millisecond

// startLoad starts clients that order until finish is called.
func startLoad(t *testing.T, s func() *system, event, prefix string, clients int) *load {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	l := &load{system: s, event: event, prefix: prefix, clients: clients, stop: stop}
	turns := time.NewTicker(pace)
	t.Cleanup(func() { stop(); turns.Stop() })
	for c := range clients {
		l.done.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-ctx.Done():
					return
				case <-turns.C:
					l.order(ctx, fmt.Sprintf("%s-%d-%d", prefix, c, n), n)
				}
			}
		})
	}
	return l
}

// order sends an order again and again until it is answered. Every seventh is
// cancelled, every fifth sent once more after it was answered.
func (l *load) order(ctx context.Context, key string, n int) {
	o := order(l.event, key)
	for ctx.Err() == nil {
		a, err := l.system().client.Register(ctx, o)
		if err != nil {
			if l.final(ctx, fmt.Errorf("%s: %w", key, err)) {
				return
			}
			continue
		}
		l.mu.Lock()
		l.accepted = append(l.accepted, a.RegistrationID)
		l.mu.Unlock()
		l.answered.Add(1)
		switch {
		case n%5 == 4:
			if again, err := l.system().client.Register(ctx, o); err == nil && again.RegistrationID != a.RegistrationID {
				l.final(ctx, fmt.Errorf("%s was answered %s, then %s", key, a.RegistrationID, again.RegistrationID))
			}
		case n%7 == 6:
			// Whether it is lost or refused does not matter here.
			_, _ = l.system().client.Cancel(ctx, a.RegistrationID, key+"-cancel", "by_attendee")
		}
		return
	}
}

// final notes an answer that repeating would not change.
func (l *load) final(ctx context.Context, err error) bool {
	var told *client.Error
	if ctx.Err() != nil || errors.As(err, &told) && (told.Status == 429 || told.Status >= 500) || told == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused = append(l.refused, err)
	return true
}

// awaitAnswered waits for n more accepted orders.
func (l *load) awaitAnswered(t *testing.T, n int64) {
	t.Helper()
	want := l.answered.Load() + n
	eventually(t, fmt.Sprintf("%d orders are accepted", want), func() error {
		if got := l.answered.Load(); got < want {
			return fmt.Errorf("%d are, %v", got, l.refused)
		}
		return nil
	})
}

// finish stops the clients and returns what was accepted.
func (l *load) finish(t *testing.T) []string {
	t.Helper()
	l.stop()
	l.done.Wait()
	for _, err := range l.refused {
		t.Errorf("refused: %v", err)
	}
	return l.accepted
}
