package stream

import (
	"errors"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/eventpro/boxoffice/internal/transition"
)

// namespace is what all metric names of the runtime start with.
const namespace = "boxoffice_stream"

// The ends of a record beside the verdicts of a transition (I7): put off, so that
// a copy comes again, and dead.
const (
	verdictRetried      = "retried"
	verdictDeadLettered = "dead_lettered"
)

// reasonsMax bounds the reason label of a group; further ones count as "other".
const reasonsMax = 64

// metrics of the runtime; every series has the label group.
type metrics struct {
	consumed     *prometheus.CounterVec
	records      *prometheus.CounterVec
	reasons      *prometheus.CounterVec
	transactions *prometheus.CounterVec
	batch        *prometheus.HistogramVec
	duration     *prometheus.HistogramVec
	restarts     *prometheus.CounterVec
	timers       *prometheus.CounterVec
	lag          *prometheus.GaugeVec
	recovery     *prometheus.GaugeVec
	recovered    *prometheus.CounterVec
	assigned     *prometheus.GaugeVec
	retries      *prometheus.CounterVec
	letters      *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, append([]string{"group"}, labels...)))
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, []string{"group"}))
	}
	histogram := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		return register(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, []string{"group"}))
	}
	return &metrics{
		consumed:     counter("consumed_records_total", "Records whose offset was committed."),
		records:      counter("records_total", "Committed records by what became of them; their sum is consumed_records_total.", "verdict"),
		reasons:      counter("refused_records_total", "Committed records that were rejected or dead-lettered, by reason.", "reason"),
		transactions: counter("transactions_total", "Kafka transactions by result.", "result"),
		batch:        histogram("batch_records", "Records in a committed transaction or batch.", prometheus.ExponentialBuckets(1, 4, 8)),
		duration:     histogram("transaction_duration_seconds", "Time from the begin of a transaction to its commit.", []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10}),
		restarts:     counter("session_restarts_total", "Sessions that ended for another reason than a rebalance or a stop."),
		timers:       counter("timers_emitted_total", "Timer messages sent."),
		lag:          gauge("lag_records", "Records of this member's partitions that are not yet consumed."),
		recovery:     gauge("recovery_duration_seconds", "How long this member's tables took to recover, the last time."),
		recovered:    counter("recovered_records_total", "Table records that were read from the log into the local storage."),
		assigned:     gauge("assigned_partitions", "Partitions of its inputs that this member owns."),
		retries:      counter("retries_total", "Attempts of a stage that failed and are made again."),
		letters:      counter("dead_letters_total", "Dead letters by class of error and reason.", "class", "reason"),
	}
}

// register returns the collector that is registered already if there is one:
// all runtime parts of a process share their metrics.
func register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	err := reg.Register(c)
	var have prometheus.AlreadyRegisteredError
	if errors.As(err, &have) {
		if known, ok := have.ExistingCollector.(C); ok {
			return known
		}
	}
	if err != nil {
		panic(err) // two metrics of one name and different labels: a mistake in this file
	}
	return c
}

// groupMetrics are one group's series, all of them present from the start.
type groupMetrics struct {
	consumed                                          prometheus.Counter
	applied, replayed, rejected, retried, deadLetters prometheus.Counter
	committed, aborted                                prometheus.Counter
	batch, duration                                   prometheus.Observer
	restarts, timers, retries, recovered              prometheus.Counter
	lag, recovery, assigned                           prometheus.Gauge

	mu      sync.Mutex
	reasons map[string]bool // those that have a series of their own
	reason  func(reason string) prometheus.Counter
	letter  func(class, reason string) prometheus.Counter
}

func (m *metrics) group(name string) *groupMetrics {
	return &groupMetrics{
		consumed:    m.consumed.WithLabelValues(name),
		applied:     m.records.WithLabelValues(name, transition.Applied.String()),
		replayed:    m.records.WithLabelValues(name, transition.Replayed.String()),
		rejected:    m.records.WithLabelValues(name, transition.Rejected.String()),
		retried:     m.records.WithLabelValues(name, verdictRetried),
		deadLetters: m.records.WithLabelValues(name, verdictDeadLettered),
		committed:   m.transactions.WithLabelValues(name, "committed"),
		aborted:     m.transactions.WithLabelValues(name, "aborted"),
		batch:       m.batch.WithLabelValues(name),
		duration:    m.duration.WithLabelValues(name),
		restarts:    m.restarts.WithLabelValues(name),
		timers:      m.timers.WithLabelValues(name),
		retries:     m.retries.WithLabelValues(name),
		lag:         m.lag.WithLabelValues(name),
		recovery:    m.recovery.WithLabelValues(name),
		recovered:   m.recovered.WithLabelValues(name),
		assigned:    m.assigned.WithLabelValues(name),
		reasons:     map[string]bool{},
		reason:      func(reason string) prometheus.Counter { return m.reasons.WithLabelValues(name, reason) },
		letter:      func(class, reason string) prometheus.Counter { return m.letters.WithLabelValues(name, class, reason) },
	}
}

// add counts a committed tally of n records. n is counted apart from the
// verdicts, so that a record that ended in none would show (I7).
func (g *groupMetrics) add(n int, t *tally) {
	g.consumed.Add(float64(n))
	g.batch.Observe(float64(n))
	g.applied.Add(float64(t.applied.Load()))
	g.replayed.Add(float64(t.replayed.Load()))
	g.rejected.Add(float64(t.rejected.Load()))
	g.retried.Add(float64(t.retried.Load()))
	g.deadLetters.Add(float64(t.deadLettered.Load()))
	t.mu.Lock()
	defer t.mu.Unlock()
	for reason, n := range t.reasons {
		g.reason(g.bounded(reason)).Add(float64(n))
	}
	for why, n := range t.letters {
		g.letter(why.class, g.bounded(why.reason)).Add(float64(n))
	}
}

// bounded keeps the number of series of a group bounded.
func (g *groupMetrics) bounded(reason string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.reasons[reason] {
		if len(g.reasons) >= reasonsMax {
			return "other"
		}
		g.reasons[reason] = true
	}
	return reason
}
