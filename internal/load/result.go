package load

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Counts is what became of the registrations so far.
type Counts struct {
	// Sent requests were handed to the front door; Accepted ones were answered
	// 202; Refused ones got a definite no, or no answer at all.
	Sent     int64 `json:"sent"`
	Accepted int64 `json:"accepted"`
	Refused  int64 `json:"refused"`
	// How the accepted ones were decided. Those that were cancelled after they
	// were confirmed are counted as both.
	Decided       int64 `json:"decided"`
	Confirmed     int64 `json:"confirmed"`
	SoldOut       int64 `json:"sold_out"`
	PaymentFailed int64 `json:"payment_failed"`
	Expired       int64 `json:"expired"`
	Rejected      int64 `json:"rejected"`
	Cancelled     int64 `json:"cancelled"`
	// Tickets of the confirmed ones.
	Tickets int64 `json:"tickets"`
	// Open ones are accepted and not decided and settled yet.
	Open int64 `json:"open"`
}

// Snapshot is the progress of a run.
type Snapshot struct {
	Counts
	// Planned is how many requests the run has.
	Planned int
	Elapsed time.Duration
	// The rates are those since the snapshot before.
	AcceptedPerS, ConfirmedPerS, DecidedPerS float64
	// P50 and P99 are of the latency so far.
	P50, P99 time.Duration
}

// Latency is a distribution, from when a request was due.
type Latency struct {
	Count              int64
	P50, P95, P99, Max time.Duration
}

// Result is what a run came to.
type Result struct {
	Counts
	EventID string
	Places  int
	Planned int
	// Started is when the first request was due. Duration ends with the last
	// change, SendDuration with the last answer of the front door.
	Started      time.Time
	Duration     time.Duration
	SendDuration time.Duration
	// WarmupLeftOut says that latencies and rates are those after the warm-up; a
	// run that was shorter counts as a whole.
	WarmupLeftOut bool
	// Confirmed is the latency until a registration was visibly confirmed,
	// Acceptance until the front door had accepted it.
	Confirmation Latency
	Acceptance   Latency
	// ConfirmedPerS is the rate up to the last confirmation.
	ConfirmedPerS float64
	// Refusals counts the refused requests by code.
	Refusals map[string]int64
	// Unanswered counts attempts that got no answer and were made again.
	Unanswered int64
	// Stray registrations were seen though their request was never answered.
	Stray int
	// Histogram holds the latencies behind Confirmation, in microseconds.
	Histogram *hdrhistogram.Histogram
}

func (r *run) counts() Counts {
	by := func(o pb.Outcome) int64 { return r.tracker.byOutcome[o].Load() }
	return Counts{
		Sent:          r.pace.sent(),
		Accepted:      r.tracker.accepted.Load(),
		Refused:       r.refusals.total(),
		Decided:       r.tracker.decisions.Load(),
		Confirmed:     by(pb.Outcome_OUTCOME_CONFIRMED),
		SoldOut:       by(pb.Outcome_OUTCOME_SOLD_OUT),
		PaymentFailed: by(pb.Outcome_OUTCOME_PAYMENT_FAILED),
		Expired:       by(pb.Outcome_OUTCOME_EXPIRED),
		Rejected:      by(pb.Outcome_OUTCOME_REJECTED),
		Cancelled:     r.tracker.cancelled.Load() + by(pb.Outcome_OUTCOME_CANCELLED),
		Tickets:       r.tracker.tickets.Load(),
		Open:          r.tracker.open.Load(),
	}
}

// snapshot is the progress since last.
func (r *run) snapshot(last Snapshot, now time.Time) Snapshot {
	s := Snapshot{Counts: r.counts(), Planned: r.plan.Requests, Elapsed: now.Sub(r.start)}
	if seconds := (s.Elapsed - last.Elapsed).Seconds(); seconds > 0 {
		s.AcceptedPerS = float64(s.Accepted-last.Accepted) / seconds
		s.ConfirmedPerS = float64(s.Confirmed-last.Confirmed) / seconds
		s.DecidedPerS = float64(s.Decided-last.Decided) / seconds
	}
	h, _ := r.tracker.latencies.histogram()
	l := latencyOf(h)
	s.P50, s.P99 = l.P50, l.P99
	return s
}

func (r *run) result(sendEnd time.Time) Result {
	t := r.tracker
	h, warm := t.latencies.histogram()
	acceptance, _ := t.acceptance.histogram()
	res := Result{
		Counts: r.counts(), EventID: r.eventText, Places: r.plan.Places(), Planned: r.plan.Requests,
		Started: r.start, Duration: max(0, time.Unix(0, t.moved.Load()).Sub(r.start)), SendDuration: sendEnd.Sub(r.start),
		WarmupLeftOut: warm, Confirmation: latencyOf(h), Acceptance: latencyOf(acceptance),
		Refusals: r.refusals.byCode(), Stray: t.stray(), Unanswered: r.door.unanswered.Load(), Histogram: h,
	}
	t.latencies.mu.Lock()
	defer t.latencies.mu.Unlock()
	count, from := t.latencies.all.TotalCount(), time.Duration(0)
	if warm {
		count, from = t.latencies.warmCount, t.warmup
	}
	if span := time.Duration(t.latencies.last)*time.Microsecond - from; span > 0 {
		res.ConfirmedPerS = float64(count) / span.Seconds()
	}
	return res
}

// histogram returns a copy of what counts: without the warm-up, unless nothing
// came after it.
func (l *latencies) histogram() (h *hdrhistogram.Histogram, warm bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.warm.TotalCount() > 0 {
		return hdrhistogram.Import(l.warm.Export()), true
	}
	return hdrhistogram.Import(l.all.Export()), false
}

func latencyOf(h *hdrhistogram.Histogram) Latency {
	at := func(q float64) time.Duration { return time.Duration(h.ValueAtQuantile(q)) * time.Microsecond }
	return Latency{Count: h.TotalCount(), P50: at(50), P95: at(95), P99: at(99), Max: time.Duration(h.Max()) * time.Microsecond}
}
