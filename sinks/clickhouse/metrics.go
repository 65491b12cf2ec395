package clickhouse

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/eventpro/boxoffice/internal/topology"
)

// metrics are the loader's, all under boxoffice_clickhouse_sink_.
type metrics struct {
	records     *prometheus.CounterVec // topic
	undecodable prometheus.Counter
	rows        *prometheus.CounterVec // table
	sentBytes   prometheus.Counter
	batchSize   prometheus.Histogram
	flush       prometheus.Histogram
	retries     prometheus.Counter
	commitFails prometheus.Counter
	lagRecords  *prometheus.GaugeVec // topic
	lagSeconds  *prometheus.GaugeVec // topic
	freshness   prometheus.Gauge
	up          prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	name := func(n string) string { return prometheus.BuildFQName("boxoffice", "clickhouse_sink", n) }
	counter := func(n, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name(n), Help: help})
	}
	gauge := func(n, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name(n), Help: help})
	}
	m := &metrics{
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: name("records_total"),
			Help: "Records that were read, by topic.",
		}, []string{"topic"}),
		undecodable: counter("undecodable_records_total", "Records that could not be decoded; each has an audit row."),
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: name("rows_total"),
			Help: "Rows that ClickHouse has acknowledged, by table.",
		}, []string{"table"}),
		sentBytes: counter("sent_bytes_total", "Bytes of inserts sent over HTTP."),
		batchSize: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: name("batch_records"),
			Help: "Records of a batch.", Buckets: prometheus.ExponentialBuckets(1, 4, 10),
		}),
		flush: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    name("flush_duration_seconds"),
			Help:    "Time from a full batch to its commit, retries included.",
			Buckets: []float64{.01, .025, .05, .1, .2, .5, 1, 2, 5, 10, 30},
		}),
		retries:     counter("insert_retries_total", "Inserts that failed and were repeated."),
		commitFails: counter("commit_failures_total", "Offset commits that failed; the records may be loaded again, which changes nothing."),
		lagRecords: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: name("lag_records"),
			Help: "Records of a topic that are not in ClickHouse yet.",
		}, []string{"topic"}),
		lagSeconds: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: name("lag_seconds"),
			Help: "Age of the last record that is in ClickHouse, of the partition that is furthest behind; 0 without lag.",
		}, []string{"topic"}),
		freshness: gauge("freshness_timestamp_seconds", "Moment up to which everything is in ClickHouse, as Unix time."),
		up:        gauge("up", "1 when the last insert succeeded, 0 while ClickHouse is away."),
	}
	for _, t := range topology.ClickHouseSink.Inputs {
		m.records.WithLabelValues(t.Name)
		m.lagRecords.WithLabelValues(t.Name)
		m.lagSeconds.WithLabelValues(t.Name)
	}
	for _, t := range newBatch().tables() {
		m.rows.WithLabelValues(t.name)
	}
	return m, m.register(r)
}

func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{
		m.records, m.undecodable, m.rows, m.sentBytes, m.batchSize, m.flush,
		m.retries, m.commitFails, m.lagRecords, m.lagSeconds, m.freshness, m.up,
	} {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}
