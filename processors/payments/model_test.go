package payments

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

const (
	providerKeyLifetime = 24 * time.Hour
	// No request travels longer than this.
	travelMax = 5 * time.Minute
)

// provider is a payment provider in memory: it decides once per key, for as long
// as it keeps the key, and may do so long after its caller has given up.
type provider struct {
	now        *time.Time
	keys       map[string]decision
	travelling []travel
	captures   int
	captured   int64
	refunded   int64
}

type decision struct {
	result *pb.GatewayResult
	at     time.Time
}

type travel struct {
	request *pb.GatewayRequest
	decline bool
	arrives time.Time
}

// apply decides a request at a time, or repeats what its key decided.
func (p *provider) apply(r *pb.GatewayRequest, decline bool, at time.Time) *pb.GatewayResult {
	if d, ok := p.keys[string(r.IdempotencyKey)]; ok && at.Sub(d.at) < providerKeyLifetime {
		return d.result
	}
	s := &story{now: at}
	var result *pb.GatewayResult
	switch {
	case r.Operation == opRefund:
		result = s.answer(r, refunded)
		p.refunded += r.AmountMinor
	case decline:
		result = s.answer(r, declined)
	default:
		result = s.answer(r, captured)
		p.captures++
		p.captured += r.AmountMinor
	}
	p.keys[string(r.IdempotencyKey)] = decision{result, at}
	return result
}

// arrive lets everything arrive whose time has come, at its time.
func (p *provider) arrive() {
	slices.SortStableFunc(p.travelling, func(a, b travel) int { return a.arrives.Compare(b.arrives) })
	rest := p.travelling[:0]
	for _, t := range p.travelling {
		if t.arrives.After(*p.now) {
			rest = append(rest, t)
			continue
		}
		p.apply(t.request, t.decline, t.arrives)
	}
	p.travelling = rest
}

// world is one payment with its gateway and provider.
type world struct {
	*story
	provider provider
	// sent counts the requests that the gateway has taken from its topic.
	sent    int
	answers []*pb.GatewayResult
	// history are the messages so far: anything may come again.
	history  []proto.Message
	asked    int64 // refunds that were accepted
	declined bool  // this card is declined
}

func newWorld(rt *rapid.T) *world {
	w := &world{story: newStory(rt), declined: rapid.Float64Range(0, 1).Draw(rt, "decline") < 0.2}
	w.provider = provider{now: &w.now, keys: map[string]decision{}}
	return w
}

// give applies a message; what no correct peer sends cannot occur here.
func (w *world) give(m proto.Message) {
	w.t.Helper()
	known := len(w.refunds())
	w.apply(m)
	w.history = append(w.history, m)
	if list := w.refunds(); len(list) > known && !w.state.Unwanted {
		w.asked += list[len(list)-1].AmountMinor
	}
}

func (w *world) refunds() []*pb.Refund { return w.state.GetRefunds() }

// gateway makes the next call, or a repeated one after a crash.
func (w *world) gateway(r *pb.GatewayRequest, fate string, travels time.Duration) {
	w.provider.arrive()
	unknownAnswer := w.answer(r, unknown)
	if r.Operation == opQuery {
		d, ok := w.provider.keys[string(r.IdempotencyKey)]
		if !ok || fate == "lost" || fate == "away" {
			w.answers = append(w.answers, unknownAnswer) // not found, or no answer
			return
		}
		w.answers = append(w.answers, w.stamped(d.result, r))
		return
	}
	if !w.now.Before(time.UnixMilli(r.KeyExpiresUnixMs)) {
		w.answers = append(w.answers, unknownAnswer)
		return
	}
	switch fate {
	case "answered":
		w.answers = append(w.answers, w.stamped(w.provider.apply(r, w.declined, w.now), r))
	case "lost":
		w.provider.apply(r, w.declined, w.now)
		w.answers = append(w.answers, unknownAnswer)
	case "travelling":
		w.provider.travelling = append(w.provider.travelling, travel{r, w.declined, w.now.Add(travels)})
		w.answers = append(w.answers, unknownAnswer)
	case "away":
		w.answers = append(w.answers, unknownAnswer)
	}
}

// stamped is a decision as the answer to this request.
func (w *world) stamped(d *pb.GatewayResult, r *pb.GatewayRequest) *pb.GatewayResult {
	result := proto.CloneOf(d)
	result.Operation, result.Attempt = r.Operation, r.Attempt
	return result
}

// settle lets everything come to rest with an honest provider.
func (w *world) settle() {
	w.t.Helper()
	for range 10_000 {
		for w.sent < len(w.requests) {
			w.sent++
			w.gateway(w.requests[w.sent-1], "answered", 0)
		}
		for _, a := range w.answers {
			w.give(a)
		}
		w.answers = nil
		switch {
		case w.sent < len(w.requests):
		case w.state != nil && w.state.DeadlineUnixMs != 0:
			w.sleep()
		case len(w.provider.travelling) > 0:
			w.now = w.now.Add(travelMax)
			w.provider.arrive()
		default:
			return
		}
	}
	w.t.Fatalf("never at rest: %v", w.state)
}

// atRest checks I3 and I4 against the provider's own books.
func (w *world) atRest() {
	w.t.Helper()
	p := w.state
	if w.provider.captures > 1 {
		w.t.Fatalf("I3: %d captures of one payment", w.provider.captures)
	}
	if p == nil || p.Status == parked {
		// Parked: the provider kept silent until the key had expired, and its
		// books are for a person to compare.
		return
	}
	kept := p.CapturedMinor - p.RefundedMinor
	if held := w.provider.captured - w.provider.refunded; kept != held && !w.hasParkedRefund() {
		w.t.Fatalf("I4: the books keep %d, the provider %d", kept, held)
	}
	wanted := p.CapturedMinor - w.asked
	if p.Unwanted {
		wanted = 0
	}
	if p.CapturedMinor > 0 && kept != wanted && !w.hasParkedRefund() {
		w.t.Fatalf("I3: %d are kept, %d are wanted: %v", kept, wanted, p)
	}
	if p.CapturedMinor == 0 && p.Status != refused && p.Status != cancelled {
		w.t.Fatalf("at rest with %v", p)
	}
}

