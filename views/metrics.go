package views

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// statusCallerGone stands in metrics for a caller that left before its answer.
const statusCallerGone = 499

// statuses are all that an answer can have, so that each counter starts at
// zero.
var statuses = []int{
	http.StatusOK, http.StatusNoContent, http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden,
	http.StatusNotFound, http.StatusTooManyRequests, statusCallerGone, http.StatusInternalServerError,
	http.StatusServiceUnavailable, http.StatusGatewayTimeout,
}

type metrics struct {
	routes  map[string]*routeMetrics
	streams map[int]prometheus.Counter
}

type routeMetrics struct {
	requests map[int]prometheus.Counter
	duration prometheus.Observer
}

func newMetrics(r prometheus.Registerer, s *Server) (*metrics, error) {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "boxoffice_views_requests_total", Help: "Look-ups by route and HTTP status (gRPC: its equivalent; 499: the caller left).",
	}, []string{"route", "code"})
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "boxoffice_views_request_duration_seconds", Help: "Time to answer a look-up, without the time that it chose to wait.",
		Buckets: []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .2, .5, 1},
	}, []string{"route"})
	waiters := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "boxoffice_views_waiters", Help: "Requests that wait for a position now.",
	}, func() float64 { return float64(s.waiters.Load()) })
	streams := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "boxoffice_views_streams", Help: "Registrations that are followed now, by server-sent events or gRPC.",
	}, func() float64 { return float64(s.streams.Load()) })

	var errs []error
	for _, c := range []prometheus.Collector{requests, duration, waiters, streams, lagCollector{s}} {
		errs = append(errs, r.Register(c))
	}
	m := &metrics{routes: map[string]*routeMetrics{}}
	counters := func(route string) map[int]prometheus.Counter {
		byStatus := map[int]prometheus.Counter{}
		for _, status := range statuses {
			byStatus[status] = requests.WithLabelValues(route, strconv.Itoa(status))
		}
		return byStatus
	}
	for _, route := range routeNames {
		m.routes[route] = &routeMetrics{requests: counters(route), duration: duration.WithLabelValues(route)}
	}
	// A stream's duration is the registration's, not ours: only counted.
	m.streams = counters(routeRegistrationEvents)
	return m, errors.Join(errs...)
}

func (m *routeMetrics) done(status int, took time.Duration) {
	m.requests[known(status)].Inc()
	m.duration.Observe(max(0, took).Seconds())
}

func (m *metrics) streamEnded(status int) { m.streams[known(status)].Inc() }

// known maps a status that no answer should have to 500, so that labels stay
// bounded.
func known(status int) int {
	for _, s := range statuses {
		if s == status {
			return status
		}
	}
	return http.StatusInternalServerError
}

// lagCollector reads the views when metrics are gathered.
type lagCollector struct{ s *Server }

var (
	lagRecordsDesc = prometheus.NewDesc("boxoffice_views_lag_records",
		"Records of a table's partition that Kafka has and the view has not.", []string{"table", "partition"}, nil)
	lagSecondsDesc = prometheus.NewDesc("boxoffice_views_lag_seconds",
		"How long ago a table's partition had last been read to its end; absent until it has been.", []string{"table", "partition"}, nil)
	readyDesc = prometheus.NewDesc("boxoffice_views_ready",
		"1 when the view has caught up and answers, else 0.", []string{"table"}, nil)
)

// Describe implements prometheus.Collector.
func (c lagCollector) Describe(out chan<- *prometheus.Desc) {
	out <- lagRecordsDesc
	out <- lagSecondsDesc
	out <- readyDesc
}

// Collect implements prometheus.Collector.
func (c lagCollector) Collect(out chan<- prometheus.Metric) {
	for _, t := range c.s.sources() {
		ready := 0.0
		if t.Ready() {
			ready = 1
		}
		out <- prometheus.MustNewConstMetric(readyDesc, prometheus.GaugeValue, ready, t.topic)
		for _, f := range t.Partitions() {
			partition := strconv.Itoa(int(f.Partition))
			out <- prometheus.MustNewConstMetric(lagRecordsDesc, prometheus.GaugeValue, float64(f.Lag), t.topic, partition)
			if ms := t.lagMillis(f); ms != nil {
				out <- prometheus.MustNewConstMetric(lagSecondsDesc, prometheus.GaugeValue, float64(*ms)/1000, t.topic, partition)
			}
		}
	}
}
