package provider

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Behaviour is how the provider misbehaves. The zero value is a provider that
// captures everything at once. Rates are shares of references from 0 to 1; which
// references they hit follows from Seed and the reference alone, so that a second
// run declines the same payments.
type Behaviour struct {
	Seed uint64 `json:"seed"`
	// DeclineRate is the share of charges that are declined.
	DeclineRate float64 `json:"decline_rate"`
	// SlowRate is the share of charges and refunds that are applied only SlowMS
	// milliseconds after they arrived, whether or not the caller still waits.
	SlowRate float64 `json:"slow_rate"`
	SlowMS   int64   `json:"slow_ms"`
	// TimeoutAfterApplyRate is the share that is applied although the caller
	// sees a timeout: LateMS milliseconds after it has given up (or after a
	// minute, when it never does).
	TimeoutAfterApplyRate float64 `json:"timeout_after_apply_rate"`
	LateMS                int64   `json:"late_ms"`
	// ErrorRate is the share of attempts answered 500 without applying anything.
	// A repeated attempt draws again.
	ErrorRate float64 `json:"error_rate"`
	// NotFoundMeanwhile makes queries deny a charge or refund that is still
	// travelling; otherwise they show it as pending.
	NotFoundMeanwhile bool `json:"not_found_meanwhile"`
	// Away drops every connection that asks for money to be moved or looked up,
	// without an answer. The ledger, health and this behaviour stay reachable.
	Away bool `json:"away"`
	// LatencyMS delays every charge and refund.
	LatencyMS int64 `json:"latency_ms"`
}

// maxDelayMS bounds the delays of a Behaviour.
const maxDelayMS = int64(time.Hour / time.Millisecond)

// Validate says which figure is out of its range.
func (b Behaviour) Validate() error {
	for _, r := range []struct {
		name string
		rate float64
	}{
		{"decline_rate", b.DeclineRate},
		{"slow_rate", b.SlowRate},
		{"timeout_after_apply_rate", b.TimeoutAfterApplyRate},
		{"error_rate", b.ErrorRate},
	} {
		// Written so that NaN fails too.
		if !(r.rate >= 0 && r.rate <= 1) {
			return fmt.Errorf("%s is %v: want 0 to 1", r.name, r.rate)
		}
	}
	for _, d := range []struct {
		name string
		ms   int64
	}{{"slow_ms", b.SlowMS}, {"late_ms", b.LateMS}, {"latency_ms", b.LatencyMS}} {
		if d.ms < 0 || d.ms > maxDelayMS {
			return fmt.Errorf("%s is %d: want 0 to %d", d.name, d.ms, maxDelayMS)
		}
	}
	return nil
}

// fate is what awaits one attempt to charge or refund.
type fate struct {
	delay       time.Duration // before it is applied
	late        bool          // applied only after the caller has given up
	lateAfter   time.Duration // how long after
	fails       bool          // answered 500, nothing applied
	declineCode string        // empty when captured
}

// declineCodes are as card networks name them.
var declineCodes = [...]string{"insufficient_funds", "card_declined", "expired_card", "do_not_honor"}

// fateOf decides from the seed and the reference alone; attempt counts the
// reference's attempts that failed before.
func (b Behaviour) fateOf(reference string, attempt int) fate {
	f := fate{
		delay: time.Duration(b.LatencyMS) * time.Millisecond,
		fails: b.draw("error/"+strconv.Itoa(attempt), reference) < b.ErrorRate,
	}
	if b.draw("slow", reference) < b.SlowRate {
		f.delay += time.Duration(b.SlowMS) * time.Millisecond
	}
	if b.draw("late", reference) < b.TimeoutAfterApplyRate {
		f.late, f.lateAfter = true, time.Duration(b.LateMS)*time.Millisecond
	}
	if b.draw("decline", reference) < b.DeclineRate {
		f.declineCode = declineCodes[int(b.draw("decline-code", reference)*float64(len(declineCodes)))]
	}
	return f
}

// draw returns a number in [0, 1) that depends on the seed, the purpose and the
// reference only.
func (b Behaviour) draw(purpose, reference string) float64 {
	var buf [128]byte
	key := strconv.AppendUint(buf[:0], b.Seed, 10)
	key = append(append(append(append(key, '|'), purpose...), '|'), reference...)
	return float64(xxhash.Sum64(key)>>11) / (1 << 53)
}

const behaviourFile = "behaviour.json"

// keptBehaviour is what behaviour.json holds: what PUT asked for, and what the
// provider had been started with then.
type keptBehaviour struct {
	StartedWith Behaviour `json:"started_with"`
	Asked       Behaviour `json:"asked"`
}

// loadBehaviour returns the behaviour to start with. What was PUT survives a
// restart with the same options; other options win over it.
func loadBehaviour(dir string, options Behaviour) (Behaviour, error) {
	path := filepath.Join(dir, behaviourFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return options, nil
	}
	if err != nil {
		return Behaviour{}, fmt.Errorf("reading the behaviour: %w", err)
	}
	var kept keptBehaviour
	if err := json.Unmarshal(raw, &kept); err != nil {
		return Behaviour{}, fmt.Errorf("%s is damaged (%w): remove it to start with the behaviour of the options", path, err)
	}
	if kept.StartedWith != options {
		return options, nil
	}
	if err := kept.Asked.Validate(); err != nil {
		return Behaviour{}, fmt.Errorf("%s is damaged (%w): remove it to start with the behaviour of the options", path, err)
	}
	return kept.Asked, nil
}

// saveBehaviour replaces behaviour.json in one step, so that a kill leaves the
// old one or the new one.
func saveBehaviour(dir string, options, asked Behaviour) error {
	raw, err := json.MarshalIndent(keptBehaviour{StartedWith: options, Asked: asked}, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, behaviourFile)
	if err := os.WriteFile(path+".new", append(raw, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
