package registrations

import (
	"errors"
	"time"
)

// Rules are the times and bounds of the saga.
type Rules struct {
	// HoldTimeout bounds the search for seats, from the request on.
	HoldTimeout time.Duration
	// ChargeTimeout bounds the wait for the money, from all seats held on.
	ChargeTimeout time.Duration
	// SecondLook is how long a line waits before it looks a second time, when
	// every block that was shown as having room has refused.
	SecondLook time.Duration
	// RedriveBase and RedriveCap bound the exponential backoff with which a
	// decided saga asks again for what it waits for.
	RedriveBase, RedriveCap time.Duration
	// MaxAttempts bounds the holds of one line, over both looks.
	MaxAttempts uint32
}

// DefaultRules returns the rules that production starts with.
func DefaultRules() Rules {
	return Rules{
		HoldTimeout:   10 * time.Minute,
		ChargeTimeout: time.Minute,
		SecondLook:    time.Second,
		RedriveBase:   5 * time.Second,
		RedriveCap:    5 * time.Minute,
		MaxAttempts:   32,
	}
}

// Validate says which rule is out of its range.
func (r Rules) Validate() error {
	switch {
	case r.HoldTimeout <= 0 || r.ChargeTimeout <= 0 || r.SecondLook <= 0:
		return errors.New("registrations: hold timeout, charge timeout and second look must be positive")
	case r.RedriveBase <= 0 || r.RedriveCap < r.RedriveBase:
		return errors.New("registrations: the redrive backoff needs a positive base and a cap that is not below it")
	case r.MaxAttempts == 0 || r.MaxAttempts >= secondLookBase:
		return errors.New("registrations: a line needs 1 to 65535 attempts")
	}
	return nil
}

// backoff is the pause before re-drive number n (from 0).
func (r Rules) backoff(n uint32) time.Duration {
	pause := r.RedriveBase
	for range n {
		if pause >= r.RedriveCap {
			return r.RedriveCap
		}
		pause *= 2
	}
	return min(pause, r.RedriveCap)
}

// Picker chooses the block to ask for seats. It is a hint: blocks decide.
type Picker interface {
	// Pick returns a block of the ticket type that seems to have room,
	// preferably for the whole quantity, and none of exclude.
	Pick(event []byte, ticketType string, quantity uint32, exclude []uint32) (block uint32, ok bool)
	// Known reports whether the picker has seen the blocks of the ticket type.
	// Until then, that it finds none means nothing.
	Known(event []byte, ticketType string) bool
}
