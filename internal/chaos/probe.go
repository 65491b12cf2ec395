package chaos

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/eventpro/boxoffice/client"
	"github.com/eventpro/boxoffice/internal/pause"
)

// prober orders one ticket now and then, from an event of its own, and sees in
// the look-ups what becomes of it.
type prober struct {
	client *client.Client
	event  string
	prefix string
	file   *os.File // of what was accepted
	sent   int
}

// probePlaces is more than any run asks for.
const probePlaces = 2000

func openProber(ctx context.Context, s *System, name, file string) (*prober, error) {
	c, err := client.New(s.IngestURL, s.ViewsURL, s.APIKey, client.WithTimeout(5*time.Second), client.WithAttempts(1_000_000))
	if err != nil {
		return nil, err
	}
	p := &prober{client: c, prefix: name + "-probe-"}
	event, err := c.WaitOnSale(ctx, &client.NewEvent{
		Key: name + "-probes", Name: "Probes", Currency: "EUR", StartsAt: time.Now().AddDate(0, 1, 0).UTC().Truncate(time.Second),
		TicketTypes: []client.NewTicketType{{ID: "seat", PriceMinor: 2500, TaxRateBp: 1900, TaxMode: "included", Capacity: probePlaces}},
	})
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("an event for probes: %w", err)
	}
	p.event = event.EventID
	if p.file, err = os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
		c.Close()
		return nil, err
	}
	return p, nil
}

func (p *prober) close() error {
	p.client.Close()
	return p.file.Close()
}

// order orders one ticket and returns when it is decided.
func (p *prober) order(ctx context.Context) error {
	p.sent++
	key := p.prefix + strconv.Itoa(p.sent)
	a, err := p.client.Register(ctx, &client.Order{
		Key: key, EventID: p.event, Email: key + "@example.com", Name: "Probe", PaymentMethod: "tok_visa",
		Lines: []client.OrderLine{{TicketType: "seat", Quantity: 1}},
	})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(p.file, "{\"idempotency_key\":%q,\"registration_id\":%q}\n", key, a.RegistrationID); err != nil {
		return err
	}
	for {
		r, err := p.client.Registration(ctx, a.RegistrationID, nil)
		if err == nil && r.Decided() {
			return nil
		}
		if !pause.For(ctx, look) {
			return ctx.Err()
		}
	}
}
