package registrations

import (
	"strings"

	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Bounds of what one registration may carry. They bound the value's size and
// keep every sum far from overflow; what people are told is the front door's
// business.
const (
	idSize          = 16
	maxLines        = 32
	maxQuantity     = 64
	maxPriceMinor   = 1 << 40
	maxMethodBytes  = 256
	maxSealedBytes  = 64 << 10
	maxTicketType   = 40
	maxReasonLength = 64
)

// validate refuses, as poison, a Register that no correct front door sends.
func validate(c *pb.RegistrationCommand, q *pb.Register) error {
	if q.GetRefused() != "" {
		if !isCode(q.Refused) || len(q.Lines) > maxLines {
			return transition.Poisoned("invalid_refusal", "reason %.80q with %d lines", q.Refused, len(q.Lines))
		}
		return nil
	}
	switch {
	case len(q.GetEventId()) != idSize || len(q.AttendeeId) != idSize:
		return transition.Poisoned("invalid_id", "event id of %d bytes, attendee id of %d: want %d",
			len(q.GetEventId()), len(q.GetAttendeeId()), idSize)
	case !isCurrency(q.Currency):
		return transition.Poisoned("invalid_currency", "%.20q is no ISO 4217 code", q.Currency)
	case len(q.Lines) == 0 || len(q.Lines) > maxLines:
		return transition.Poisoned("invalid_lines", "%d lines: want 1 to %d", len(q.Lines), maxLines)
	case len(q.PaymentMethod) > maxMethodBytes || len(q.AttendeeSealed) > maxSealedBytes || len(c.BodyDigest) == 0:
		return transition.Poisoned("invalid_register", "payment method of %d bytes, sealed data of %d, digest of %d",
			len(q.PaymentMethod), len(q.AttendeeSealed), len(c.BodyDigest))
	}
	for i, l := range q.Lines {
		if err := validateLine(l); err != nil {
			return err
		}
		for _, other := range q.Lines[:i] {
			if other.Line == l.Line {
				return transition.Poisoned("invalid_lines", "two lines of number %d", l.Line)
			}
		}
	}
	return validateImport(q)
}

// validateLine checks a line's figures against each other (I4).
func validateLine(l *pb.Line) error {
	if l.GetLine() == 0 || l.TicketType == "" || len(l.TicketType) > maxTicketType {
		return transition.Poisoned("invalid_line", "line %d of ticket type %.80q", l.GetLine(), l.GetTicketType())
	}
	if l.Quantity == 0 || l.Quantity > maxQuantity {
		return transition.Poisoned("invalid_quantity", "line %d asks for %d tickets: want 1 to %d",
			l.Line, l.Quantity, maxQuantity)
	}
	if l.UnitPriceMinor < 0 || l.UnitPriceMinor > maxPriceMinor || l.TaxMinor < 0 || l.TaxMinor > maxPriceMinor {
		return transition.Poisoned("invalid_price", "line %d: price %d, tax %d", l.Line, l.UnitPriceMinor, l.TaxMinor)
	}
	gross := l.UnitPriceMinor * int64(l.Quantity)
	if l.DiscountMinor < 0 || l.DiscountMinor > gross {
		return transition.Poisoned("invalid_discount", "line %d: a discount of %d on %d", l.Line, l.DiscountMinor, gross)
	}
	total := gross - l.DiscountMinor
	if l.TaxMode == pb.TaxMode_TAX_MODE_ON_TOP {
		total += l.TaxMinor
	}
	if l.TotalMinor != total {
		return transition.Poisoned("invalid_total", "line %d: the total is %d, its parts make %d", l.Line, l.TotalMinor, total)
	}
	return nil
}

func isCurrency(code string) bool {
	return len(code) == 3 && strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// isCode reports whether s is a stable snake_case code.
func isCode(s string) bool {
	if s == "" || len(s) > maxReasonLength {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}
