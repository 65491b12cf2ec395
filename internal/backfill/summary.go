package backfill

import (
	"cmp"
	"maps"
	"slices"
)

// Summary is what an import is about, in figures.
type Summary struct {
	Source string `json:"source"`
	Lines  int    `json:"lines"`
	Orders int    `json:"orders"`
	// Standing are orders of which a line stands.
	Standing int            `json:"standing"`
	Tickets  int            `json:"tickets"`
	Invalid  int            `json:"invalid"`
	Skipped  map[string]int `json:"skipped,omitempty"`
	Notes    map[string]int `json:"notes,omitempty"`
	Money    []Sum          `json:"money"`
	Events   []EventSummary `json:"events"`
}

// Sum is the money of one currency.
type Sum struct {
	Currency      string `json:"currency"`
	CapturedMinor int64  `json:"captured_minor"`
	RefundedMinor int64  `json:"refunded_minor"`
	FeeMinor      int64  `json:"fee_minor"`
}

// EventSummary is what goes to one event.
type EventSummary struct {
	Key     string `json:"key"`
	ID      string `json:"id"`
	Name    string `json:"name"`
	New     bool   `json:"new"`
	Tickets int    `json:"tickets"`
}

// Summary adds up what can be imported.
func (p *Plan) Summary() Summary {
	s := Summary{
		Source: p.Reading.Source, Lines: p.Reading.Lines, Orders: len(p.Orders), Invalid: len(p.Problems),
		Skipped: p.Reading.Skipped, Notes: p.Reading.Notes, Money: []Sum{}, Events: []EventSummary{},
	}
	money := map[string]Sum{}
	for _, o := range p.Orders {
		if o.Order.stands() {
			s.Standing++
		}
		if o.Money == nil {
			continue
		}
		sum := money[o.Order.Currency]
		sum.Currency = o.Order.Currency
		sum.CapturedMinor += o.Money.CapturedMinor
		sum.FeeMinor += o.Money.FeeMinor
		for _, r := range o.Money.Refunds {
			sum.RefundedMinor += r.AmountMinor
		}
		money[sum.Currency] = sum
	}
	s.Money = slices.SortedFunc(maps.Values(money), func(a, b Sum) int { return cmp.Compare(a.Currency, b.Currency) })
	for _, e := range p.Events {
		line := EventSummary{Key: e.Key, ID: e.ID.String(), Name: e.Event.Name, New: e.Create != nil}
		if e.Create != nil {
			line.Name = e.Create.Name
		}
		for _, n := range e.Need {
			line.Tickets += int(n)
		}
		s.Tickets += line.Tickets
		s.Events = append(s.Events, line)
	}
	return s
}
