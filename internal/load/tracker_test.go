package load

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// books is a tracker and what it asked for.
type books struct {
	*tracker
	freed     int
	cancelled map[int]uuid.UUID
}

func newBooks(p *Plan, start time.Time, warmup time.Duration) *books {
	b := &books{tracker: newTracker(p, start, warmup), cancelled: map[int]uuid.UUID{}}
	b.decided = func() { b.freed++ }
	b.cancel = func(id uuid.UUID, n int) { b.cancelled[n] = id }
	return b
}

func idOf(n int) uuid.UUID { return uuid.NewSHA1(uuid.Nil, []byte{byte(n), byte(n >> 8)}) }

const (
	undecided     = pb.Outcome_OUTCOME_UNSPECIFIED
	isConfirmed   = pb.Outcome_OUTCOME_CONFIRMED
	isSoldOut     = pb.Outcome_OUTCOME_SOLD_OUT
	isCancelled   = pb.Outcome_OUTCOME_CANCELLED
	paymentFailed = pb.Outcome_OUTCOME_PAYMENT_FAILED
)

// The event overtakes the 202 answer, wholly or in part: latency and counts are
// the same whatever came first.
func TestAcceptanceAndEventsInAnyOrder(t *testing.T) {
	t.Parallel()
	start := time.Unix(1000, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	for acceptedAfter := range 4 {
		b := newBooks(plan(t, 100, func(c *Config) { c.CancelShare = -1 }), start, 0)
		steps := []func(){
			func() { b.observe(idOf(3), undecided, false, at(20)) },
			func() { b.observe(idOf(3), isConfirmed, false, at(50)) },
			func() { b.observe(idOf(3), isConfirmed, true, at(70)) },
		}
		for i, step := range steps {
			if i == acceptedAfter {
				b.accept(3, idOf(3), at(10), at(30))
			}
			step()
		}
		if acceptedAfter == len(steps) {
			b.accept(3, idOf(3), at(10), at(90))
		}
		l := latencyOf(b.latencies.all)
		if b.byOutcome[isConfirmed].Load() != 1 || b.freed != 1 || b.open.Load() != 0 || l.Count != 1 || l.Max.Round(time.Millisecond) != 40*time.Millisecond {
			t.Errorf("accepted after %d events: confirmed %d, freed %d, open %d, latency %v",
				acceptedAfter, b.byOutcome[isConfirmed].Load(), b.freed, b.open.Load(), l)
		}
	}
}

// A confirmed registration that is to be cancelled keeps the run open until it
// is cancelled and settled; a refused cancellation lets go.
func TestCancellationKeepsTheRunOpen(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	p := plan(t, 100, func(c *Config) { c.CancelShare = 1 })
	b := newBooks(p, now, 0)
	for n := range 2 {
		b.accept(n, idOf(n), now, now)
		b.observe(idOf(n), isConfirmed, false, now)
		if len(b.cancelled) != n {
			t.Fatalf("asked to cancel before it was settled: %v", b.cancelled)
		}
		b.observe(idOf(n), isConfirmed, true, now)
		if b.cancelled[n] != idOf(n) || b.open.Load() != 1 {
			t.Fatalf("request %d: asked %v, open %d", n, b.cancelled, b.open.Load())
		}
		if n == 0 {
			b.observe(idOf(n), isCancelled, false, now)
			if b.open.Load() != 1 {
				t.Fatal("closed before the cancellation was settled")
			}
			b.observe(idOf(n), isCancelled, true, now)
		} else {
			b.cancelRefused(idOf(n), now)
		}
		if b.open.Load() != 0 {
			t.Fatalf("request %d: open %d", n, b.open.Load())
		}
	}
	if c := b.tracker.cancelled.Load(); c != 1 || b.byOutcome[isConfirmed].Load() != 2 || b.freed != 2 {
		t.Errorf("cancelled %d, confirmed %d, freed %d", c, b.byOutcome[isConfirmed].Load(), b.freed)
	}
}

// Hundreds of registrations come in any interleaving, with repeated versions and
// repeated answers: the sums are those of a simple model.
func TestSumsMatchAModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		start := time.Unix(1000, 0)
		p := plan(t, 200, func(c *Config) { c.CancelShare = -1 })
		b := newBooks(p, start, 0)
		want, tickets := map[pb.Outcome]int64{}, int64(0)
		var queues [][]func()
		for n := range p.Requests {
			id, request := idOf(n), p.Request(n)
			outcome := []pb.Outcome{isConfirmed, isSoldOut, paymentFailed, pb.Outcome_OUTCOME_EXPIRED, pb.Outcome_OUTCOME_REJECTED}[random.IntN(5)]
			want[outcome]++
			if outcome == isConfirmed {
				tickets += int64(request.Quantity)
			}
			events := []func(){
				func() { b.observe(id, undecided, false, start) },
				func() { b.observe(id, outcome, false, start) },
				func() { b.observe(id, outcome, true, start) },
				func() { b.observe(id, outcome, true, start) },
			}
			accept := func() { b.accept(n, id, start, start) }
			queues = append(queues, events, []func(){accept, accept})
		}
		for len(queues) > 0 {
			i := random.IntN(len(queues))
			queues[i][0]()
			if queues[i] = queues[i][1:]; len(queues[i]) == 0 {
				queues[i] = queues[len(queues)-1]
				queues = queues[:len(queues)-1]
			}
		}
		for o, n := range want {
			if got := b.byOutcome[o].Load(); got != n {
				t.Errorf("seed %d: %v %d, want %d", seed, o, got, n)
			}
		}
		if b.open.Load() != 0 || b.accepted.Load() != int64(p.Requests) || b.decisions.Load() != int64(p.Requests) ||
			b.freed != p.Requests || b.tickets.Load() != tickets || b.stray() != 0 {
			t.Errorf("seed %d: open %d, accepted %d, decided %d, freed %d, tickets %d (%d), stray %d", seed,
				b.open.Load(), b.accepted.Load(), b.decisions.Load(), b.freed, b.tickets.Load(), tickets, b.stray())
		}
	}
}

