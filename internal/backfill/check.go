package backfill

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/text/currency"

	"github.com/eventpro/boxoffice/internal/figures"
	"github.com/eventpro/boxoffice/internal/imported"
	"github.com/eventpro/boxoffice/internal/tax"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// The modes of tax in files.
const (
	taxIncluded = "included"
	taxOnTop    = "on_top"
	taxExempt   = "exempt"
)

var taxModes = map[string]pb.TaxMode{
	taxIncluded: pb.TaxMode_TAX_MODE_INCLUDED, taxOnTop: pb.TaxMode_TAX_MODE_ON_TOP, taxExempt: pb.TaxMode_TAX_MODE_EXEMPT,
}

func amount(minor int64, currency string) string { return figures.Amount(minor, currency) }

func isCurrency(code string) bool {
	unit, err := currency.ParseISO(code)
	return err == nil && unit.String() == code
}

// check completes an order and checks all that needs no event; what is wrong
// becomes problems.
func (r *reader) check(o *Order) bool {
	before := len(r.Problems)
	wrong := func(format string, args ...any) { r.reject(o.place, o.Event, o.ID, format, args...) }
	o.complete(r)
	switch {
	case o.ID == "" || !isText(o.ID, orderIDMax):
		wrong("its id must be 1 to %d bytes of text", orderIDMax)
	case !isCurrency(o.Currency):
		wrong("the currency %q is no ISO 4217 code: name one with --currency", o.Currency)
	}
	if !isText(o.Attendee.Email, emailMax) || !isText(o.Attendee.Name, textBytesMax) {
		wrong("the attendee's name or address is longer than %d or %d bytes, or has control characters", textBytesMax, emailMax)
	}
	if (o.Channel != "" && !imported.IsName(o.Channel)) || (o.Region != "" && !imported.IsName(o.Region)) {
		wrong("channel and region must be made of a-z, 0-9 and -")
	}
	if len(o.Lines) == 0 || len(o.Lines) > linesMax {
		wrong("it has %d lines: 1 to %d are possible", len(o.Lines), linesMax)
		return false
	}
	for i := range o.Lines {
		if err := o.Lines[i].check(); err != nil {
			wrong("line %d of it: %v", i+1, err)
		}
	}
	r.checkTimes(o, wrong)
	return len(r.Problems) == before
}

// complete fills in what follows from the rest.
func (o *Order) complete(r *reader) {
	for _, t := range o.times() {
		*t = t.UTC() // one moment, however it was written, is one in the digest
	}
	if o.Event == "" {
		o.Event = r.Event
	}
	if o.Currency == "" {
		o.Currency = r.Currency
		if e := r.Events[o.Event]; e != nil && e.Currency != "" {
			o.Currency = e.Currency
		}
	}
	if p := o.Payment; p != nil {
		if p.CapturedAt.IsZero() {
			p.CapturedAt = o.OrderedAt
		}
		if p.Reference == "" {
			p.Reference = o.ID
		}
		if p.Provider == "" {
			p.Provider = r.Reading.Source
		}
		for i := range p.Refunds {
			if p.Refunds[i].dated = !p.Refunds[i].RefundedAt.IsZero(); !p.Refunds[i].dated {
				// Sale and refund are in one month then, which is right in sum.
				p.Refunds[i].RefundedAt = p.CapturedAt
				r.Notes["refunds without a date have that of their payment"]++
			}
		}
	}
	if o.ConfirmedAt.IsZero() {
		o.ConfirmedAt = o.OrderedAt
		if o.Payment != nil {
			o.ConfirmedAt = o.Payment.CapturedAt
		}
	}
	if o.stands() {
		o.CancelledAt = time.Time{}
	} else if o.CancelledAt.IsZero() {
		o.CancelledAt = o.ConfirmedAt
		for _, refund := range o.refunds() {
			if refund.RefundedAt.After(o.CancelledAt) {
				o.CancelledAt = refund.RefundedAt
			}
		}
	}
}

func (o *Order) times() []*time.Time {
	times := []*time.Time{&o.OrderedAt, &o.ConfirmedAt, &o.CancelledAt}
	if o.Payment != nil {
		times = append(times, &o.Payment.CapturedAt)
		for i := range o.Payment.Refunds {
			times = append(times, &o.Payment.Refunds[i].RefundedAt)
		}
	}
	return times
}

func (o *Order) refunds() []Refund {
	if o.Payment == nil {
		return nil
	}
	return o.Payment.Refunds
}

// stands reports whether a line stands.
func (o *Order) stands() bool {
	for _, l := range o.Lines {
		if !l.Cancelled {
			return true
		}
	}
	return false
}

func (l *Line) check() error {
	_, knownMode := taxModes[l.TaxMode]
	gross := l.UnitPriceMinor * int64(l.Quantity)
	switch {
	case l.TicketType == "" || !isText(l.TicketType, textBytesMax):
		return fmt.Errorf("there is no ticket type")
	case l.Quantity == 0 || l.Quantity > quantityMax:
		return fmt.Errorf("it has %d tickets: 1 to %d are possible", l.Quantity, quantityMax)
	case l.UnitPriceMinor < 0 || l.UnitPriceMinor > priceMax:
		return fmt.Errorf("a price of %d is not possible", l.UnitPriceMinor)
	case l.DiscountMinor < 0 || l.DiscountMinor > gross:
		return fmt.Errorf("a discount of %d on %d is not possible", l.DiscountMinor, gross)
	case l.TaxMode != "" && !knownMode:
		return fmt.Errorf("the tax mode %q: want included, on_top or exempt", l.TaxMode)
	case l.TaxRateBp > tax.BasisPoints:
		return fmt.Errorf("a tax rate of %d basis points is not possible", l.TaxRateBp)
	case l.TaxMinor != nil && (*l.TaxMinor < 0 || *l.TaxMinor > gross):
		return fmt.Errorf("a tax of %d on %d is not possible", *l.TaxMinor, gross)
	}
	return nil
}

