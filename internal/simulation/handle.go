package simulation

import (
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/stream/core"
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
)

// attemptsMax is how often a record may fail before it goes to the dead letters.
const attemptsMax = 5

// handled is one record that a process has worked on, with all that came of it.
type handled struct {
	p      *process
	log    *partitionLog
	record *record
	// message is what the handler was given, basis the table record that its state
	// came from (-1: there was none).
	message transition.Message
	basis   int64
	// verdict is 0 for a dead letter, whose class is then set, and for a record that
	// was put off; copied says that it went to the retries.
	verdict transition.Verdict
	dead    string
	reason  string
	retried bool
	copied  bool
	// wrote is the new state; nil when it stays as it is.
	wrote proto.Message
	value value
}

var errPassing = errors.New("a fault that passes")

// handleOne hands the next record of one of the batch's partitions to the
// handler.
func (p *process) handleOne() {
	i := p.w.choices.pick(len(p.batch))
	for len(p.batch[i]) == 0 {
		i = (i + 1) % len(p.batch)
	}
	l, r := p.logs[i], p.batch[i][0]
	p.batch[i] = p.batch[i][1:]
	p.handle(l, r)
	if p.phase != handling {
		return
	}
	for _, queue := range p.batch {
		if len(queue) > 0 {
			return
		}
	}
	p.phase = offering
}

func (p *process) handle(l *partitionLog, r *record) {
	p.w.stats.records++
	h := &handled{p: p, log: l, record: r, basis: -1}
	h.message = transition.Message{Topic: l.topic.def.Name, Partition: l.number, Offset: r.offset, Key: r.key, Time: millis(r.at)}
	var bad *core.Undecodable
	h.message.Value, bad = core.Decode(l.topic.def.New, r.value)
	if p.w.fault(storageFails) {
		p.w.tell(p.name, "cannot read the state for %s; its session ends", describe(l, r))
		p.endSession()
		return
	}
	result, err := p.decide(h, bad)
	// The last attempt never fails: then a person would have to redrive the record.
	if err == nil && r.attempts() < attemptsMax-1 && p.w.fault(passingError) {
		err = errPassing
	}
	if err != nil {
		p.failedRecord(h, err)
		return
	}
	h.verdict, h.reason = result.Effect.Verdict, result.Effect.Reason
	p.w.tellHandled(h, &result.Effect)
	if err := p.write(h, &result); err != nil {
		p.spent("its producer is fenced")
		return
	}
	p.handled = append(p.handled, h)
}

// decide reads the state, of the open transaction if it is there, and calls the
// handler.
func (p *process) decide(h *handled, bad *core.Undecodable) (core.Result, error) {
	v, known := p.overlay[h.log.number][h.record.key]
	if !known || p.w.broken.readsDiskOnly {
		v, known = p.tables.get(h.log.number, h.record.key)
	}
	var state any
	if known && bad == nil {
		h.basis = v.offset
		m, damaged := core.Decode(p.def.Group.Table.New, v.bytes)
		if state = m; damaged != nil {
			state = damaged
		}
	}
	return p.decider.Decide(state, &h.message, bad)
}

// failedRecord judges a record that could not be handled: it is dead, or it is put
// off (rule 8).
func (p *process) failedRecord(h *handled, err error) {
	class, reason, detail := core.Judge(err)
	switch {
	case class == core.ClassError && !errors.Is(err, errPassing):
		p.w.failByError(p, err)
		return
	case class == core.ClassError && p.w.broken.marksFailures:
		h.verdict = transition.Replayed // rule 9 broken: it counts as done
		p.handled = append(p.handled, h)
		return
	case class == core.ClassError && !p.w.broken.buriesAtOnce:
		p.putOff(h)
		return
	case class == core.ClassUndecodable && p.w.broken.stopsAtUndecodable:
		p.endSession()
		return
	case class == core.ClassUndecodable && p.w.broken.skipsUndecodable:
		return // it is in no count
	}
	h.dead, h.reason = class, reason
	p.w.tell(p.name, "buries %s: %s (%s)", describe(h.log, h.record), reason, detail)
	p.w.count(deadLetter)
	letter := &record{key: h.record.key, value: h.record.value, at: p.clock()}
	if err := p.produce(p.w.broker.partitionOf(topology.DeadLetters.Name, h.record.key), letter); err != nil {
		p.spent("its producer is fenced")
		return
	}
	p.handled = append(p.handled, h)
}

// write puts the table record and the outputs into the transaction.
func (p *process) write(h *handled, result *core.Result) error {
	part := h.log.number
	if result.State != nil {
		table := &record{key: h.record.key, value: result.State, at: p.clock()}
		if err := p.produce(p.tableLog(part), table); err != nil {
			return err
		}
		h.wrote, h.value = result.Effect.State, value{result.State, table.offset}
		if p.overlay[part] == nil {
			p.overlay[part] = map[string]value{}
		}
		p.overlay[part][h.record.key] = h.value
		p.ends[part] = table.offset
	}
	for i, o := range result.Effect.Outputs {
		l := p.w.broker.partitionOf(o.Topic, o.Key)
		if p.w.broken.wrongHash {
			l = p.w.broker.topics[o.Topic].partitions[int(o.Key[len(o.Key)-1])%partitions]
		}
		r := &record{key: o.Key, value: result.Outputs[i], at: p.clock()}
		if p.w.broken.plainOutputs {
			l.append(r)
			p.w.books.published([]event{{o.Topic, o.Key, o.Value}})
			continue
		}
		if err := p.produce(l, r); err != nil {
			return err
		}
		if isSnapshot(o.Topic) && r.tx != nil {
			p.producer.tx.events = append(p.producer.tx.events, event{o.Topic, o.Key, o.Value})
		}
	}
	return nil
}

// produce sends one record. One that the broker refuses for another reason than a
// fence stops the transaction later, when it is flushed.
func (p *process) produce(l *partitionLog, r *record) error {
	if p.w.fault(refusedRecord) {
		p.w.tell(p.name, "has a record refused by the broker")
		p.refused = true
		r.offset = l.end
		return nil
	}
	return p.w.broker.produce(p.producer, p.epoch, l, r)
}
