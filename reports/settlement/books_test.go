package settlement

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/pressly/goose/v3"

	"github.com/eventpro/boxoffice/internal/embedded/clickhouse/clickhousetest"
	"github.com/eventpro/boxoffice/reports/render"
	"github.com/eventpro/boxoffice/sinks/clickhouse/migrations"
)

// db is a database with the payments of fill.
var db *sql.DB

func TestMain(m *testing.M) {
	os.Exit(clickhousetest.Main(m, fill))
}

// id is the id of a payment or, from 100, of a refund.
func id(n int) string { return fmt.Sprintf("00000000-0000-0000-0000-%012d", n) }

// fill books, in September 2026:
//
//	1  charge 100.00 EUR, fee 1.65, ch_1, on the 1st, and its refund 101 of 30.00, re_101, on the 3rd
//	2  charge 9800 JPY, fee 162, ch_2, on the 2nd
//	3  charge 50.00 EUR, fee 0.95, ch_3, on the 2nd
//	4  charge 20.00 EUR, asked for on the 2nd and unanswered
//	5  charge 10.00 EUR, fee 0.39, ch_5, on the 1st of October, 5 minutes past midnight
//	6  charge 70.00 EUR, ch_6, taken by another system before it was imported
//
// Each comes in an older version too, which had captured nothing.
func fill(url string) error {
	o, err := ch.ParseDSN(url)
	if err != nil {
		return err
	}
	db = ch.OpenDB(o)
	p, err := goose.NewProvider(goose.DialectClickHouse, db, migrations.FS)
	if err != nil {
		return err
	}
	if _, err := p.Up(context.Background()); err != nil {
		return err
	}
	const columns = `INSERT INTO payments (payment_id, currency, provider, provider_reference, captured_minor, fee_minor, captured_at, requested_at,
		imported, version, refunds.refund_id, refunds.amount_minor, refunds.status, refunds.provider_reference, refunds.refunded_at, refunds.requested_at,
		refunds.reason, refunds.line, refunds.booked_at) VALUES `
	const none = `[], [], [], [], [], [], [], [], []`
	const refund = `['00000000-0000-0000-0000-000000000101', '00000000-0000-0000-0000-000000000102'], [3000, 500], ['done', 'pending'],
		['re_101', ''], ['2026-09-03 10:00:00.000', '1970-01-01 00:00:00.000'], ['2026-09-03 09:00:00.000', '2026-09-03 11:00:00.000'],
		['', ''], [0, 0], ['2026-09-03 10:00:00.000', '1970-01-01 00:00:00.000']`
	for _, row := range []string{
		`'` + id(1) + `', 'EUR', 'test', 'ch_1', 10000, 165, '2026-09-01 00:00:00.000', '2026-08-31 23:59:59.000', false, 2, ` + refund,
		`'` + id(1) + `', 'EUR', 'test', '', 0, 0, '1970-01-01 00:00:00.000', '2026-08-31 23:59:59.000', false, 1, ` + none,
		`'` + id(2) + `', 'JPY', 'test', 'ch_2', 9800, 162, '2026-09-02 12:00:00.000', '2026-09-02 11:59:59.000', false, 2, ` + none,
		`'` + id(3) + `', 'EUR', 'test', 'ch_3', 5000, 95, '2026-09-02 13:00:00.000', '2026-09-02 12:59:59.000', false, 2, ` + none,
		`'` + id(4) + `', 'EUR', 'test', '', 0, 0, '1970-01-01 00:00:00.000', '2026-09-02 14:00:00.000', false, 1, ` + none,
		`'` + id(5) + `', 'EUR', 'test', 'ch_5', 1000, 39, '2026-10-01 00:05:00.000', '2026-10-01 00:04:59.000', false, 2, ` + none,
		`'` + id(6) + `', 'EUR', 'old shop', 'ch_6', 7000, 0, '2026-09-05 00:00:00.000', '2026-09-05 00:00:00.000', true, 2, ` + none,
	} {
		if _, err := db.Exec(columns + "(" + row + ")"); err != nil {
			return fmt.Errorf("%s: %w", row, err)
		}
	}
	_, err = db.Exec(`INSERT INTO events (topic, partition, offset, time) VALUES ('payment-events', 0, 0, '2026-10-02 00:00:00.123')`)
	return err
}

