package stream

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/transition"
)

// graph is the group as Goka sees it.
func (r *Runner) graph() *goka.GroupGraph {
	g := r.proc.Group
	edges := []goka.Edge{goka.Persist(tableCodec{g.Table.New}), goka.Output(goka.Stream(DeadLetterTopic.Name), outputCodec{})}
	for _, t := range g.Inputs {
		edges = append(edges, goka.Input(goka.Stream(t.Name), inputCodec{t.New}, r.handle))
	}
	for _, t := range g.Outputs {
		if t.Name != DeadLetterTopic.Name {
			edges = append(edges, goka.Output(goka.Stream(t.Name), outputCodec{}))
		}
	}
	return goka.DefineGroup(goka.Group(g.Name), edges...)
}

// handle is Goka's callback: it ends every record in exactly one verdict, or
// in the dead letters (I7), or ends the session.
func (r *Runner) handle(ctx goka.Context, value any) {
	in, ok := value.(*payload)
	if !ok { // a record without a value is not decoded
		in = &payload{bad: &Undecodable{Err: errNoValue}}
	}
	m := &in.message
	m.Topic, m.Partition, m.Offset = string(ctx.Topic()), ctx.Partition(), ctx.Offset()
	m.Key, m.Time = ctx.Key(), ctx.Timestamp()

	out, err := r.decide(ctx, in)
	if err == nil {
		r.apply(ctx, out)
		return
	}
	at := Position{m.Topic, m.Partition, m.Offset}
	l, dead := r.judge(at, err)
	if !dead {
		// Rule 9: while Goka shuts down, Fail returns. Then the deferred commit,
		// which has failed, keeps the record from being marked.
		ctx.DeferCommit()(err)
		ctx.Fail(fmt.Errorf("%v: %w", at, err))
		return
	}
	r.bury(ctx, at, in.raw, l)
}

// result is an effect, encoded.
type result struct {
	effect  transition.Effect
	state   []byte
	outputs [][]byte
}

// decide calls the handler. It encodes everything before any of it is given to
// Goka, so that a value that cannot be encoded fails like the handler does.
func (r *Runner) decide(ctx goka.Context, in *payload) (out result, err error) {
	if in.bad != nil {
		return out, in.bad
	}
	m := &in.message
	if want := Partition(m.Key, r.partitions); want != m.Partition {
		return out, transition.Poisoned("wrong_partition", "key %q belongs to partition %d of %d: the producer must partition by murmur2", m.Key, want, r.partitions)
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the handler panicked: %v\n%s", p, debug.Stack())
		}
	}()
	var state proto.Message
	switch v := ctx.Value().(type) {
	case proto.Message:
		state = v
	case *Undecodable:
		// Only the cause: it is the state that is damaged, not the record.
		return out, fmt.Errorf("the state of key %q: %w", m.Key, v.Err)
	}
	if out.effect, err = r.proc.Handle(state, m); err != nil {
		return out, err
	}
	return r.encode(out)
}

func (r *Runner) encode(out result) (result, error) {
	e := &out.effect
	if e.Verdict < transition.Applied || e.Verdict > transition.Rejected {
		return out, fmt.Errorf("the handler gave no verdict (%v)", e.Verdict)
	}
	var err error
	if e.State != nil {
		if out.state, err = deterministic.Marshal(e.State); err != nil {
			return out, fmt.Errorf("encoding the state: %w", err)
		}
	}
	if len(e.Outputs) == 0 {
		return out, nil
	}
	out.outputs = make([][]byte, len(e.Outputs))
	for i, o := range e.Outputs {
		if !r.outputs[o.Topic] {
			return out, fmt.Errorf("topic %q is not among the outputs of group %q", o.Topic, r.proc.Group.Name)
		}
		if o.Value == nil {
			return out, fmt.Errorf("an output to %q has no value", o.Topic)
		}
		if o.Value == e.State { // a snapshot event: encoded already
			out.outputs[i] = out.state
			continue
		}
		if out.outputs[i], err = proto.Marshal(o.Value); err != nil {
			return out, fmt.Errorf("encoding an output to %q: %w", o.Topic, err)
		}
	}
	return out, nil
}

// apply writes the state and the outputs into the transaction. The input's
// headers are passed on to the outputs.
func (r *Runner) apply(ctx goka.Context, out result) {
	if out.effect.State != nil {
		ctx.SetValue(out.state)
	}
	if len(out.outputs) > 0 {
		options := passOn(ctx.Headers())
		for i, o := range out.effect.Outputs {
			ctx.Emit(goka.Stream(o.Topic), o.Key, out.outputs[i], options...)
		}
	}
	r.session().tally.verdict(out.effect.Verdict, out.effect.Reason)
}

// passOn makes an emit option of the headers that travel with a message.
func passOn(headers goka.Headers) []goka.ContextOption {
	for key := range headers {
		if isDeadLetterHeader(key) {
			delete(headers, key)
		}
	}
	if len(headers) == 0 {
		return nil
	}
	return []goka.ContextOption{goka.WithCtxEmitHeaders(headers)}
}

// judge says whether a record that could not be handled is dead, and why.
func (r *Runner) judge(at Position, err error) (l letter, dead bool) {
	l = letter{attempt: 1, firstFailed: r.cfg.Clock(), detail: err.Error()}
	if bad := (*Undecodable)(nil); errors.As(err, &bad) {
		l.class, l.reason = ClassUndecodable, ClassUndecodable
		return l, true
	}
	if poison, ok := transition.AsPoison(err); ok {
		l.class, l.reason, l.detail = ClassPoison, poison.Reason, poison.Detail
		return l, true
	}
	last, why := r.failures.note(at, err)
	l.class, l.reason, l.attempt, l.firstFailed = ClassError, "failed_repeatedly", why.count, why.first
	return l, last
}

// bury writes a dead letter into the transaction.
func (r *Runner) bury(ctx goka.Context, at Position, raw []byte, l letter) {
	var carried []kgo.RecordHeader
	for k, v := range ctx.Headers() {
		carried = append(carried, kgo.RecordHeader{Key: k, Value: v})
	}
	headers := goka.Headers{}
	for _, h := range l.headers(r.proc.Group.Name, at, carried) {
		headers[h.Key] = h.Value
	}
	ctx.Emit(goka.Stream(DeadLetterTopic.Name), ctx.Key(), rawValue(raw), goka.WithCtxEmitHeaders(headers))
	r.session().tally.dead(l)
	r.cfg.Logger.Warn("dead letter", "group", r.proc.Group.Name, "record", at.String(), "class", l.class, "reason", l.reason, "detail", l.detail)
}

// rawValue keeps a missing value missing: Goka encodes every value but nil.
func rawValue(raw []byte) any {
	if raw == nil {
		return nil
	}
	return raw
}
