package backfill

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkRead reads an export of 20,000 orders.
func BenchmarkRead(b *testing.B) {
	var text strings.Builder
	text.WriteString("Order #,Order Date,First Name,Last Name,Email,Ticket Type,Currency,Total Paid,Eventbrite Fees,Attendee Status,Event Name,Event ID,Event Start Date\n")
	for i := range 20_000 {
		fmt.Fprintf(&text, "%d,2022-01-01 10:00:00,A,B%d,a%d@example.org,Type %d,EUR,49.00,1.20,Attending,Big,%d,2024-12-01T10:00:00Z\n", i+1, i, i, i%4, i%3)
	}
	path, s := write(b, "big.csv", text.String()), settings(b)
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		r, err := Read([]string{path}, s)
		if err != nil || len(r.Orders) != 20_000 {
			b.Fatal(err)
		}
	}
}
