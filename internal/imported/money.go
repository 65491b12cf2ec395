// Package imported says what a correct import looks like, for the importer and for
// the groups that take it over: they must not differ, or a registration would wait
// for money that its payment refuses.
package imported

import (
	"fmt"
	"strings"

	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Bounds of what an import carries; they bound the values' sizes.
const (
	NameBytesMax      = 40
	ReferenceBytesMax = 256
	// RefundsMax leaves room for a refund of each line after the import.
	RefundsMax = 64
)

// IsName reports whether s can name a source or a provider: [a-z0-9-]{1,40}.
func IsName(s string) bool {
	return s != "" && len(s) <= NameBytesMax && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// Check says what is wrong with money that pays for the lines with these totals,
// by their numbers (I4): the lines are what was captured, no more is given back,
// and whoever names a line gives back the whole of it, once.
func Check(m *pb.ImportedMoney, lines map[uint32]int64) error {
	total := int64(0)
	for _, t := range lines {
		total += t
	}
	switch {
	case !IsName(m.GetProvider()):
		return fmt.Errorf("%.80q names no provider", m.GetProvider())
	case m.Reference == "" || len(m.Reference) > ReferenceBytesMax:
		return fmt.Errorf("a reference of %d bytes", len(m.Reference))
	case m.CapturedMinor <= 0 || m.CapturedMinor != total:
		return fmt.Errorf("%d captured for lines of %d", m.CapturedMinor, total)
	case m.FeeMinor < 0:
		return fmt.Errorf("a fee of %d", m.FeeMinor)
	case m.CapturedAtUnixMs <= 0:
		return fmt.Errorf("captured at %d", m.CapturedAtUnixMs)
	case len(m.Refunds) > RefundsMax:
		return fmt.Errorf("%d refunds", len(m.Refunds))
	}
	left, named := m.CapturedMinor, map[uint32]bool{}
	for i, r := range m.Refunds {
		left -= r.GetAmountMinor()
		whole, known := lines[r.GetLine()]
		switch {
		case r.GetAmountMinor() <= 0 || left < 0:
			return fmt.Errorf("refund %d of %d, more than is left of %d", i+1, r.GetAmountMinor(), m.CapturedMinor)
		case r.RefundedAtUnixMs < m.CapturedAtUnixMs:
			return fmt.Errorf("refund %d is of before the capture", i+1)
		case len(r.Reference) > ReferenceBytesMax:
			return fmt.Errorf("refund %d has a reference of %d bytes", i+1, len(r.Reference))
		case r.Line != 0 && (!known || named[r.Line] || whole != r.AmountMinor):
			return fmt.Errorf("refund %d of %d is not the whole of line %d", i+1, r.AmountMinor, r.Line)
		}
		named[r.Line] = true
	}
	return nil
}