func (w *world) hasParkedRefund() bool {
	for _, r := range w.refunds() {
		if r.Status == pb.RefundStatus_REFUND_STATUS_PARKED {
			return true
		}
	}
	return false
}

// Whatever the saga asks in whatever order, however often messages repeat, and
// whatever the provider does late, denies or never answers: the books agree with
// the provider's, money that nobody wants goes back, and nothing is captured
// twice (I3, I4).
func TestModelledProvider(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt)
		rt.Repeat(map[string]func(*rapid.T){
			"charge": func(*rapid.T) { w.give(charge()) },
			"cancel": func(rt *rapid.T) {
				if rapid.Float64Range(0, 1).Draw(rt, "do") < 0.3 {
					w.give(cancel())
				}
			},
			"refund": func(rt *rapid.T) {
				if w.state != nil {
					index := rapid.Uint32Range(0, 5).Draw(rt, "line")
					w.give(refund(index, 1_500+500*int64(index)))
				}
			},
			"a person retries": func(rt *rapid.T) {
				if w.state == nil {
					return
				}
				w.give(retryCharge(w.state.Attempts))
				for i := range uint32(6) {
					if id := refundID(i); findRefund(w.state, id[:]) != nil {
						w.give(retryRefund(i, findRefund(w.state, id[:]).Attempts))
					}
				}
			},
			"a person says what the books say": func(*rapid.T) { w.resolve() },
			"gateway": func(rt *rapid.T) {
				if w.sent == len(w.requests) {
					return
				}
				w.sent++
				w.drawCall(rt, w.requests[w.sent-1])
			},
			"gateway crashes and repeats": func(rt *rapid.T) {
				if w.sent > 0 {
					w.drawCall(rt, w.requests[rapid.IntRange(0, w.sent-1).Draw(rt, "which")])
				}
			},
			"answer": func(rt *rapid.T) {
				if len(w.answers) > 0 {
					i := rapid.IntRange(0, len(w.answers)-1).Draw(rt, "which")
					a := w.answers[i]
					w.answers = append(w.answers[:i:i], w.answers[i+1:]...)
					w.give(a)
				}
			},
			"something comes again": func(rt *rapid.T) {
				if len(w.history) > 0 {
					w.give(w.history[rapid.IntRange(0, len(w.history)-1).Draw(rt, "which")])
				}
			},
			"time": func(rt *rapid.T) {
				w.pass(rapid.SampledFrom([]time.Duration{time.Second, 30 * time.Second, 10 * time.Minute, 6 * time.Hour, 24 * time.Hour}).Draw(rt, "passes"))
			},
		})
		w.settle()
		w.atRest()
	})
}

// resolve is a person who has read the provider's books, when nothing travels any
// more, about everything that is parked.
func (w *world) resolve() {
	if w.state == nil || len(w.provider.travelling) > 0 || w.sent < len(w.requests) {
		return
	}
	if w.state.Status == parked {
		d, ok := w.provider.keys[string(w.state.PaymentId)]
		if !ok {
			d.result = &pb.GatewayResult{
				PaymentId: payment[:], IdempotencyKey: payment[:], Operation: opQuery, Outcome: declined, Attempt: w.state.Attempts,
			}
		}
		w.give(d.result)
		if w.state.Status == parked {
			w.t.Fatalf("a person said %v, and it is still parked: %v", d.result, w.state)
		}
	}
	for i := range uint32(6) {
		id := refundID(i)
		r := findRefund(w.state, id[:])
		if r == nil || r.Status != pb.RefundStatus_REFUND_STATUS_PARKED {
			continue
		}
		if d, ok := w.provider.keys[string(id[:])]; ok {
			w.give(d.result)
		} else {
			w.give(w.notRefunded(i))
		}
	}
}

func (w *world) drawCall(rt *rapid.T, r *pb.GatewayRequest) {
	fate := rapid.SampledFrom([]string{"answered", "lost", "travelling", "away"}).Draw(rt, "fate")
	travels := time.Duration(rapid.Int64Range(0, int64(travelMax)).Draw(rt, "travels"))
	w.gateway(r, fate, travels)
}

// pass lets time pass; the timer comes when it is due.
func (w *world) pass(d time.Duration) {
	w.now = w.now.Add(d)
	w.provider.arrive()
	if w.state.GetDeadlineUnixMs() != 0 {
		w.give(&pb.Timer{NowUnixMs: w.now.UnixMilli()})
	}
}

// The model itself can tell: were a charge repeated after the provider has
// forgotten its key, it would count two captures (the negative control of I3).
func TestModelSeesASecondCapture(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.cfg.KeyLifetime = 72 * time.Hour // longer than the provider's
	p := provider{now: &s.now, keys: map[string]decision{}}
	s.apply(charge())
	p.apply(s.last(), false, s.now)
	s.reply(unknown)
	s.now = s.now.Add(25 * time.Hour)
	s.sleep()
	p.apply(s.last(), false, s.now)
	if p.captures != 2 || topology.KeyOf(s.last().IdempotencyKey) != payment.String() {
		t.Fatalf("%d captures: the model does not see a forgotten key", p.captures)
	}
}
