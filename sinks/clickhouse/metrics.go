package clickhouse

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/eventpro/boxoffice/internal/topology"
)

// metrics are the loader's, under boxoffice_clickhouse_sink_, and those of the books,
// under boxoffice_conservation_.
type metrics struct {
	records     *prometheus.CounterVec // topic
	undecodable prometheus.Counter
	rows        *prometheus.CounterVec // table
	sentBytes   prometheus.Counter
	batchSize   prometheus.Histogram
	batchBytes  prometheus.Histogram
	insert      *prometheus.HistogramVec // table
	flush       prometheus.Histogram
	retries     prometheus.Counter
	commitFails prometheus.Counter
	lagRecords  *prometheus.GaugeVec // topic
	lagSeconds  *prometheus.GaugeVec // topic
	freshness   prometheus.Gauge
	up          prometheus.Gauge

	rollupAsOf, rollupSeconds prometheus.Gauge
	rollupFails               prometheus.Counter
	paidOrdersFails           prometheus.Counter

	booksApart   *prometheus.GaugeVec // kind
	booksLasting *prometheus.GaugeVec // kind
	booksChecked prometheus.Gauge

	all []prometheus.Collector
}

// durations are the buckets of what ClickHouse is waited for, in seconds.
var durations = []float64{.005, .01, .025, .05, .1, .2, .5, 1, 2, 5, 10, 30}

// newMetrics makes the metrics; every label value is there from the start. buffered
// tells what is in memory and not in ClickHouse yet.
func newMetrics(r prometheus.Registerer, buffered func() (records, bytes int64)) (*metrics, error) {
	m := &metrics{}
	sink := family{subsystem: "clickhouse_sink", of: m}
	m.records = sink.counters("records_total", "Records that were read, by topic.", "topic")
	m.undecodable = sink.counter("undecodable_records_total", "Records that could not be decoded; each has an audit row.")
	m.rows = sink.counters("rows_total", "Rows that ClickHouse has acknowledged, by table.", "table")
	m.sentBytes = sink.counter("sent_bytes_total", "Bytes sent to ClickHouse, as they are on the wire.")
	m.batchSize = sink.histogram("batch_records", "Records of a batch.", prometheus.ExponentialBuckets(1, 4, 10))
	m.batchBytes = sink.histogram("batch_bytes", "Bytes of a batch's records, as they come from Kafka.", prometheus.ExponentialBuckets(1<<10, 4, 9))
	m.insert = sink.histograms("insert_duration_seconds", "Time until ClickHouse acknowledged an insert, by table; failed ones are not in it.", durations, "table")
	m.flush = sink.histogram("flush_duration_seconds", "Time from the first insert of a batch to its commit, pauses and retries included.", durations)
	m.retries = sink.counter("insert_retries_total", "Inserts that failed and were repeated.")
	m.commitFails = sink.counter("commit_failures_total", "Offset commits that failed; the records may be loaded again, which changes nothing.")
	m.lagRecords = sink.gauges("lag_records", "Records of a topic that are not in ClickHouse yet.", "topic")
	m.lagSeconds = sink.gauges("lag_seconds", "Age of the last record that is in ClickHouse, of the partition that is furthest behind; 0 without lag.", "topic")
	m.freshness = sink.gauge("freshness_timestamp_seconds", "Moment up to which everything is in ClickHouse, as Unix time.")
	m.up = sink.gauge("up", "1 when the last insert succeeded, 0 while ClickHouse is away.")
	m.rollupAsOf = sink.gauge("rollups_timestamp_seconds", "Moment up to which everything is in the rollups, as Unix time; of the member that refreshes them.")
	m.rollupSeconds = sink.gauge("rollup_refresh_seconds", "How long the last refresh of the rollups took.")
	m.rollupFails = sink.counter("rollup_refresh_failures_total", "Refreshes of the rollups that failed and were repeated.")
	m.paidOrdersFails = sink.counter("paid_orders_refresh_failures_total", "Refreshes of orders beside their money that failed and were repeated.")
	sink.measured("buffered_records", "Records in memory that are not in ClickHouse yet.", func() float64 { n, _ := buffered(); return float64(n) })
	sink.measured("buffered_bytes", "Their bytes.", func() float64 { _, n := buffered(); return float64(n) })

	conservation := family{subsystem: "conservation", of: m}
	m.booksApart = conservation.gauges("difference", "How far two tables that know the same thing are apart, by kind: rows, or minor units of money for orders, charges and refunds.", "kind")
	m.booksLasting = conservation.gauges("lasting_seconds", "Since when they have been apart without a break; 0 when they agree.", "kind")
	m.booksChecked = conservation.gauge("checked_timestamp_seconds", "Moment up to which the books were last compared, as Unix time; 0 before the first time.")

	for _, t := range topology.ClickHouseSink.Inputs {
		m.records.WithLabelValues(t.Name)
		m.lagRecords.WithLabelValues(t.Name)
		m.lagSeconds.WithLabelValues(t.Name)
	}
	for _, t := range newBatch().tables() {
		m.rows.WithLabelValues(t.name)
		m.insert.WithLabelValues(t.name)
	}
	for _, kind := range conservationKinds {
		m.booksApart.WithLabelValues(kind)
		m.booksLasting.WithLabelValues(kind)
	}
	return m, m.register(r)
}

func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	for _, c := range m.all {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// family makes metrics under one prefix.
type family struct {
	subsystem string
	of        *metrics
}

func (f family) name(n string) string { return prometheus.BuildFQName("boxoffice", f.subsystem, n) }

func add[C prometheus.Collector](f family, c C) C {
	f.of.all = append(f.of.all, c)
	return c
}

func (f family) counter(name, help string) prometheus.Counter {
	return add(f, prometheus.NewCounter(prometheus.CounterOpts{Name: f.name(name), Help: help}))
}

func (f family) counters(name, help, label string) *prometheus.CounterVec {
	return add(f, prometheus.NewCounterVec(prometheus.CounterOpts{Name: f.name(name), Help: help}, []string{label}))
}

func (f family) gauge(name, help string) prometheus.Gauge {
	return add(f, prometheus.NewGauge(prometheus.GaugeOpts{Name: f.name(name), Help: help}))
}

func (f family) gauges(name, help, label string) *prometheus.GaugeVec {
	return add(f, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: f.name(name), Help: help}, []string{label}))
}

func (f family) measured(name, help string, value func() float64) {
	add(f, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: f.name(name), Help: help}, value))
}

func (f family) histogram(name, help string, buckets []float64) prometheus.Histogram {
	return add(f, prometheus.NewHistogram(prometheus.HistogramOpts{Name: f.name(name), Help: help, Buckets: buckets}))
}

func (f family) histograms(name, help string, buckets []float64, label string) *prometheus.HistogramVec {
	return add(f, prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: f.name(name), Help: help, Buckets: buckets}, []string{label}))
}
