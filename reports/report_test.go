package reports

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"
	"github.com/pressly/goose/v3"

	embedded "github.com/eventpro/boxoffice/internal/embedded/clickhouse"
	"github.com/eventpro/boxoffice/sinks/clickhouse/migrations"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// db is a database with the sales below.
var db *sql.DB

// TestMain starts the engine. It is needed: without the library the tests fail,
// they are never skipped.
func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "FAIL:", err)
		return 1
	}
	library, err := embedded.Locate("", os.Getenv("BOXOFFICE_CHDB_LIB"))
	if err != nil {
		return fail(err)
	}
	dir, err := os.MkdirTemp("", "reports")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	server, err := embedded.Open(embedded.Options{Library: library, DataDir: dir})
	if err != nil {
		return fail(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx) }()
	defer func() { cancel(); <-ended }()
	if err := sell(ctx, "http://"+server.Addr()); err != nil {
		return fail(err)
	}
	return m.Run()
}

const (
	festival = "00000000-0000-0000-0000-00000000000a"
	gala     = "00000000-0000-0000-0000-00000000000b"
	tokyo    = "00000000-0000-0000-0000-00000000000c"
)

// sell fills the database. By hand, in September 2026 (UTC):
//
//	Festival, EUR: captured 200.00 (fee 3.05) on the 1st and 100.00 (fee 1.65) on
//	the 30th; of the first 50.00 was given back on the 2nd, and 25.00 is still on
//	its way. Gross 300.00, refunds 50.00, fees 4.70, net 245.30. Two orders, with
//	2 - 1 cancelled + 3 tickets.
//	Festival, in October: 100.00 of September's second capture given back.
//	Gala, KWD: captured 1234.567 (fee 1.000), and a free order of 4 tickets.
//	Tokyo, JPY: captured 9800 (fee 25), given back in full in the same month, its
//	order cancelled.
//	A test sale of 999.99 EUR and a declined payment count nowhere.
//
// Every payment comes in an older version too, and every row twice.
func sell(ctx context.Context, url string) error {
	o, err := ch.ParseDSN(url)
	if err != nil {
		return err
	}
	db = ch.OpenDB(o)
	p, err := goose.NewProvider(goose.DialectClickHouse, db, migrations.FS)
	if err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return err
	}
	payment := func(n int, event, currency string, captured, fee int64, at string, refunds, statuses, times string, test bool) []string {
		id := uuid.UUID{15: byte(n)}
		row := `INSERT INTO payments (payment_id, event_id, currency, status, captured_minor, fee_minor, captured_at, refunds.refund_id,
			refunds.amount_minor, refunds.status, refunds.refunded_at, refunds.provider_reference, refunds.requested_at, refunds.reason,
			test_mode, version, requested_at) SELECT '%s', '%s', '%s', 'captured', %d, %d, '%s',
			arrayMap(x -> generateUUIDv4(), %[8]s), %[8]s, %[9]s, %[10]s, arrayMap(x -> '', %[8]s), arrayMap(x -> now64(3), %[8]s),
			arrayMap(x -> '', %[8]s), %[7]t, %[11]d, '2026-08-31 23:59:59'`
		old := fmt.Sprintf(row, id, event, currency, captured, fee, at, test, "CAST([], 'Array(Int64)')", "CAST([], 'Array(String)')", "CAST([], 'Array(DateTime64(3))')", 1)
		last := fmt.Sprintf(row, id, event, currency, captured, fee, at, test, refunds, statuses, times, 2)
		return []string{old, last, last, old}
	}
	order := func(n int, event, currency, outcome, decided, quantities, cancelled string, test bool) []string {
		row := fmt.Sprintf(`INSERT INTO registrations (registration_id, event_id, currency, outcome, decided_at, test_mode, version, request_time,
			lines.line, lines.ticket_type, lines.quantity, lines.unit_price_minor, lines.tax_rate_bp, lines.tax_mode, lines.discount_minor,
			lines.tax_minor, lines.total_minor, lines.cancelled) SELECT '%s', '%s', '%s', '%s', '%s', %t, 3, '%[5]s',
			%[7]s, arrayMap(x -> 't', %[7]s), %[7]s, %[7]s, %[7]s, arrayMap(x -> 'exempt', %[7]s), %[7]s, %[7]s, %[7]s, %[8]s`,
			uuid.UUID{15: byte(n)}, event, currency, outcome, decided, test, quantities, cancelled)
		return []string{row, row}
	}
	const none, noStatus, noTime = "CAST([], 'Array(Int64)')", "CAST([], 'Array(String)')", "CAST([], 'Array(DateTime64(3))')"
	var statements []string
	for _, s := range [][]string{
		payment(1, festival, "EUR", 200_00, 305, "2026-09-01 00:00:00.000", "[5000, 2500]", "['done', 'pending']", "['2026-09-02 10:00:00.000', '1970-01-01 00:00:00.000']", false),
		payment(2, festival, "EUR", 100_00, 165, "2026-09-30 23:59:59.999", "[10000]", "['done']", "['2026-10-01 00:00:00.000']", false),
		payment(3, gala, "KWD", 1_234_567, 1_000, "2026-09-15 12:00:00.000", none, noStatus, noTime, false),
		payment(4, tokyo, "JPY", 9_800, 25, "2026-09-15 12:00:00.000", "[9800]", "['done']", "['2026-09-16 12:00:00.000']", false),
		payment(5, festival, "EUR", 999_99, 999, "2026-09-15 12:00:00.000", none, noStatus, noTime, true),
		payment(6, festival, "EUR", 0, 0, "1970-01-01 00:00:00.000", none, noStatus, noTime, false),
		order(1, festival, "EUR", "confirmed", "2026-09-01 00:00:00.000", "[2, 1]", "[false, true]", false),
		order(2, festival, "EUR", "confirmed", "2026-09-30 23:59:59.999", "[3]", "[false]", false),
		order(3, gala, "KWD", "confirmed", "2026-09-15 12:00:00.000", "[4]", "[false]", false),
		order(4, tokyo, "JPY", "cancelled", "2026-09-15 12:00:00.000", "[1]", "[true]", false),
		order(5, festival, "EUR", "confirmed", "2026-09-15 12:00:00.000", "[9]", "[false]", true),
		order(6, festival, "EUR", "payment_failed", "2026-09-15 12:00:00.000", "[9]", "[false]", false),
		{
			"INSERT INTO catalog_events (event_id, name, version) VALUES ('" + festival + "', 'Old name', 1), ('" + festival + "', 'Festival', 2)",
			"INSERT INTO catalog_events (event_id, name, version) VALUES ('" + gala + "', '=Gala', 1), ('" + tokyo + "', '東京', 1)",
			"INSERT INTO events (topic, partition, offset, time) VALUES ('payment-events', 0, 0, '2026-10-02 08:30:00.123'), ('payment-events', 0, 1, '2026-10-01 00:00:00')",
		},
	} {
		statements = append(statements, s...)
	}
	for _, s := range statements {
		if _, err := db.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (-update rewrites it):\n%s", path, got)
	}
}

