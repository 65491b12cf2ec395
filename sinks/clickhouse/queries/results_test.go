package queries_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/eventpro/boxoffice/internal/embedded/clickhouse/clickhousetest"
	"github.com/eventpro/boxoffice/internal/goldensales"
	"github.com/eventpro/boxoffice/sinks/clickhouse/queries"
)

// db has the golden sales.
var db *sql.DB

func TestMain(m *testing.M) {
	os.Exit(clickhousetest.Main(m, func(url string) (err error) {
		db, err = goldensales.Load(context.Background(), url, "golden", goldensales.Records())
		return err
	}))
}

// october are the parameters of October in Berlin.
func october() map[string]string {
	return map[string]string{
		"from": queries.Time(time.Date(2026, 9, 30, 22, 0, 0, 0, time.UTC)), "to": queries.Time(time.Date(2026, 10, 31, 23, 0, 0, 0, time.UTC)),
		"zone": "Europe/Berlin", "basis": "booked", "organiser": queries.All, "event": queries.All, "currency": queries.All, "test_mode": "false",
	}
}

// The figures of the queries that reports are made of, of a month of the golden
// sales, as they were when the reports' totals agreed with those worked out by hand.
func TestResults(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	for _, name := range []string{
		queries.Revenue, queries.DailyRevenue, queries.EventPerformance, queries.TicketTypes, queries.PaymentMethods, queries.Channels,
		queries.Funnel, queries.OpenItems, queries.OpenItemsList, queries.Payout,
	} {
		q, err := queries.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		values := map[string]string{}
		for parameter, value := range october() {
			if _, has := q.Params[parameter]; has {
				values[parameter] = value
			}
		}
		fmt.Fprintln(&got, name)
		write(t, &got, name, values)
		fmt.Fprintln(&got)
	}
	const path = "testdata/results.golden.txt"
	if queries.Update() {
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the results differ from %s (-update rewrites it):\n%s", path, got.String())
	}
}

// write writes a row a line, tabs between the fields.
func write(t *testing.T, out *strings.Builder, name string, values map[string]string) {
	t.Helper()
	rows, err := queries.Run(t.Context(), db, name, values)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	fields, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for first := true; rows.Next(); first = false {
		if first {
			fmt.Fprintln(out, strings.Join(fields, "\t"))
		}
		cells, into := make([]any, len(fields)), make([]any, len(fields))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		texts := make([]string, len(cells))
		for i, cell := range cells {
			switch v := cell.(type) {
			case time.Time:
				texts[i] = v.UTC().Format("2006-01-02 15:04:05.000")
			case nil:
				texts[i] = "NULL"
			default:
				texts[i] = fmt.Sprint(v)
			}
		}
		fmt.Fprintln(out, strings.Join(texts, "\t"))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}
