package gateway

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// metrics tell how the provider treats us.
type metrics struct {
	calls    *prometheus.CounterVec
	causes   *prometheus.CounterVec
	duration *prometheus.HistogramVec
	breakers *prometheus.GaugeVec
	inFlight prometheus.Gauge
}

var (
	operations = map[pb.GatewayOperation]string{
		pb.GatewayOperation_GATEWAY_OPERATION_CHARGE: "charge",
		pb.GatewayOperation_GATEWAY_OPERATION_REFUND: "refund",
		pb.GatewayOperation_GATEWAY_OPERATION_QUERY:  "query",
	}
	outcomes = map[pb.GatewayOutcome]string{
		pb.GatewayOutcome_GATEWAY_OUTCOME_CAPTURED:   "captured",
		pb.GatewayOutcome_GATEWAY_OUTCOME_DECLINED:   "declined",
		pb.GatewayOutcome_GATEWAY_OUTCOME_REFUNDED:   "refunded",
		pb.GatewayOutcome_GATEWAY_OUTCOME_UNKNOWN:    "unknown",
		pb.GatewayOutcome_GATEWAY_OUTCOME_IMPOSSIBLE: "impossible",
	}
	breakerStates = []string{"closed", "half-open", "open"}
	// durationBuckets reach from a provider nearby to the timeout, in seconds.
	durationBuckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
)

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "boxoffice_gateway_calls_total", Help: "Gateway requests answered, by operation and outcome.",
		}, []string{"operation", "outcome"}),
		causes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "boxoffice_gateway_unknown_total", Help: "Gateway requests whose outcome is unknown, by cause.",
		}, []string{"cause"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "boxoffice_gateway_call_duration_seconds", Help: "Time from taking a gateway request to its answer, quick repeats included.",
			Buckets: durationBuckets,
		}, []string{"operation"}),
		breakers: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "boxoffice_gateway_breaker_state", Help: "1 for the state that the provider's circuit breaker is in.",
		}, []string{"state"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "boxoffice_gateway_calls_in_flight", Help: "Gateway requests being called now.",
		}),
	}
	for _, operation := range operations {
		m.duration.WithLabelValues(operation)
		for _, outcome := range outcomes {
			m.calls.WithLabelValues(operation, outcome)
		}
	}
	for _, cause := range causes {
		m.causes.WithLabelValues(cause)
	}
	m.breaker("closed")
	var errs []error
	for _, c := range []prometheus.Collector{m.calls, m.causes, m.duration, m.breakers, m.inFlight} {
		errs = append(errs, r.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("gateway: registering metrics: %w", err)
	}
	return m, nil
}

func (m *metrics) breaker(now string) {
	for _, state := range breakerStates {
		value := 0.0
		if state == now {
			value = 1
		}
		m.breakers.WithLabelValues(state).Set(value)
	}
}

func (m *metrics) answered(o outcome, took time.Duration) {
	operation := operations[o.result.Operation]
	m.calls.WithLabelValues(operation, outcomes[o.result.Outcome]).Inc()
	m.duration.WithLabelValues(operation).Observe(took.Seconds())
	if o.cause != "" {
		m.causes.WithLabelValues(o.cause).Inc()
	}
}
