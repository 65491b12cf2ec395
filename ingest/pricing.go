package ingest

import (
	"fmt"

	"github.com/eventpro/boxoffice/internal/problem"
	"github.com/eventpro/boxoffice/internal/tax"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// price stamps the event's prices and tax on the lines of an order and returns
// them with the order's total. Every line that cannot be priced is a violation.
func price(event *pb.Event, lines []orderLine) (priced []*pb.Line, total int64, violations []problem.Violation) {
	priced = make([]*pb.Line, len(lines))
	block := make([]pb.Line, len(lines)) // one allocation for all
	var tickets int64
	for i, l := range lines {
		t := ticketType(event, l.TicketType)
		if t == nil {
			violations = append(violations, problem.Violation{
				Field: fmt.Sprintf("lines[%d].ticket_type", i), Code: problem.Unknown, Message: "must be a ticket type of the event",
			})
			continue
		}
		tickets += l.Quantity
		gross := t.PriceMinor * l.Quantity
		if l.DiscountMinor > gross {
			violations = append(violations, problem.Violation{
				Field: fmt.Sprintf("lines[%d].discount_minor", i), Code: problem.OutOfRange,
				Message: fmt.Sprintf("must be at most the price of the line, %d", gross),
			})
			continue
		}
		p := &block[i]
		p.Line = uint32(i + 1)
		p.TicketType = t.Id // the event's own string: the request's is not kept
		p.Quantity = uint32(l.Quantity)
		p.UnitPriceMinor = t.PriceMinor
		p.TaxRateBp = t.TaxRateBp
		p.TaxMode = t.TaxMode
		p.DiscountMinor = l.DiscountMinor
		p.TaxMinor, p.TotalMinor = tax.Of(gross-l.DiscountMinor, t.TaxRateBp, t.TaxMode)
		total += p.TotalMinor
		priced[i] = p
	}
	if event.MaxPerAttendee > 0 && tickets > int64(event.MaxPerAttendee) {
		violations = append(violations, problem.Violation{
			Field: "lines", Code: problem.OutOfRange,
			Message: fmt.Sprintf("must ask for at most %d tickets, the event's limit for one attendee", event.MaxPerAttendee),
		})
	}
	return priced, total, violations
}

func ticketType(event *pb.Event, id string) *pb.TicketType {
	for _, t := range event.TicketTypes {
		if t.Id == id {
			return t
		}
	}
	return nil
}
