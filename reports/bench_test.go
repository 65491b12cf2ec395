package reports

import (
	"database/sql"
	"flag"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/eventpro/boxoffice/internal/history"
	"github.com/eventpro/boxoffice/sinks/clickhouse"
)

var (
	benchRegistrations = flag.Int("registrations", 20_000, "registrations of the year that BenchmarkReports is about")
	benchURL           = flag.String("clickhouse-url", "", "a server that has the year already: boxoffice simulate history --until 2026-11-01")
)

// theYear is a database with a year of history up to the end of October 2026.
func theYear(b *testing.B) *sql.DB {
	b.Helper()
	url, database := *benchURL, "boxoffice_history"
	if url == "" {
		url = server
	}
	schema, err := clickhouse.Migrate(b.Context(), url, database)
	if err != nil {
		b.Fatal(err)
	}
	if *benchURL == "" {
		h, err := history.New(history.Config{Days: 365, Registrations: *benchRegistrations, Seed: 1, Until: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)})
		if err != nil {
			b.Fatal(err)
		}
		to := history.Target{URL: url, Database: database, Schema: schema, Logger: slog.New(slog.DiscardHandler)}
		if _, err := h.Load(b.Context(), to, func(history.Progress) {}, func() {}); err != nil {
			b.Fatal(err)
		}
	}
	year, err := clickhouse.OpenDB(url, database)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = year.Close() })
	return year
}

// BenchmarkReports measures every report over the last month and over a year; ms is
// the median. At ten million registrations a month has to take less than a second, a
// year less than three: -benchtime 5x -timeout 0 -args -registrations 10000000.
func BenchmarkReports(b *testing.B) {
	year := theYear(b)
	to := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for period, from := range map[string]time.Time{"month": to.AddDate(0, -1, 0), "year": to.AddDate(-1, 0, 0)} {
		for _, name := range Names() {
			b.Run(period+"/"+name, func(b *testing.B) {
				p := Params{From: from, To: to}
				var took []time.Duration
				for b.Loop() {
					began := time.Now()
					if _, err := Make(b.Context(), year, name, p); err != nil {
						b.Fatal(err)
					}
					took = append(took, time.Since(began))
				}
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2].Milliseconds()), "ms")
			})
		}
	}
}
