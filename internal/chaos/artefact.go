package chaos

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/eventpro/boxoffice/internal/verify"
)

// Artefact is all that is known of a run: one JSON file.
type Artefact struct {
	Verdict Verdict `json:"verdict"`
	// Reasons say why it is no pass.
	Reasons []string  `json:"reasons,omitempty"`
	Seed    uint64    `json:"seed"`
	Version string    `json:"version"`
	Machine string    `json:"machine"`
	Started time.Time `json:"started_at"`
	// DurationS is from the first load to the verdict.
	DurationS float64        `json:"duration_s"`
	Config    ArtefactConfig `json:"config"`
	// QuietLag is the lag of each group that counts as quiet, in records.
	QuietLag map[string]int64 `json:"quiet_lag_records"`
	Rounds   []Round          `json:"rounds"`
	Totals   Totals           `json:"totals"`
	// LatencyMs is from when a request was due until it was visibly confirmed,
	// over the whole run, faults included.
	LatencyMs map[string]float64 `json:"latency_ms"`
	Oracle    *Counts            `json:"oracle"`
	Books     *verify.Report     `json:"books"`
	// Errors are what kept the run from going on.
	Errors []string `json:"errors,omitempty"`
}

// ArtefactConfig is what a run was asked for.
type ArtefactConfig struct {
	Rounds  int      `json:"rounds"`
	Rate    float64  `json:"rate_per_s"`
	Faults  []string `json:"faults,omitempty"`
	Preload int      `json:"preload,omitempty"`
	Break   Break    `json:"break,omitempty"`
	// Processes are the names of the system's processes.
	Processes []string `json:"processes"`
}

// Round is one fault and the recovery from it.
type Round struct {
	Number int   `json:"round"`
	Fault  Fault `json:"fault"`
	// StartedS is when it began, in seconds since the load did.
	StartedS float64 `json:"started_at_s"`
	// FaultMs is how long the fault lasted.
	FaultMs int64 `json:"fault_ms"`
	// TookEffect: Effect is what was seen of it. Otherwise Effect says why it is
	// not known to have.
	TookEffect bool   `json:"took_effect"`
	Effect     string `json:"effect"`
	// Recovery is in milliseconds from the end of the fault; -1 is never.
	Recovery Recovery `json:"recovery_ms"`
	// Stuck says why the gate did not open; empty when it did.
	Stuck string `json:"stuck,omitempty"`
	// Accepted and Decided registrations during the fault and the recovery.
	Accepted int64 `json:"accepted"`
	Decided  int64 `json:"decided"`
}

// Totals are those of the load.
type Totals struct {
	// Events is how many were put on sale.
	Events        int   `json:"events"`
	Sent          int64 `json:"sent"`
	Accepted      int64 `json:"accepted"`
	Confirmed     int64 `json:"confirmed"`
	SoldOut       int64 `json:"sold_out"`
	PaymentFailed int64 `json:"payment_failed"`
	Expired       int64 `json:"expired"`
	Rejected      int64 `json:"rejected"`
	Cancelled     int64 `json:"cancelled"`
	Refused       int64 `json:"refused"`
	// Unanswered attempts were made again with the same key.
	Unanswered int64 `json:"unanswered_attempts"`
	// LoadS is from the first request to the fence.
	LoadS        float64          `json:"load_s"`
	AcceptedPerS float64          `json:"accepted_per_s"`
	Refusals     map[string]int64 `json:"refusals,omitempty"`
}

// Write writes the artefact.
func (a *Artefact) Write(path string) error {
	raw, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return fmt.Errorf("write the artefact: %w", err)
	}
	if err := os.WriteFile(path, append(raw, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the artefact: %w", err)
	}
	return nil
}

// take takes over what the load came to.
func (a *Artefact) take(s sold) {
	c := s.counts
	a.Totals = Totals{
		Events: s.events, Sent: c.Sent, Accepted: c.Accepted, Confirmed: c.Confirmed, SoldOut: c.SoldOut, PaymentFailed: c.PaymentFailed,
		Expired: c.Expired, Rejected: c.Rejected, Cancelled: c.Cancelled, Refused: c.Refused, Unanswered: s.unanswered,
		LoadS: s.span.Seconds(), Refusals: s.refusals,
	}
	if s.span > 0 {
		a.Totals.AcceptedPerS = float64(c.Accepted) / s.span.Seconds()
	}
	if s.latency != nil {
		a.LatencyMs = map[string]float64{}
		for name, q := range map[string]float64{"p50": 50, "p95": 95, "p99": 99, "p999": 99.9, "max": 100} {
			a.LatencyMs[name] = float64(s.latency.ValueAtQuantile(q)) / 1000
		}
	}
}
