package chaos

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/eventpro/boxoffice/internal/embedded/child"
)

// Role is one process of the system under test.
type Role struct {
	Name string
	// Group and Member are its place in a consumer group; empty for none.
	Group, Member string
	// Session is after which silence its group gives it up; 0 when that takes too
	// long to wait for.
	Session time.Duration
	// Deadlines: its group fires timers, so that its clock matters.
	Deadlines bool
	// Dir is what it keeps on its disk: a cache for roles, all there is for engines.
	Dir string
	// Engine: Kafka, ClickHouse or the payment provider, on which roles stand.
	Engine  bool
	Process *child.Child
}

// Names of the engines.
const (
	Kafka      = "kafka"
	ClickHouse = "clickhouse"
	Provider   = "provider"
)

// System is the system under test. All of it runs before a run begins, and its
// owner ends it.
type System struct {
	Roles                                           []*Role
	Brokers                                         []string
	IngestURL, ViewsURL, ProviderURL, ClickHouseURL string
	APIKey, Organiser                               string
}

// Break is a negative control: something that makes a run fail, or show nothing,
// and that the verdict has to tell.
type Break string

// The negative controls.
const (
	// BreakNothing is a run that counts.
	BreakNothing Break = ""
	// BreakAccepted puts a registration into the file of what was accepted that
	// nobody asked for: it is lost.
	BreakAccepted Break = "accepted"
	// BreakLedger has the provider lose its ledger when it is killed.
	BreakLedger Break = "ledger"
	// BreakReports takes a charge out of the journal that reports are made of.
	BreakReports Break = "reports"
	// BreakFaults has no fault do anything.
	BreakFaults Break = "faults"
)

// Config is what a run needs. The zero value of a field with a default takes
// that default.
type Config struct {
	Seed   uint64
	Rounds int
	// Rate is in registrations per second.
	Rate float64
	// Faults selects kinds; all when empty. See Select.
	Faults []string
	// Preload registrations are in the tables before the first fault.
	Preload int
	// Dir gets the files of what was accepted.
	Dir   string
	Break Break

	// Warmup is how long there is load before the first fault (10 s), Pause how
	// long between a gate and the next fault (2 s).
	Warmup, Pause time.Duration
	// EffectPatience bounds the wait for a fault to take effect (30 s).
	EffectPatience time.Duration
	// Patience ends a run in which nothing gets better for so long, at the gate or
	// after the fence (120 s).
	Patience time.Duration

	// Version and Machine say what ran where.
	Version, Machine string
	// Output gets a line for each thing that happens.
	Output io.Writer
	Logger *slog.Logger
}

// Validate says what is missing or contradictory, all of it at once.
func (c *Config) Validate() error {
	var errs []error
	if c.Rounds < 1 {
		errs = append(errs, fmt.Errorf("rounds must be at least 1, they are %d", c.Rounds))
	}
	if c.Rate < 1 {
		errs = append(errs, fmt.Errorf("the rate must be at least 1 registration a second, it is %g", c.Rate))
	}
	if c.Preload < 0 {
		errs = append(errs, errors.New("preload must not be negative"))
	}
	switch c.Break {
	case BreakNothing, BreakAccepted, BreakLedger, BreakReports, BreakFaults:
	default:
		errs = append(errs, fmt.Errorf("there is no negative control %q", c.Break))
	}
	if err := checkSelection(c.Faults); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	def(&c.Warmup, 10*time.Second)
	def(&c.Pause, 2*time.Second)
	def(&c.EffectPatience, 30*time.Second)
	def(&c.Patience, 2*time.Minute)
	if c.Output == nil {
		c.Output = io.Discard
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// def sets a field that is at its zero value.
func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
