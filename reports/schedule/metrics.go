package schedule

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Results of runs in the metrics.
const (
	resultDone   = "done"
	resultFailed = "failed"
	resultMissed = "missed"
)

type metrics struct {
	runs *prometheus.CounterVec
	last *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer, schedules []Schedule) (*metrics, error) {
	m := &metrics{
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "boxoffice_report_schedule_runs_total",
			Help: "Runs of a schedule: done (every place has its reports), failed (one try; it is tried again), missed (never made; a later run stands for it).",
		}, []string{"schedule", "result"}),
		last: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "boxoffice_report_schedule_last_done_timestamp_seconds", Help: "When a run of the schedule was last done by this process.",
		}, []string{"schedule"}),
	}
	for _, s := range schedules {
		for _, result := range []string{resultDone, resultFailed, resultMissed} {
			m.runs.WithLabelValues(s.Name, result)
		}
	}
	return m, errors.Join(r.Register(m.runs), r.Register(m.last))
}

func (m *metrics) done(schedule string, at time.Time) {
	m.runs.WithLabelValues(schedule, resultDone).Inc()
	m.last.WithLabelValues(schedule).Set(float64(at.Unix()))
}

func (m *metrics) failed(schedule string) { m.runs.WithLabelValues(schedule, resultFailed).Inc() }

func (m *metrics) missed(schedule string, n int) {
	m.runs.WithLabelValues(schedule, resultMissed).Add(float64(n))
}
