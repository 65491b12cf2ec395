package chaos

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// say writes a line for people.
func (c *controller) say(format string, args ...any) {
	fmt.Fprintf(c.cfg.Output, "  "+format+"\n", args...)
}

func (c *controller) sayRoundsHeader() {
	fmt.Fprintln(c.cfg.Output)
	c.say("%5s  %-27s %9s %9s  %s", "round", "fault", "lasted", "recovered", "what was seen")
}

func (c *controller) sayRound(r *Round) {
	recovered := seconds(time.Duration(r.Recovery.TotalMs) * time.Millisecond)
	seen := r.Effect
	if !r.TookEffect {
		seen = "NO EFFECT: " + seen
	}
	if r.Stuck != "" {
		recovered, seen = "STUCK", seen+"; "+r.Stuck
	}
	c.say("%2d/%-2d  %-27s %9s %9s  %s", r.Number, c.cfg.Rounds, r.Fault,
		seconds(time.Duration(r.FaultMs)*time.Millisecond), recovered, seen)
}

// seconds writes a duration with one decimal.
func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// count writes a number with the right form of its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// WriteSummary tells people what a run came to.
func (a *Artefact) WriteSummary(w io.Writer) error {
	var out strings.Builder
	a.writeFaults(&out)
	a.writeKilled(&out)
	a.writeTotals(&out)
	if a.Books != nil {
		heading(&out, "Books")
		_, _ = a.Books.WriteTo(&out) // a strings.Builder takes everything
	}
	heading(&out, "Verdict")
	fmt.Fprintf(&out, "  %s\n", strings.ToUpper(string(a.Verdict)))
	for _, reason := range a.Reasons {
		fmt.Fprintf(&out, "  - %s\n", reason)
	}
	if a.Oracle != nil {
		for _, example := range a.Oracle.Examples {
			fmt.Fprintf(&out, "    %s\n", example)
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func heading(w io.Writer, text string) {
	fmt.Fprintf(w, "\n%s\n%s\n", text, strings.Repeat("─", len(text)))
}

// writeFaults sums the rounds up by kind of fault, the slowest recovery first.
func (a *Artefact) writeFaults(w io.Writer) {
	byKind := map[Kind][]Round{}
	var order []Kind
	for _, r := range a.Rounds {
		if byKind[r.Fault.Kind] == nil {
			order = append(order, r.Fault.Kind)
		}
		byKind[r.Fault.Kind] = append(byKind[r.Fault.Kind], r)
	}
	slowest := func(rounds []Round) int64 {
		return slices.MaxFunc(rounds, func(x, y Round) int { return cmp.Compare(x.Recovery.TotalMs, y.Recovery.TotalMs) }).Recovery.TotalMs
	}
	slices.SortStableFunc(order, func(x, y Kind) int { return cmp.Compare(slowest(byKind[y]), slowest(byKind[x])) })
	heading(w, "Faults, and seconds until the system had recovered")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tfault\trounds\trecovered\tslowest\troles ready\torder decided\tlag quiet\tmost lag\taccepted meanwhile\t")
	for _, k := range order {
		rounds := byKind[k]
		var total, ready, probe, lag, peak, accepted int64
		for _, r := range rounds {
			total = max(total, r.Recovery.TotalMs)
			ready, probe, lag = max(ready, r.Recovery.ReadyMs), max(probe, r.Recovery.ProbeMs), max(lag, r.Recovery.LagMs)
			peak, accepted = max(peak, r.Recovery.LagPeak), accepted+r.Accepted
		}
		fmt.Fprintf(table, "\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t\n", k, len(rounds), inSeconds(median(rounds)), inSeconds(total),
			inSeconds(ready), inSeconds(probe), inSeconds(lag), peak, accepted)
	}
	_ = table.Flush() // into a strings.Builder
}

// writeKilled says how soon each process that was killed on its own was ready
// again, the slowest first.
func (a *Artefact) writeKilled(w io.Writer) {
	slowest := map[string]int64{}
	for _, r := range a.Rounds {
		name := r.Fault.Target
		switch r.Fault.Kind {
		case Kill:
		case KafkaKill:
			name = Kafka
		case ClickHouseKill:
			name = ClickHouse
		case ProviderKill:
			name = Provider
		default:
			continue
		}
		if before, known := slowest[name]; !known || before >= 0 && (r.Recovery.ReadyMs < 0 || r.Recovery.ReadyMs > before) {
			slowest[name] = r.Recovery.ReadyMs
		}
	}
	if len(slowest) == 0 {
		return
	}
	names := slices.Sorted(maps.Keys(slowest))
	slices.SortStableFunc(names, func(x, y string) int { return cmp.Compare(slowest[y], slowest[x]) })
	heading(w, "Processes, and seconds from kill -9 until ready again")
	for _, name := range names {
		fmt.Fprintf(w, "  %-18s %s\n", name, inSeconds(slowest[name]))
	}
}

func inSeconds(ms int64) string {
	if ms < 0 {
		return "never"
	}
	return fmt.Sprintf("%.1f", float64(ms)/1000)
}

// median is the middle recovery time of rounds, in milliseconds.
func median(rounds []Round) int64 {
	times := make([]int64, len(rounds))
	for i, r := range rounds {
		times[i] = r.Recovery.TotalMs
	}
	slices.Sort(times)
	return times[len(times)/2]
}

func (a *Artefact) writeTotals(w io.Writer) {
	heading(w, "Load")
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %-22s %s\n", name, fmt.Sprintf(format, args...))
	}
	t := a.Totals
	row("events", "%d, one after the other", t.Events)
	row("requests", "%d sent, %d accepted, %.0f/s over %.0f s (asked: %.0f/s)", t.Sent, t.Accepted, t.AcceptedPerS, t.LoadS, a.Config.Rate)
	row("without an answer", "%d attempts, each made again with the same key", t.Unanswered)
	row("decided", "%d confirmed, %d sold out, %d payment failed, %d expired, %d rejected, %d cancelled afterwards",
		t.Confirmed, t.SoldOut, t.PaymentFailed, t.Expired, t.Rejected, t.Cancelled)
	if t.Refused > 0 {
		row("refused", "%d: %v", t.Refused, t.Refusals)
	}
	if l := a.LatencyMs; l != nil {
		row("request to confirmed", "p50 %.0f ms   p95 %.0f ms   p99 %.0f ms   max %.0f ms, faults included", l["p50"], l["p95"], l["p99"], l["max"])
	}
	if o := a.Oracle; o != nil {
		row("against the sources", "%d accepted: %d lost, %d doubled, %d stuck; %d unheard, %d dead letters",
			o.Accepted, o.Lost, o.Doubled, o.Stuck, o.Unheard, o.DeadLetters)
	}
}
