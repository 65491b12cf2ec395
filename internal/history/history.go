package history

import (
	"context"
	"math/rand/v2"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Taker takes records one after the other, as the loader's Bulk does.
type Taker interface {
	Take(ctx context.Context, r *kgo.Record) error
}

// Progress is how far the writing has come.
type Progress struct {
	Events, Registrations, Records int
}

// History is a past that is made up while it is written.
type History struct {
	cfg Config
}

// New checks the configuration.
func New(cfg Config) (*History, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &History{cfg: cfg.withDefaults()}, nil
}

// Events is how many events the past has.
func (h *History) Events() int { return h.cfg.Events }

// The streams of random numbers of an event: what one draws does not move another.
const (
	streamShare = iota
	streamPlan
	streamOrders
)

func (h *History) random(event, stream int) *rand.Rand {
	return rand.New(rand.NewPCG(h.cfg.Seed, uint64(event)<<8|uint64(stream)))
}

// Write hands the whole past over, event by event; shown is told after each event.
func (h *History) Write(ctx context.Context, to Taker, shown func(Progress)) (Progress, error) {
	var p Progress
	w := &writer{to: to, offsets: map[string]int64{}}
	for i, orders := range h.share() {
		e := h.plan(i, orders)
		if err := h.writeEvent(ctx, w, e, i); err != nil {
			return p, err
		}
		p.Events++
		p.Registrations += e.orders
		p.Records = w.records
		shown(p)
	}
	return p, nil
}

func (h *History) writeEvent(ctx context.Context, w *writer, e *event, i int) error {
	r := h.random(i, streamOrders)
	for n, at := range h.arrivals(e, r) {
		o := h.order(e, r, i, n, at)
		if err := w.order(ctx, o); err != nil {
			return err
		}
	}
	return w.event(ctx, e)
}
