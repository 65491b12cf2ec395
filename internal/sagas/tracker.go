package sagas

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/wire"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Tracker counts the open sagas and the parked money for metrics. It follows
// the views of the two tables and holds what is open only.
type Tracker struct {
	clock  func() time.Time
	limits Limits

	mu            sync.Mutex
	registrations map[string]openRegistration
	payments      map[string]openPayment
	// touched are the keys that changed while the views' first contents are
	// walked; nil later. What the walk has of them is older.
	touched map[string]bool
}

type openRegistration struct {
	step     pb.Step
	deadline int64
	redrives uint32
}

type openPayment struct {
	currency              string
	deadline              int64
	charge, refunds       int64 // parked minor units
	chargeN, parkedRefund int
}

// NewTracker returns a tracker and registers its metrics.
func NewTracker(r prometheus.Registerer) (*Tracker, error) {
	t := &Tracker{
		clock: time.Now, limits: DefaultLimits(),
		registrations: map[string]openRegistration{}, payments: map[string]openPayment{}, touched: map[string]bool{},
	}
	if err := r.Register(t); err != nil {
		return nil, fmt.Errorf("registering the metrics of sagas: %w", err)
	}
	return t, nil
}

// Registration takes an update of the registrations' view.
func (t *Tracker) Registration(u stream.Update) { t.update("r/"+u.Key, u.Value, t.registration) }

// Payment takes an update of the payments' view.
func (t *Tracker) Payment(u stream.Update) { t.update("p/"+u.Key, u.Value, t.payment) }

func (t *Tracker) update(key string, value []byte, take func(key string, value []byte)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.touched != nil {
		t.touched[key] = true
	}
	take(key, value)
}

// Run takes what the two views had before any update, as soon as both are ready,
// and returns when ctx ends; it returns nil then.
func (t *Tracker) Run(ctx context.Context, registrations, payments *stream.View) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := stream.ErrRecovering
		if registrations.Ready() && payments.Ready() {
			err = t.seed(registrations, payments)
		}
		switch {
		case err == nil:
			<-ctx.Done()
			return nil
		case !errors.Is(err, stream.ErrRecovering):
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (t *Tracker) seed(registrations, payments *stream.View) error {
	seed := func(prefix string, take func(string, []byte)) func(string, proto.Message) bool {
		return func(key string, value proto.Message) bool {
			raw, err := proto.Marshal(value)
			if err != nil {
				return true // it was decoded a moment ago
			}
			t.mu.Lock()
			defer t.mu.Unlock()
			if key = prefix + key; !t.touched[key] {
				take(key, raw)
			}
			return true
		}
	}
	if err := registrations.Range(seed("r/", t.registration)); err != nil {
		return err
	}
	if err := payments.Range(seed("p/", t.payment)); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.touched = nil
	return nil
}

// registration reads the few fields that are counted. The caller holds mu.
func (t *Tracker) registration(key string, value []byte) {
	var o openRegistration
	settled := false
	err := wire.Scan(value, func(f wire.Field) {
		switch f.ID {
		case 1:
			o.deadline = int64(f.Number)
		case 10:
			o.step = pb.Step(f.Number)
		case 13:
			settled = f.Number != 0
		case 31:
			o.redrives = uint32(f.Number)
		}
	})
	if err != nil || settled || o.step == pb.Step_STEP_UNSPECIFIED {
		delete(t.registrations, key)
		return
	}
	t.registrations[key] = o
}

// payment is the same for a payment.
func (t *Tracker) payment(key string, value []byte) {
	p := new(pb.Payment)
	if err := proto.Unmarshal(value, p); err != nil || !paymentOpen(p) {
		delete(t.payments, key)
		return
	}
	o := openPayment{currency: p.Currency, deadline: p.DeadlineUnixMs}
	if p.Status == pb.PaymentStatus_PAYMENT_STATUS_PARKED {
		o.charge, o.chargeN = p.AmountMinor, 1
	}
	for _, r := range (&Saga{Payment: p}).parkedRefunds() {
		o.refunds += r.AmountMinor
		o.parkedRefund++
	}
	t.payments[key] = o
}

var (
	openDesc    = prometheus.NewDesc("boxoffice_sagas_open", "Registrations that are not settled, by step.", []string{"step"}, nil)
	stuckDesc   = prometheus.NewDesc("boxoffice_sagas_stuck", "Registrations and payments that do not come on by themselves, by reason: overdue, redriven.", []string{"reason"}, nil)
	parkedDesc  = prometheus.NewDesc("boxoffice_payments_parked", "Charges and refunds that wait for a person.", []string{"what"}, nil)
	parkedMinor = prometheus.NewDesc("boxoffice_payments_parked_minor", "What the parked charges and refunds are about, in minor units.", []string{"what", "currency"}, nil)
)

// currenciesMax bounds the currencies in labels; further ones count as "XXX",
// ISO 4217's code for none.
const currenciesMax = 64

// Describe implements prometheus.Collector.
func (t *Tracker) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{openDesc, stuckDesc, parkedDesc, parkedMinor} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. It walks what is open, which is
// little next to the tables.
func (t *Tracker) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	due := t.clock().Add(-t.limits.Grace).UnixMilli()
	steps, overdue, redriven := map[pb.Step]int{}, 0, 0
	for _, o := range t.registrations {
		steps[o.step]++
		if o.deadline != 0 && o.deadline < due {
			overdue++
		}
		if o.redrives > t.limits.Redrives {
			redriven++
		}
	}
	charges, refunds := 0, 0
	minor := map[[2]string]int64{}
	for _, o := range t.payments {
		if o.deadline != 0 && o.deadline < due {
			overdue++
		}
		charges += o.chargeN
		refunds += o.parkedRefund
		add(minor, "charge", o.currency, o.charge)
		add(minor, "refund", o.currency, o.refunds)
	}
	for _, step := range []pb.Step{pb.Step_STEP_REQUESTED, pb.Step_STEP_HOLDING, pb.Step_STEP_CHARGING, pb.Step_STEP_SETTLING} {
		gauge(openDesc, float64(steps[step]), Name(step))
	}
	gauge(stuckDesc, float64(overdue), string(Overdue))
	gauge(stuckDesc, float64(redriven), string(Redriven))
	gauge(parkedDesc, float64(charges), "charge")
	gauge(parkedDesc, float64(refunds), "refund")
	for k, v := range minor {
		gauge(parkedMinor, float64(v), k[0], k[1])
	}
}

func add(minor map[[2]string]int64, what, currency string, amount int64) {
	if amount == 0 {
		return
	}
	k := [2]string{what, currency}
	if _, known := minor[k]; !known && len(minor) >= 2*currenciesMax {
		k[1] = "XXX"
	}
	minor[k] += amount
}