const header = "kind,id,reference,amount_minor,currency,fee_minor,at\n"

var lines = map[string]string{
	"1":   "charge,ch_1," + id(1) + ",10000,EUR,165,2026-09-01T00:00:00Z\n",
	"101": "refund,re_101," + id(101) + ",3000,EUR,0,2026-09-03T10:00:00Z\n",
	"2":   "charge,ch_2," + id(2) + ",9800,JPY,162,2026-09-02T12:00:00Z\n",
	"3":   "charge,ch_3," + id(3) + ",5000,EUR,95,2026-09-02T13:00:00Z\n",
	"5":   "charge,ch_5," + id(5) + ",1000,EUR,39,2026-10-01T00:05:00Z\n",
	"6":   "charge,ch_6," + id(6) + ",7000,EUR,0,2026-09-05T00:00:00Z\n",
}

func reconcile(t *testing.T, source Source, o Options) *Result {
	t.Helper()
	r, err := Reconcile(t.Context(), db, source, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Each file has exactly the findings that it was made for, in a period that is
// given or is that of the file, whoever the provider is.
func TestReconcileWithTheDatabase(t *testing.T) {
	t.Parallel()
	all := lines["3"] + lines["101"] + lines["2"] + lines["1"]
	for name, c := range map[string]struct {
		file    string
		options Options
		matched int64
		want    map[Finding]int64
	}{
		"all":           {file: all, matched: 4},
		"a lost line":   {file: lines["1"] + lines["101"] + lines["3"], matched: 3, want: map[Finding]int64{MissingThere: 1}},
		"a line twice":  {file: all + lines["2"], matched: 4, want: map[Finding]int64{Duplicate: 1}},
		"charged twice": {file: all + strings.Replace(lines["2"], "ch_2", "ch_9", 1), matched: 4, want: map[Finding]int64{Duplicate: 1}},
		"unanswered": {
			file: all + "charge,ch_4," + id(4) + ",2000,EUR,53,2026-09-02T14:00:01Z\n", matched: 4, want: map[Finding]int64{MissingHere: 1},
		},
		"an unanswered refund": {
			file: all + "refund,re_102," + id(102) + ",500,EUR,0,2026-09-03T14:00:01Z\n", matched: 4, want: map[Finding]int64{MissingHere: 1},
		},
		"a stranger": {
			file: all + "charge,ch_7,order-7,2000,EUR,53,2026-09-02T14:00:01Z\n", matched: 4, want: map[Finding]int64{UnknownReference: 1},
		},
		"another amount": {
			file: strings.Replace(all, ",9800,", ",9801,", 1), matched: 3, want: map[Finding]int64{DifferentAmount: 1},
		},
		"another fee": {file: strings.Replace(all, ",95,", ",96,", 1), matched: 3, want: map[Finding]int64{DifferentFee: 1}},
		"another day": {
			file: strings.Replace(all, "2026-09-02T13", "2026-09-01T13", 1), matched: 3, want: map[Finding]int64{DifferentDay: 1},
		},
		"another currency": {file: strings.Replace(all, "9800,JPY", "9800,KRW", 1), matched: 3, want: map[Finding]int64{DifferentCurrency: 1}},
		// The 1st of October in UTC, where the file ends on the 3rd of September.
		"a month": {
			file: all, options: Options{Scope: Scope{To: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}}, matched: 4,
			want: map[Finding]int64{MissingThere: 1},
		},
		// Midnight lies between the two times of one charge, and so does the period's end.
		"across midnight": {
			file: all + strings.Replace(lines["5"], "2026-10-01T00:05", "2026-09-30T23:55", 1), matched: 4,
			options: Options{Scope: Scope{To: time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)}}, want: map[Finding]int64{DifferentDay: 1},
		},
		"one currency":     {file: strings.Replace(all, ",95,", ",96,", 1), options: Options{Scope: Scope{Currency: "JPY"}}, matched: 1},
		"another provider": {file: lines["6"], options: Options{Provider: "old shop"}, matched: 1},
		"its own provider": {file: all, options: Options{Provider: "test"}, matched: 4},
		"Stripe": {
			file: "Type,Source,Amount,Fee,Currency,Created (UTC)\ncharge,ch_1,100.00,1.65,eur,2026-09-01 00:00:00\n" +
				"refund,re_101,-30.00,0.00,eur,2026-09-03 10:00:00\ncharge,ch_2,9800,162,jpy,2026-09-02 12:00:00\n" +
				"payout,po_1,-68.35,0.00,eur,2026-09-03 00:00:00\npayment,py_1,1.00,0.00,eur,2026-09-02 00:00:00\n",
			matched: 3, want: map[Finding]int64{MissingThere: 1, UnknownReference: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := c.file
			if !strings.HasPrefix(file, "Type") {
				file = header + file
			}
			c.options.WholeDays = true
			r := reconcile(t, File(strings.NewReader(file)), c.options)
			if r.Matched() != c.matched || !maps.Equal(r.Counts, c.want) && len(r.Counts)+len(c.want) > 0 {
				t.Errorf("%d matched and %v, want %d and %v", r.Matched(), r.Counts, c.matched, c.want)
			}
		})
	}
}

// The provider's ledger over HTTP says what its file says.
func TestReconcileWithTheLedger(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("after") == "0" {
			fmt.Fprintf(w, `{"kind":"charge","seq":1,"id":"ch_1","reference":"%s","amount_minor":10000,"currency":"EUR","fee_minor":165,"at":"2026-09-01T00:00:00.000Z"}
{"kind":"refund","seq":3,"id":"re_101","reference":"%s","amount_minor":3001,"currency":"EUR","fee_minor":0,"at":"2026-09-03T10:00:00.000Z"}
`, id(1), id(101))
		}
	}))
	defer server.Close()
	r := reconcile(t, Ledger(t.Context(), server.URL), Options{Scope: Scope{Currency: "EUR"}})
	if r.Matched() != 1 || r.Counts[DifferentAmount] != 1 || r.Counts[MissingThere] != 2 {
		t.Errorf("%d matched and %v", r.Matched(), r.Counts)
	}
	if d := r.Differences[DifferentAmount]; len(d) != 1 || d[0].There.Line != 3 {
		t.Errorf("the place in the ledger is lost: %+v", d)
	}
}

