package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/eventpro/boxoffice/internal/load"
)

// newRunName names a sale after the moment it starts.
func newRunName() string { return "sale-" + time.Now().UTC().Format("20060102T150405.000") }

// writeSale tells what became of a sale.
func writeSale(w io.Writer, r load.Result) {
	heading(w, "Sale")
	row := func(name, value string) { fmt.Fprintf(w, "  %-22s %s\n", name, value) }
	row("places", grouped(int64(r.Places)))
	row("requests", fmt.Sprintf("%s sent, %s accepted%s", grouped(r.Sent), grouped(r.Accepted), refusals(r)))
	row("confirmed", fmt.Sprintf("%s with %s tickets", grouped(r.Confirmed), grouped(r.Tickets)))
	row("sold out", grouped(r.SoldOut))
	row("payment failed", grouped(r.PaymentFailed))
	if r.Expired > 0 || r.Rejected > 0 {
		row("expired, rejected", grouped(r.Expired)+", "+grouped(r.Rejected))
	}
	row("cancelled afterwards", grouped(r.Cancelled))
	row("duration", fmt.Sprintf("%.1f s", r.Duration.Seconds()))
	note := ""
	if r.WarmupLeftOut {
		note = " (first 10 s left out)"
	}
	row("confirmed/s", grouped(int64(r.ConfirmedPerS))+note)
	row("request to confirmed", latencies(r.Confirmation)+note)
	row("request to accepted", latencies(r.Acceptance))
}

func refusals(r load.Result) string {
	if r.Refused == 0 {
		return ""
	}
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(r.Refusals)) {
		parts = append(parts, fmt.Sprintf("%s %s", grouped(r.Refusals[code]), code))
	}
	return fmt.Sprintf(", %s refused (%s)", grouped(r.Refused), strings.Join(parts, ", "))
}

func latencies(l load.Latency) string {
	return fmt.Sprintf("p50 %s   p95 %s   p99 %s   max %s", milliseconds(l.P50), milliseconds(l.P95), milliseconds(l.P99), milliseconds(l.Max))
}

func heading(w io.Writer, text string) {
	fmt.Fprintf(w, "\n%s\n%s\n", text, strings.Repeat("─", len(text)))
}
