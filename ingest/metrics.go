package ingest

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/eventpro/boxoffice/internal/problem"
)

// commandKind names what is asked for, in metrics.
type commandKind uint8

const (
	commandRegister commandKind = iota
	commandCancelRegistration
	commandCreateEvent
	commandSetCapacity
	commandCancelEvent
	commandKinds
)

var commandNames = [commandKinds]string{"register", "cancel_registration", "create_event", "set_capacity", "cancel_event"}

// statusesAnswered are the HTTP statuses that a door answers with.
var statusesAnswered = func() []int {
	statuses := []int{http.StatusOK, http.StatusCreated, http.StatusAccepted}
	for _, d := range problem.Catalogue() {
		if d.Status != statuses[len(statuses)-1] {
			statuses = append(statuses, d.Status)
		}
	}
	return statuses
}()

type metrics struct {
	accepted [commandKinds]prometheus.Counter
	produce  prometheus.Histogram
	inFlight prometheus.Gauge
	problems map[problem.Code]prometheus.Counter
	// batchLines counts the lines of batches: accepted, refused.
	batchAccepted, batchRefused prometheus.Counter

	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

// routeMetrics are the metrics of one route, looked up once: a label look-up per
// request would cost more than the check of the API key.
type routeMetrics struct {
	byStatus map[int]prometheus.Counter
	duration prometheus.Observer
}

// durationBuckets has a bound at 0.2 s, the objective of a request.
var durationBuckets = []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	accepted := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "boxoffice_ingest_commands_accepted_total", Help: "Commands that Kafka has acknowledged, by kind.",
	}, []string{"command"})
	problems := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "boxoffice_ingest_problems_total", Help: "Problems that requests and lines of batches were answered with, by code.",
	}, []string{"code"})
	lines := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "boxoffice_ingest_batch_lines_total", Help: "Lines of batches, by result.",
	}, []string{"result"})
	m := &metrics{
		produce: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "boxoffice_ingest_produce_duration_seconds", Help: "Time until Kafka acknowledged a command, or the attempt failed.",
			Buckets: durationBuckets,
		}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "boxoffice_ingest_requests_in_flight", Help: "Requests that are being answered.",
		}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "boxoffice_ingest_requests_total", Help: "Requests by route and HTTP status; calls of gRPC and Connect count with the status that REST would answer.",
		}, []string{"route", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "boxoffice_ingest_request_duration_seconds", Help: "Time from the headers of a request to the end of its answer.",
			Buckets: durationBuckets,
		}, []string{"route"}),
		problems:      map[problem.Code]prometheus.Counter{},
		batchAccepted: lines.WithLabelValues("accepted"),
		batchRefused:  lines.WithLabelValues("refused"),
	}
	for kind, name := range commandNames {
		m.accepted[kind] = accepted.WithLabelValues(name)
	}
	for _, d := range problem.Catalogue() {
		m.problems[d.Code] = problems.WithLabelValues(string(d.Code))
	}
	for _, c := range []prometheus.Collector{accepted, problems, lines, m.produce, m.inFlight, m.requests, m.duration} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics of the front door: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) route(name string) routeMetrics {
	r := routeMetrics{byStatus: make(map[int]prometheus.Counter, len(statusesAnswered)), duration: m.duration.WithLabelValues(name)}
	for _, status := range statusesAnswered {
		r.byStatus[status] = m.requests.WithLabelValues(name, strconv.Itoa(status))
	}
	return r
}

// problem counts an occurrence of a code.
func (m *metrics) problem(p *problem.Problem) {
	if c, ok := m.problems[p.Code]; ok {
		c.Inc()
	}
}
