package load

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"strconv"
	"time"
)

// Door is the way in.
type Door string

const (
	// Single is POST /v1/registrations, one request for each registration.
	Single Door = "single"
	// Batch is POST /v1/registrations:batch, many in one request.
	Batch Door = "batch"
)

// Config is what a run needs. The zero value of a field with a default takes
// that default.
type Config struct {
	// IngestURL is the front door, for example http://127.0.0.1:8080.
	IngestURL string
	// APIKey needs the scopes events:write and registrations:write.
	APIKey string
	// Brokers are where registration-events are observed.
	Brokers []string

	// Run names the run: its idempotency keys are derived from it, so that the
	// same run again is a repetition and sells nothing ("seed-<Seed>").
	Run string
	// Seed decides who asks for what.
	Seed uint64
	// EventName is the event's name ("National Developer Conference").
	EventName string
	// Places is the event's capacity (80,000; at least 20).
	Places int
	// Free makes every ticket free: no payment.
	Free bool
	// MaxPerAttendee is the event's limit; 0 means none.
	MaxPerAttendee int
	// CancelShare is the share of confirmed registrations that are cancelled
	// afterwards (0.01; negative for none).
	CancelShare float64

	// Rate is in requests per second; 0 means as many as the system decides.
	Rate float64
	// Fence ends the sending when it is closed; what is under way then is
	// answered, and what was accepted is waited for as ever. Nil for none.
	Fence <-chan struct{}
	// Door is the way in (Single).
	Door Door
	// Connections bounds the requests that are under way at once (256; 4 through
	// the batch door, so that there is something to put in a batch).
	Connections int
	// UndecidedMax bounds the registrations that are accepted and undecided, in
	// a run without a rate (4,000).
	UndecidedMax int
	// BatchLinesMax bounds the registrations of one request of the batch door
	// (200).
	BatchLinesMax int
	// RequestTimeout bounds one HTTP request (15 s), RetryFor the repetitions of
	// one that got no definite answer (60 s).
	RequestTimeout time.Duration
	RetryFor       time.Duration

	// Warmup is left out of latencies and rates (10 s; negative for none).
	Warmup time.Duration
	// StallTimeout ends a run in which nothing was decided or settled for so
	// long after the last request (60 s).
	StallTimeout time.Duration
	// ProgressInterval is how often progress is reported (1 s).
	ProgressInterval time.Duration
	// AcceptedFile is appended to, one JSON line per accepted registration;
	// empty for none.
	AcceptedFile string
	// Logger receives what an operator should know; nil discards it.
	Logger *slog.Logger
}

var runPattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

// Validate says what is missing or contradictory, all of it at once.
func (c *Config) Validate() error {
	var errs []error
	if u, err := url.Parse(c.IngestURL); err != nil || u.Scheme == "" || u.Host == "" {
		errs = append(errs, fmt.Errorf("the front door's URL %q must look like http://127.0.0.1:8080", c.IngestURL))
	}
	if c.APIKey == "" {
		errs = append(errs, errors.New("no API key given: it needs the scopes events:write and registrations:write"))
	}
	if len(c.Brokers) == 0 {
		errs = append(errs, errors.New("no Kafka brokers given: the run is observed on registration-events"))
	}
	if c.Run != "" && !runPattern.MatchString(c.Run) {
		errs = append(errs, fmt.Errorf("the run's name %q must be 1 to 100 letters, digits, dots, dashes or underscores", c.Run))
	}
	if c.Places != 0 && (c.Places < placesMin || c.Places > placesMax) {
		errs = append(errs, fmt.Errorf("places must be from %d to %d, they are %d", placesMin, placesMax, c.Places))
	}
	if c.Rate < 0 || c.CancelShare > 1 || c.Connections < 0 || c.UndecidedMax < 0 || c.BatchLinesMax < 0 || c.MaxPerAttendee < 0 {
		errs = append(errs, errors.New("rate, shares and limits must not be negative, and no share above 1"))
	}
	if c.Door != "" && c.Door != Single && c.Door != Batch {
		errs = append(errs, fmt.Errorf("unknown door %q: use %s or %s", c.Door, Single, Batch))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	def(&c.Run, "seed-"+strconv.FormatUint(c.Seed, 10))
	def(&c.EventName, "National Developer Conference")
	def(&c.Places, 80_000)
	def(&c.CancelShare, .01)
	def(&c.Door, Single)
	if c.Door == Batch {
		def(&c.Connections, 4)
	}
	def(&c.Connections, 256)
	def(&c.UndecidedMax, 4_000)
	def(&c.BatchLinesMax, 200)
	def(&c.RequestTimeout, 15*time.Second)
	def(&c.RetryFor, time.Minute)
	def(&c.Warmup, 10*time.Second)
	def(&c.StallTimeout, time.Minute)
	def(&c.ProgressInterval, time.Second)
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
