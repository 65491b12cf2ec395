package provider

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics count what the provider did and how it misbehaved.
type metrics struct {
	decisions *prometheus.CounterVec
	faults    *prometheus.CounterVec
	replays   prometheus.Counter
	groups    prometheus.Histogram
}

// The faults that a Behaviour injects.
const (
	faultAway  = "away"
	faultError = "error"
	faultSlow  = "slow"
	faultLate  = "late"
)

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "boxoffice_provider_decisions_total", Help: "Entries added to the provider's ledger, by kind.",
		}, []string{"kind"}),
		faults: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "boxoffice_provider_faults_total", Help: "Faults injected by the provider's behaviour, by kind.",
		}, []string{"fault"}),
		replays: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "boxoffice_provider_replays_total", Help: "Requests answered from an earlier decision of their idempotency key.",
		}),
		groups: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "boxoffice_provider_ledger_group_entries", Help: "Ledger entries made durable by one fsync.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}),
	}
	for _, k := range []Kind{KindCharge, KindRefund, KindDecline} {
		m.decisions.WithLabelValues(string(k))
	}
	for _, f := range []string{faultAway, faultError, faultSlow, faultLate} {
		m.faults.WithLabelValues(f)
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.decisions, m.faults, m.replays, m.groups} {
		errs = append(errs, r.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("provider: registering metrics: %w", err)
	}
	return m, nil
}

func (m *metrics) group(lines int)   { m.groups.Observe(float64(lines)) }
func (m *metrics) decided(k Kind)    { m.decisions.WithLabelValues(string(k)).Inc() }
func (m *metrics) fault(kind string) { m.faults.WithLabelValues(kind).Inc() }