// checkTimes: what has happened lies in the past, and in its order.
func (r *reader) checkTimes(o *Order, wrong func(string, ...any)) {
	latest := r.Now.Add(24 * time.Hour) // clocks and zones differ
	type named struct {
		name string
		at   time.Time
	}
	times := []named{{"ordered_at", o.OrderedAt}, {"confirmed_at", o.ConfirmedAt}}
	if !o.stands() {
		times = append(times, named{"cancelled_at", o.CancelledAt})
	}
	if o.Payment != nil {
		times = append(times, named{"payment.captured_at", o.Payment.CapturedAt})
	}
	for i, refund := range o.refunds() {
		times = append(times, named{fmt.Sprintf("payment.refunds[%d].refunded_at", i), refund.RefundedAt})
	}
	for _, t := range times {
		if t.at.Year() < 1980 || t.at.After(latest) {
			wrong("%s is %s, which is not in the past", t.name, t.at.Format(time.RFC3339))
			return
		}
	}
	if o.ConfirmedAt.Before(o.OrderedAt.Add(-24*time.Hour)) || !o.stands() && o.CancelledAt.Before(o.ConfirmedAt) {
		wrong("it was ordered at %s, confirmed at %s and cancelled at %s", o.OrderedAt.Format(time.RFC3339),
			o.ConfirmedAt.Format(time.RFC3339), o.CancelledAt.Format(time.RFC3339))
	}
}

// price makes the lines of a registration, once their ticket types are known, and
// says what is wrong with their sums.
func (o *Order) price(typeOf func(string) (*pb.TicketType, error)) ([]*pb.Line, *pb.ImportedMoney, error) {
	lines, totals, total := make([]*pb.Line, len(o.Lines)), map[uint32]int64{}, int64(0)
	for i, l := range o.Lines {
		t, err := typeOf(l.TicketType)
		if err != nil {
			return nil, nil, err
		}
		p := &pb.Line{
			Line: uint32(i + 1), TicketType: t.Id, Quantity: l.Quantity, UnitPriceMinor: l.UnitPriceMinor,
			DiscountMinor: l.DiscountMinor, TaxRateBp: l.TaxRateBp, TaxMode: taxModes[l.TaxMode], Cancelled: l.Cancelled,
		}
		if l.TaxMode == "" {
			// What was paid has the tax in it, however the ticket is priced today.
			p.TaxRateBp, p.TaxMode = t.TaxRateBp, pb.TaxMode_TAX_MODE_INCLUDED
			if t.TaxRateBp == 0 {
				p.TaxMode = pb.TaxMode_TAX_MODE_EXEMPT
			}
		}
		net := l.UnitPriceMinor*int64(l.Quantity) - l.DiscountMinor
		p.TaxMinor, p.TotalMinor = tax.Of(net, p.TaxRateBp, p.TaxMode)
		if l.TaxMinor != nil {
			if p.TaxMinor = *l.TaxMinor; p.TaxMode == pb.TaxMode_TAX_MODE_ON_TOP {
				p.TotalMinor = net + p.TaxMinor
			}
		}
		lines[i], totals[p.Line] = p, p.TotalMinor
		total += p.TotalMinor
	}
	money, err := o.money(totals, total)
	return lines, money, err
}

// money is what moved for the lines.
func (o *Order) money(totals map[uint32]int64, total int64) (*pb.ImportedMoney, error) {
	p := o.Payment
	if p == nil {
		if total > 0 {
			return nil, fmt.Errorf("it costs %s %s and has no payment", amount(total, o.Currency), o.Currency)
		}
		return nil, nil
	}
	if p.CapturedMinor != total {
		return nil, fmt.Errorf("%s %s were captured for lines of %s", amount(p.CapturedMinor, o.Currency), o.Currency, amount(total, o.Currency))
	}
	if total == 0 {
		return nil, nil
	}
	m := &pb.ImportedMoney{
		Provider: p.Provider, Reference: p.Reference, CapturedMinor: p.CapturedMinor, FeeMinor: p.FeeMinor,
		CapturedAtUnixMs: p.CapturedAt.UnixMilli(),
	}
	for _, r := range p.Refunds {
		m.Refunds = append(m.Refunds, &pb.ImportedRefund{
			AmountMinor: r.AmountMinor, Line: r.Line, Reference: r.Reference, RefundedAtUnixMs: r.RefundedAt.UnixMilli(),
		})
	}
	if err := imported.Check(m, totals); err != nil {
		return nil, fmt.Errorf("its payment: %w", err)
	}
	return m, nil
}

// method is the payment's method, as the registration keeps it.
func (o *Order) method() string {
	if o.Payment == nil || o.Payment.Method == "" {
		return "imported"
	}
	return strings.TrimSpace(o.Payment.Method)
}