// The report shows the sums of both sides, each finding with its line, and says
// first that something differs; a report without differences says that too.
func TestStatement(t *testing.T) {
	t.Parallel()
	file := header + lines["1"] + lines["101"] + strings.Replace(lines["2"], ",9800,", ",9801,", 1) + "decline,ch_8,x,1,EUR,0,2026-09-02T00:00:00Z\n"
	r := reconcile(t, File(strings.NewReader(file)), Options{WholeDays: true})
	made, err := r.Statement(Head{Source: "september.csv"})
	if err != nil {
		t.Fatal(err)
	}
	table, ok := render.Find("table")
	if !ok {
		t.Fatal("there is no table")
	}
	var out strings.Builder
	if err := table.Write(&out, made); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"2 differences between the provider and us", "2026-09-01 to 2026-09-03", "against september.csv",
		"Different amount (1)", "9,801", "9,800", "ch_2", "Missing there (1)", id(3), "decline", "2 charges and refunds agree",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	again, err := reconcile(t, File(strings.NewReader(file)), Options{WholeDays: true}).Statement(Head{Source: "september.csv"})
	if err != nil || again.ID != made.ID {
		t.Errorf("the same comparison has the ids %s and %s, %v", made.ID, again.ID, err)
	}
	other, err := reconcile(t, File(strings.NewReader(header+lines["1"])), Options{WholeDays: true}).Statement(Head{Source: "september.csv"})
	if err != nil || other.ID == made.ID {
		t.Errorf("another file has the same id, %v", err)
	}
	if other.Alarm != "" || len(other.Sections) != 1 {
		t.Errorf("no difference, and the alarm is %q with %d sections", other.Alarm, len(other.Sections))
	}
}
