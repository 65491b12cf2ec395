package server

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The routes' names in metrics.
const (
	routeList   = "list"
	routeReport = "report"
)

type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newMetrics(r prometheus.Registerer, s *Server) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "boxoffice_reports_requests_total", Help: "Requests for reports by route and HTTP status (499: the caller left).",
		}, []string{"route", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "boxoffice_reports_request_duration_seconds", Help: "Time to answer a request for a report.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"route"}),
	}
	making := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "boxoffice_reports_making", Help: "Reports that are being made now.",
	}, func() float64 { return float64(len(s.slots)) })
	return m, errors.Join(r.Register(m.requests), r.Register(m.duration), r.Register(making))
}

func (m *metrics) done(route string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	m.duration.WithLabelValues(route).Observe(max(0, took).Seconds())
}