// The warm-up counts from when a request was due, and is left out only when
// something came after it.
func TestWarmupIsLeftOut(t *testing.T) {
	t.Parallel()
	start := time.Unix(1000, 0)
	b := newBooks(plan(t, 100, func(c *Config) { c.CancelShare = -1 }), start, 10*time.Second)
	sell := func(n int, due, took time.Duration) {
		b.accept(n, idOf(n), start.Add(due), start.Add(due))
		b.observe(idOf(n), isConfirmed, true, start.Add(due+took))
	}
	sell(0, 9*time.Second, 3*time.Second)
	if h, warm := b.latencies.histogram(); warm || h.TotalCount() != 1 {
		t.Errorf("only the warm-up: %v, %d", warm, h.TotalCount())
	}
	sell(1, 10*time.Second, time.Second)
	h, warm := b.latencies.histogram()
	if l := latencyOf(h); !warm || l.Count != 1 || l.Max.Round(10*time.Millisecond) != time.Second {
		t.Errorf("after the warm-up: %v, %v", warm, l)
	}
}

// A registration is seen whose answer was lost for good: it is not counted as
// accepted, and it is reported.
func TestStray(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	b := newBooks(plan(t, 100), now, 0)
	b.observe(idOf(1), isConfirmed, true, now)
	if b.stray() != 1 || b.open.Load() != 0 || b.decisions.Load() != 0 || b.freed != 0 {
		t.Errorf("stray %d, open %d, decided %d", b.stray(), b.open.Load(), b.decisions.Load())
	}
}

// The four fields that are read of a record are those that Protobuf would read,
// and garbage is an error, not a registration.
func TestReadVersion(t *testing.T) {
	t.Parallel()
	id, event := idOf(1), idOf(2)
	value, err := proto.Marshal(&pb.Registration{
		DeadlineUnixMs: 5, RegistrationId: id[:], Organiser: "acme", EventId: event[:], AttendeeId: id[:],
		Lines: []*pb.Line{{Line: 1}}, Outcome: isSoldOut, Settled: true, Version: 9, BodyDigest: make([]byte, 32),
	})
	if err != nil {
		t.Fatal(err)
	}
	v, err := readVersion(value)
	if err != nil || v != (version{id, event, isSoldOut, true}) {
		t.Errorf("%v, %v", v, err)
	}
	if _, err := readVersion(value[:len(value)-1]); err == nil {
		t.Error("a cut record was read")
	}
	if _, err := readVersion([]byte("not a record")); err == nil {
		t.Error("garbage was read")
	}
}
