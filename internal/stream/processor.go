package stream

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
)

// Handler decides what a message does to its key's state. The state is nil when
// the key is unknown; otherwise it is the handler's own copy, to mutate and to
// return. It is called for the records of one partition one after the other,
// for different partitions concurrently, and again for records whose
// transaction did not commit, so it must depend on its arguments alone.
//
// A *transition.Poison sends the record to the dead letters. With any other
// error, or a panic, the record is put off: it goes to the retries, the partition
// goes on, and the record comes again behind those that came after it. So the
// handler must bear messages that are late, of which its key has seen newer ones.
// When a record has failed Config.AttemptsMax times, it goes to the dead letters
// with its error.
type Handler func(state proto.Message, m *transition.Message) (transition.Effect, error)

// Processor is one stateful group.
type Processor struct {
	Group  topology.Group
	Handle Handler
	// Deadline reads when an encoded table value wants to be woken; open is
	// false when it waits for nothing. nil: the group has no timers.
	Deadline func(value []byte) (unixMillis int64, open bool)
	// Timer makes the message that wakes the key; it goes to Group.Timers. A
	// deadline is due when the time in that message has reached it.
	Timer func(key string, now time.Time) proto.Message
}

// Validate says what is missing or contradictory, all of it at once.
func (p *Processor) Validate() error {
	g := p.Group
	var errs []error
	complain := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("group %q: "+format, append([]any{g.Name}, args...)...))
	}
	if g.Name == "" {
		complain("no name")
	}
	if p.Handle == nil {
		complain("no handler")
	}
	if len(g.Inputs) == 0 {
		complain("no inputs")
	}
	if want := g.Name + "-table"; g.Table.Name != want {
		complain("the table is called %q, it must be %q", g.Table.Name, want)
	}
	for _, t := range append(append([]topology.Topic{g.Table}, g.Inputs...), g.Outputs...) {
		if t.New == nil && t.Name != DeadLetterTopic.Name && t.Name != RetryTopic.Name {
			complain("topic %q has no message type", t.Name)
		}
	}
	if (p.Deadline == nil) != (p.Timer == nil) {
		complain("Deadline and Timer go together")
	}
	if p.Deadline != nil && !hasTopic(g.Inputs, g.Timers.Name) {
		complain("the timer topic %q is not among the inputs", g.Timers.Name)
	}
	return errors.Join(errs...)
}

func hasTopic(topics []topology.Topic, name string) bool {
	for _, t := range topics {
		if t.Name == name {
			return true
		}
	}
	return false
}
