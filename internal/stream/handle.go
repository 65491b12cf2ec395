package stream

import (
	"errors"
	"fmt"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/stream/core"
)

// graph is the group as Goka sees it.
func (r *Runner) graph() *goka.GroupGraph {
	g := r.proc.Group
	edges := []goka.Edge{
		goka.Persist(tableCodec{g.Table.New}),
		goka.Output(goka.Stream(RetryTopic.Name), outputCodec{}), goka.Output(goka.Stream(DeadLetterTopic.Name), outputCodec{}),
	}
	for _, t := range g.Inputs {
		edges = append(edges, goka.Input(goka.Stream(t.Name), inputCodec{t.New}, r.handle))
	}
	for _, t := range g.Outputs {
		if t.Name != DeadLetterTopic.Name && t.Name != RetryTopic.Name {
			edges = append(edges, goka.Output(goka.Stream(t.Name), outputCodec{}))
		}
	}
	return goka.DefineGroup(goka.Group(g.Name), edges...)
}

// handle is Goka's callback: it ends every record in exactly one verdict, puts it
// off, or writes it to the dead letters (I7), or ends the session.
func (r *Runner) handle(ctx goka.Context, value any) {
	in, ok := value.(*payload)
	if !ok { // a record without a value is not decoded
		in = &payload{bad: &Undecodable{Err: core.ErrNoValue}}
	}
	m := &in.message
	m.Topic, m.Partition, m.Offset = string(ctx.Topic()), ctx.Partition(), ctx.Offset()
	m.Key, m.Time = ctx.Key(), ctx.Timestamp()

	out, err := r.decide(ctx, in)
	if err == nil {
		r.apply(ctx, out)
		return
	}
	f := &failure{at: Position{m.Topic, m.Partition, m.Offset}, raw: in.raw}
	if local := (unreadable{}); errors.As(err, &local) {
		abort(ctx, f.at, err)
		return
	}
	for k, v := range ctx.Headers() {
		f.carried = append(f.carried, kgo.RecordHeader{Key: k, Value: v})
	}
	f.letter = newLetter(f.at, f.carried, r.cfg.Clock(), err)
	if !f.before {
		if err := r.budget.spend(); err != nil {
			r.session().cancel(fatal{err})
			abort(ctx, f.at, err)
			return
		}
	}
	if f.class == ClassError && f.attempt < r.cfg.AttemptsMax {
		r.putOff(ctx, f)
		return
	}
	r.bury(ctx, f)
}

// abort ends the session: nothing of its transaction is committed. Rule 9: while
// Goka shuts down, Fail returns. Then the deferred commit, which has failed, keeps
// the record from being marked.
func abort(ctx goka.Context, at Position, err error) {
	ctx.DeferCommit()(err)
	ctx.Fail(fmt.Errorf("%v: %w", at, err))
}

// failure is a record that could not be handled.
type failure struct {
	letter
	at      Position // where it failed
	raw     []byte
	carried []kgo.RecordHeader
}

// decide calls the handler.
func (r *Runner) decide(ctx goka.Context, in *payload) (core.Result, error) {
	var state any
	if in.bad == nil {
		var err error
		if state, err = readState(ctx, in.message.Key); err != nil {
			return core.Result{}, err
		}
	}
	return r.decider.Decide(state, &in.message, in.bad)
}

// unreadable is a state that the local storage does not give. That is no fault of
// the record, which must neither be put off nor buried for it.
type unreadable struct{ error }

// readState reads the key's state: nil when the key is unknown, *core.Undecodable
// when it is damaged. When the storage fails, Goka panics.
func readState(ctx goka.Context, key string) (state any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = unreadable{fmt.Errorf("reading the state of key %q: %v", key, p)}
		}
	}()
	return ctx.Value(), nil
}

// apply writes the state and the outputs into the transaction. The input's
// headers are passed on to the outputs.
func (r *Runner) apply(ctx goka.Context, out core.Result) {
	if out.Effect.State != nil {
		ctx.SetValue(out.State)
	}
	if len(out.Outputs) > 0 {
		options := passOn(ctx.Headers())
		for i, o := range out.Effect.Outputs {
			ctx.Emit(goka.Stream(o.Topic), o.Key, out.Outputs[i], options...)
		}
	}
	r.session().tally.verdict(out.Effect.Verdict, out.Effect.Reason)
}

// passOn makes an emit option of the headers that travel with a message.
func passOn(headers goka.Headers) []goka.ContextOption {
	for key := range headers {
		if isOwnHeader(key) {
			delete(headers, key)
		}
	}
	if len(headers) == 0 {
		return nil
	}
	return []goka.ContextOption{goka.WithCtxEmitHeaders(headers)}
}

// putOff writes the record to the retries, in the transaction, so that its
// partition goes on. A timer needs no retry: it is sent again, with backoff, for
// as long as its deadline stands (timers.go).
func (r *Runner) putOff(ctx goka.Context, f *failure) {
	pause := r.retries.Pause(f.attempt, DeadLetterID(f.original))
	if f.at.Topic != r.proc.Group.Timers.Name {
		r.copy(ctx, RetryTopic.Name, f, f.putOff(r.proc.Group.Name, f.carried, r.cfg.Clock().Add(pause)))
	}
	r.session().tally.retried.Add(1)
	r.cfg.Logger.Warn("record is tried again later", "group", r.proc.Group.Name, "record", f.at.String(), "original", f.original.String(),
		"attempt", f.attempt, "pause", pause, "cause", f.detail)
}

// bury writes a dead letter into the transaction.
func (r *Runner) bury(ctx goka.Context, f *failure) {
	r.copy(ctx, DeadLetterTopic.Name, f, f.dead(r.proc.Group.Name, f.carried))
	r.session().tally.dead(f.letter)
	r.cfg.Logger.Warn("dead letter", "group", r.proc.Group.Name, "record", f.at.String(), "id", DeadLetterID(f.original),
		"class", f.class, "reason", f.reason, "detail", f.detail)
}

// copy writes a record as it came, under other headers.
func (r *Runner) copy(ctx goka.Context, topic string, f *failure, list []kgo.RecordHeader) {
	headers := goka.Headers{}
	for _, h := range list {
		headers[h.Key] = h.Value
	}
	ctx.Emit(goka.Stream(topic), ctx.Key(), rawValue(f.raw), goka.WithCtxEmitHeaders(headers))
}

// rawValue keeps a missing value missing: Goka encodes every value but nil.
func rawValue(raw []byte) any {
	if raw == nil {
		return nil
	}
	return raw
}
