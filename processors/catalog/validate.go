package catalog

import (
	"strings"

	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Bounds of an event. A block costs two bytes of the event's value, which is
// written once for each block that opens.
const (
	maxTicketTypes    = 50
	maxBlocks         = 10_000
	maxCapacity       = 1_000_000
	maxBlockSize      = 64
	defaultBlockSize  = 50
	maxPriceMinor     = 1 << 40
	maxTaxRateBP      = 10_000
	maxTextBytes      = 300
	maxTicketTypeID   = 40
	maxLimitAttendee  = 1_000_000
	currencyCodeBytes = 3
)

// validate checks once more what the front door has checked; it returns the
// reason to refuse the event, or "".
func validate(q *pb.CreateEvent) string {
	switch {
	case q.GetName() == "" || len(q.Name) > maxTextBytes || len(q.Venue) > maxTextBytes || len(q.Region) > maxTextBytes:
		return ReasonInvalidName
	case !isCurrency(q.Currency):
		return ReasonInvalidCurrency
	case q.SaleEndsUnixMs != 0 && q.SaleEndsUnixMs <= q.SaleStartsUnixMs:
		return ReasonInvalidSaleWindow
	case len(q.TicketTypes) == 0 || len(q.TicketTypes) > maxTicketTypes || q.MaxPerAttendee > maxLimitAttendee:
		return ReasonInvalidTicketType
	}
	seen := make(map[string]bool, len(q.TicketTypes))
	blocks := 0
	for _, t := range q.TicketTypes {
		if seen[t.GetId()] {
			return ReasonInvalidTicketType
		}
		seen[t.GetId()] = true
		if reason := validateTicketType(t); reason != "" {
			return reason
		}
		blocks += blocksOf(t.Capacity, blockSize(t))
	}
	if blocks > maxBlocks {
		return ReasonInvalidCapacity
	}
	return ""
}

func validateTicketType(t *pb.NewTicketType) string {
	switch {
	case !isSlug(t.Id) || len(t.Name) > maxTextBytes:
		return ReasonInvalidTicketType
	case t.PriceMinor < 0 || t.PriceMinor > maxPriceMinor:
		return ReasonInvalidPrice
	case t.TaxRateBp > maxTaxRateBP || !isTaxMode(t.TaxMode):
		return ReasonInvalidTax
	case t.Capacity == 0 || t.Capacity > maxCapacity:
		return ReasonInvalidCapacity
	case t.BlockSize > maxBlockSize:
		return ReasonInvalidBlockSize
	}
	return ""
}

func isTaxMode(mode pb.TaxMode) bool {
	switch mode {
	case pb.TaxMode_TAX_MODE_INCLUDED, pb.TaxMode_TAX_MODE_ON_TOP, pb.TaxMode_TAX_MODE_EXEMPT:
		return true
	}
	return false
}

func isCurrency(code string) bool {
	return len(code) == currencyCodeBytes && strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// isSlug reports whether id matches [a-z0-9-]{1,40}.
func isSlug(id string) bool {
	return id != "" && len(id) <= maxTicketTypeID && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// blockSize is the size that the organiser wants, or the default.
func blockSize(t *pb.NewTicketType) uint32 {
	if t.BlockSize == 0 {
		return defaultBlockSize
	}
	return t.BlockSize
}