func september(t *testing.T) Params {
	t.Helper()
	p, err := ParseParams("2026-09-01", "2026-10-01", "", "", "", false)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The figures of a month are those worked out by hand above, in each format.
func TestRevenue(t *testing.T) {
	t.Parallel()
	for _, format := range Formats() {
		var out strings.Builder
		if err := Run(t.Context(), db, "revenue", september(t), format, &out); err != nil {
			t.Fatal(err)
		}
		golden(t, "revenue."+format, out.String())
	}
}

// The bounds of a period cut money by the provider's time, an event and a
// currency leave the others out, and test sales come only when asked for.
func TestRevenueOf(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		from, to, zone, event, currency string
		test                            bool
		want                            []string
	}{
		"october":           {from: "2026-10-01", to: "2026-11-01", want: []string{"Festival,EUR,0.00,100.00,0.00,-100.00,0,0"}},
		"all time":          {event: festival, want: []string{"Festival,EUR,300.00,150.00,4.70,145.30,2,5"}},
		"test sales":        {currency: "eur", test: true, want: []string{"Festival,EUR,1299.99,150.00,14.69,1135.30,3,14"}},
		"one currency":      {currency: "JPY", want: []string{"東京,JPY,9800,9800,25,-25,0,0"}},
		"a day in Auckland": {from: "2026-10-01", to: "2026-10-02", zone: "Pacific/Auckland", event: festival, want: []string{"Festival,EUR,100.00,100.00,1.65,-1.65,1,3"}},
		"nothing":           {from: "2030-01-01", want: nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := ParseParams(c.from, c.to, c.zone, c.event, c.currency, c.test)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			if err := Run(t.Context(), db, "revenue", p, "csv", &out); err != nil {
				t.Fatal(err)
			}
			var got []string
			for i, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
				fields := strings.Split(line, ",")
				if i > 0 {
					got = append(got, strings.Join(append(fields[:1:1], fields[2:9]...), ","))
				}
			}
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// A mistake is answered with what there is, and nothing is written.
func TestMistakes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		report, format, from, to, zone, event, currency, want string
	}{
		"report":      {report: "revnue", format: "table", want: "there are: revenue"},
		"format":      {report: "revenue", format: "pdf", want: "there are: csv, json, table"},
		"period":      {report: "revenue", format: "csv", from: "2026-10-01", to: "2026-09-01", want: "ends before it starts"},
		"empty":       {report: "revenue", format: "csv", from: "2026-10-01", to: "2026-10-01", want: "ends before it starts"},
		"date":        {report: "revenue", format: "csv", from: "yesterday", want: `from is "yesterday"`},
		"early":       {report: "revenue", format: "csv", from: "1914-01-01", want: "out of range"},
		"time zone":   {report: "revenue", format: "csv", zone: "Mars/Base", want: "IANA"},
		"currency":    {report: "revenue", format: "csv", currency: "EURO", want: "ISO 4217"},
		"event":       {report: "revenue", format: "csv", event: "Festival", want: "a UUID"},
		"lower limit": {report: "revenue", format: "csv", to: "1960-01-01", want: "out of range"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			p, err := ParseParams(c.from, c.to, c.zone, c.event, c.currency, false)
			if err == nil {
				err = Run(t.Context(), db, c.report, p, c.format, &out)
			}
			var mistake *UsageError
			if !errors.As(err, &mistake) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want a UsageError with %q", err, c.want)
			}
			if out.Len() > 0 {
				t.Errorf("wrote %q", out.String())
			}
		})
	}
}

