package catalog

import (
	"github.com/google/uuid"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Apply runs one message against its event; e is nil when the event is unknown,
// and may be changed in place. Its errors are *transition.Poison, for messages
// that no correct peer sends.
func Apply(e *pb.Event, m *transition.Message) (transition.Effect, error) {
	d := &desk{e: e, m: m, now: m.Time.UnixMilli()}
	switch value := m.Value.(type) {
	case *pb.CatalogCommand:
		if err := addressed(m, value.EventId); err != nil {
			return transition.Effect{}, err
		}
		return d.onCommand(value)
	case *pb.BlockEvent:
		if err := addressed(m, value.EventId); err != nil {
			return transition.Effect{}, err
		}
		return d.onBlock(value)
	}
	return transition.Effect{}, transition.Poisoned("unexpected_message", "%T on %s", m.Value, m.Topic)
}

// addressed checks that the payload's id is the record's key.
func addressed(m *transition.Message, id []byte) error {
	event := topology.UUID(id)
	if event == (uuid.UUID{}) {
		return transition.Poisoned("invalid_id", "event id of %d bytes", len(id))
	}
	if event.String() != m.Key {
		return transition.Poisoned("wrong_key", "a record about event %s has the key %q", event, m.Key)
	}
	return nil
}

// desk is one run of Apply: the state, the message, and what comes of it.
type desk struct {
	e *pb.Event
	m *transition.Message
	// now is the time of the record, in Unix milliseconds.
	now int64
	// rises: something visible changed, so the version rises and a snapshot is
	// published.
	rises bool
	// writes: the state must be stored, visibly changed or not.
	writes  bool
	outputs []transition.Output
}

// known reports whether the event was created. A refused command for an unknown
// id leaves a value that only carries its result.
func (d *desk) known() bool {
	switch d.e.GetStatus() {
	case pb.EventStatus_EVENT_STATUS_UNSPECIFIED, pb.EventStatus_EVENT_STATUS_UNKNOWN:
		return false
	}
	return true
}

func (d *desk) finish(verdict transition.Verdict, reason string) (transition.Effect, error) {
	effect := transition.Effect{Verdict: verdict, Reason: reason}
	if d.rises {
		d.e.Version++
		d.e.ChangedAtUnixMs = d.now
		d.outputs = append(d.outputs,
			transition.Output{Topic: topology.CatalogEvents.Name, Key: d.m.Key, Value: d.e})
	}
	if d.rises || d.writes {
		effect.State = d.e
	}
	effect.Outputs = d.outputs
	return effect, nil
}

// record leaves the command's position and result. The first result of a position
// stands. It is no part of the version.
func (d *desk) record(verdict pb.CommandVerdict, reason string, conflicting []byte) {
	last := d.e.LastCommand
	if last != nil && last.Partition == d.m.Partition && last.Offset == d.m.Offset {
		return
	}
	d.writes = true
	d.e.LastCommand = &pb.CommandResult{
		Partition: d.m.Partition, Offset: d.m.Offset,
		Verdict: verdict, Reason: reason, ConflictingDigest: conflicting,
	}
}

func (d *desk) applied() (transition.Effect, error) {
	d.record(pb.CommandVerdict_COMMAND_VERDICT_APPLIED, "", nil)
	return d.finish(transition.Applied, "")
}

// duplicate answers a command that was known already: what the blocks have not
// answered is asked once more.
func (d *desk) duplicate() (transition.Effect, error) {
	d.record(pb.CommandVerdict_COMMAND_VERDICT_DUPLICATE, "", nil)
	d.outputs = Outstanding(d.e)
	return d.finish(transition.Replayed, "")
}

func (d *desk) refuse(reason string) (transition.Effect, error) {
	d.record(pb.CommandVerdict_COMMAND_VERDICT_REJECTED, reason, nil)
	return d.finish(transition.Rejected, reason)
}
