package history

import (
	"errors"
	"fmt"
	"time"
)

// Config says how much past there is.
type Config struct {
	// Days is how long the past is.
	Days int
	// Registrations is how many there are in all.
	Registrations int
	// Events is how many events they are for; 0 for one for about 4,000
	// registrations, at least 6.
	Events int
	// Until is the end of the past, the first moment that is not in it.
	Until time.Time
	// Seed decides everything else.
	Seed uint64
}

const (
	daysMax          = 3_660
	registrationsMax = 200_000_000
	eventsMax        = 100_000
	// registrationsPerEvent is the mean when the number of events is open.
	registrationsPerEvent = 4_000
)

// Validate says what cannot be.
func (c Config) Validate() error {
	var errs []error
	if c.Days < 1 || c.Days > daysMax {
		errs = append(errs, fmt.Errorf("a past of %d days: want 1 to %d", c.Days, daysMax))
	}
	if c.Registrations < 1 || c.Registrations > registrationsMax {
		errs = append(errs, fmt.Errorf("%d registrations: want 1 to %d", c.Registrations, registrationsMax))
	}
	if c.Events < 0 || c.Events > eventsMax {
		errs = append(errs, fmt.Errorf("%d events: want 1 to %d", c.Events, eventsMax))
	}
	if c.Until.IsZero() {
		errs = append(errs, errors.New("the past has no end: say until when"))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.Events == 0 {
		c.Events = min(max(c.Registrations/registrationsPerEvent, 6), eventsMax)
	}
	c.Events = min(c.Events, c.Registrations)
	return c
}

func (c Config) begin() time.Time { return c.Until.AddDate(0, 0, -c.Days) }