// The decimal point stands where ISO 4217 has it, for the smallest and largest
// amounts too.
func TestAmount(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		minor          int64
		currency, want string
	}{
		{0, "EUR", "0.00"},
		{5, "EUR", "0.05"},
		{-5, "EUR", "-0.05"},
		{123456, "EUR", "1,234.56"},
		{-100000, "USD", "-1,000.00"},
		{1234, "JPY", "1,234"},
		{0, "JPY", "0"},
		{1234567, "KWD", "1,234.567"},
		{12345, "IQD", "12.345"},
		{12345, "CLF", "1.2345"},
		{9223372036854775807, "EUR", "92,233,720,368,547,758.07"},
		{-9223372036854775808, "JPY", "-9,223,372,036,854,775,808"},
	} {
		if got := Amount(c.minor, c.currency); got != c.want {
			t.Errorf("Amount(%d, %s) = %s, want %s", c.minor, c.currency, got, c.want)
		}
	}
}

// Two reports have one id only if they say the same.
func TestReportID(t *testing.T) {
	t.Parallel()
	id := func(p Params) string {
		var out strings.Builder
		if err := Run(t.Context(), db, "revenue", p, "table", &out); err != nil {
			t.Fatal(err)
		}
		return out.String()[strings.LastIndex(out.String(), "report "):]
	}
	first, again := id(september(t)), id(september(t))
	if first != again {
		t.Error("the same report has two ids")
	}
	if first == id(Params{From: time.Date(2026, 9, 2, 0, 0, 0, 0, time.UTC)}) {
		t.Error("two reports have one id")
	}
}

// The totals for machines are those of the report.
func TestRevenueTotals(t *testing.T) {
	t.Parallel()
	totals, err := RevenueTotals(t.Context(), db, september(t))
	if err != nil {
		t.Fatal(err)
	}
	want := []Total{
		{Currency: "EUR", GrossMinor: 30000, RefundsMinor: 5000, FeesMinor: 470, NetMinor: 24530, Orders: 2, Tickets: 5},
		{Currency: "JPY", GrossMinor: 9800, RefundsMinor: 9800, FeesMinor: 25, NetMinor: -25},
		{Currency: "KWD", GrossMinor: 1234567, FeesMinor: 1000, NetMinor: 1233567, Orders: 1, Tickets: 4},
	}
	if !slices.Equal(totals, want) {
		t.Errorf("got %+v, want %+v", totals, want)
	}
}
