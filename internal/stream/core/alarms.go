package core

import (
	"errors"
	"time"
)

// Alarms decides which of the deadlines that are due are sent as timers now. A
// key stays due until its state has moved on, and is sent again with backoff as
// long as it is: no deadline is ever lost.
type Alarms struct {
	// Min and Max bound the growing pause before a key is sent again.
	Min, Max time.Duration
	armed    map[string]arming
}

// arming is when a due key may be sent again.
type arming struct {
	deadline int64
	again    time.Time
	pause    time.Duration
}

// dueMax bounds the timers of one partition and one look.
const dueMax = 10_000

// Due visits the open deadlines of a partition up to a moment, the earliest
// first, until visit returns false.
type Due func(partition int32, untilUnixMs int64, visit func(key string, deadline int64) bool) error

// Look sends what was due at the moment that the inputs have reached and was not
// sent lately. What is no longer due has moved on and is forgotten.
func (a *Alarms) Look(now, reached time.Time, partitions []int32, due Due, send func(key string)) error {
	still := make(map[string]arming, len(a.armed))
	defer func() { a.armed = still }()
	var errs []error
	for _, p := range partitions {
		n := 0 // sent: those that wait must not keep others from their turn
		err := due(p, reached.UnixMilli(), func(key string, deadline int64) bool {
			at, known := a.armed[key]
			if !known || at.deadline != deadline {
				at = arming{deadline: deadline, again: now}
			}
			if !now.Before(at.again) {
				send(key)
				at.pause = min(max(2*at.pause, a.Min), a.Max)
				at.again = now.Add(at.pause)
				n++
			}
			still[key] = at
			return n < dueMax
		})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Reached returns up to which moment a member's inputs have been handled: the
// present when nothing waits, else the time of the oldest record of its last
// batch.
func Reached(now, oldest time.Time, idle bool) time.Time {
	if !idle && oldest.Before(now) {
		return oldest
	}
	return now
}
