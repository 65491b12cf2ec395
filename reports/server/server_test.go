package server

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/pressly/goose/v3"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/eventpro/boxoffice/internal/apikey"
	"github.com/eventpro/boxoffice/internal/embedded/clickhouse/clickhousetest"
	"github.com/eventpro/boxoffice/reports"
	"github.com/eventpro/boxoffice/reports/render"
	"github.com/eventpro/boxoffice/sinks/clickhouse/migrations"
)

// sales has sales of two organisers, endless a query of the first of all that a
// report asks which takes hours.
var sales, endless *sql.DB

func TestMain(m *testing.M) {
	os.Exit(clickhousetest.Main(m, fill))
}

// Words that only the rival's sales have.
const (
	ownEvent     = "00000000-0000-0000-0000-00000000000a"
	rivalEvent   = "00000000-0000-0000-0000-00000000dead"
	nobodysEvent = "ffffffff-ffff-ffff-ffff-ffffffffffff"
)

func fill(url string) error {
	open := func(database string) (*sql.DB, error) {
		o, err := ch.ParseDSN(url + "/" + database)
		if err != nil {
			return nil, err
		}
		return ch.OpenDB(o), nil
	}
	ctx := context.Background()
	var err error
	if sales, err = open("default"); err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectClickHouse, sales, migrations.FS)
	if err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return err
	}
	statements := []string{
		"INSERT INTO catalog_events (event_id, organiser, name, currency, version) VALUES ('" + ownEvent + "', 'eventpro', 'Festival', 'EUR', 1), ('" + rivalEvent + "', 'rival', 'Rival gala', 'EUR', 1)",
		"INSERT INTO events (topic, partition, offset, time) VALUES ('payment-events', 0, 0, '2026-10-01 00:00:00.123')",
		"CREATE DATABASE endless",
		// Not a column of the table alone: it would be taken from it.
		"CREATE VIEW endless.events AS SELECT now64(3, 'UTC') + toIntervalSecond(sleepEachRow(1)) AS time FROM (SELECT number FROM numbers(10000) SETTINGS max_block_size = 1)",
	}
	for i, sale := range [][]string{
		{ownEvent, "eventpro", "10000", "web", "card", "standing"}, {rivalEvent, "rival", "7777", "rival-channel", "rival-method", "rival-type"},
	} {
		statements = append(statements,
			fmt.Sprintf(`INSERT INTO movements (movement_id, line, kind, payment_id, event_id, organiser, amount_minor, channel, method, ticket_type,
				currency, quantity, occurred_at, booked_at, version) SELECT '00000000-0000-0000-0000-00000000000%[1]d', 1, 'charge',
				'00000000-0000-0000-0000-00000000000%[1]d', '%s', '%s', %s, '%s', '%s', '%s', 'EUR', 2, '2026-09-05 12:00:00', '2026-09-05 12:00:01', 1`, i+1, sale[0], sale[1], sale[2], sale[3], sale[4], sale[5]),
			fmt.Sprintf(`INSERT INTO registrations (registration_id, event_id, organiser, currency, outcome, decided_at, request_time, version, channel,
				lines.line, lines.ticket_type, lines.quantity, lines.unit_price_minor, lines.tax_rate_bp, lines.tax_mode, lines.discount_minor,
				lines.tax_minor, lines.total_minor, lines.cancelled) SELECT '00000000-0000-0000-0000-00000000000%d', '%s', '%s', 'EUR', 'confirmed',
				'2026-09-05 12:00:00', '2026-09-05 11:59:59', 1, '%s', [1], ['%s'], [2], [100], [0], ['exempt'], [0], [0], [200], [false]`,
				i+1, sale[0], sale[1], sale[3], sale[5]))
	}
	for _, s := range statements {
		if _, err := sales.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	endless, err = open("endless")
	return err
}

// bench is a server with its keys.
type bench struct {
	*httptest.Server
	registry *prometheus.Registry
}

func start(t *testing.T, cfg Config) *bench {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.json")
	for _, e := range []apikey.Entry{
		apikey.NewEntry("statements", "own", "eventpro", apikey.Reports),
		apikey.NewEntry("shop", "shop", "eventpro", apikey.RegistrationsRead),
		apikey.NewEntry("operators", "admin", "eventpro", apikey.Admin),
		apikey.NewEntry("misnamed", "misnamed", "all", apikey.Reports),
	} {
		if err := apikey.Append(path, e); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if cfg.Keys, err = apikey.Open(path, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if cfg.DB == nil {
		cfg.DB = sales
	}
	b := &bench{registry: prometheus.NewRegistry()}
	cfg.Registerer = b.registry
	cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b.Server = httptest.NewServer(s)
	t.Cleanup(b.Close)
	return b
}

type answer struct {
	*http.Response
	body string
}

func (b *bench) get(ctx context.Context, t *testing.T, key, path string, headers ...string) (answer, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp, string(body)}, err
}

func (b *bench) must(t *testing.T, key, path string, headers ...string) answer {
	t.Helper()
	a, err := b.get(t.Context(), t, key, path, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A stranger, a key without the scope and every mistake in the question get a
// problem that says what to do; nothing of a report is in it.
func TestRefusals(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	for _, c := range []struct {
		key, path string
		status    int
		code      string
		detail    string
	}{
		{"", "/v1/reports", 401, "api_key_missing", "Authorization"},
		{"", "/v1/reports/revenue", 401, "api_key_missing", "Authorization"},
		{"wrong", "/v1/reports/revenue", 401, "api_key_unknown", "not listed"},
		{"shop", "/v1/reports", 403, "scope_missing", "reports"},
		{"shop", "/v1/reports/revenue", 403, "scope_missing", "reports"},
		{"own", "/v1/reports/revenue?organiser=rival", 403, "scope_missing", "eventpro only"},
		{"misnamed", "/v1/reports/revenue", 400, "invalid_parameter", "every organiser"},
		{"own", "/v1/reports/revnue", 404, "report_unknown", "revenue"},
		{"own", "/v1/reports/revenue?form=csv", 400, "invalid_parameter", "form: is not known"},
		{"own", "/v1/reports/revenue?format=doc", 400, "invalid_parameter", "csv, "},
		{"own", "/v1/reports/revenue?from=2026-09-01&from=2026-10-01", 400, "invalid_parameter", "2 times"},
		{"own", "/v1/reports/revenue?from=2026-10-01&to=2026-09-01", 400, "invalid_parameter", "ends before it starts"},
		{"own", "/v1/reports/revenue?period=last-month&from=2026-09-01", 400, "invalid_parameter", "leave from and to out"},
		{"own", "/v1/reports/revenue?tz=Mars/Base", 400, "invalid_parameter", "IANA"},
		{"own", "/v1/reports/revenue?currency=EURO", 400, "invalid_parameter", "ISO 4217"},
		{"own", "/v1/reports/revenue?basis=guessed", 400, "invalid_parameter", "basis"},
		{"own", "/v1/reports/revenue?test_mode=yes", 400, "invalid_parameter", "true or false"},
		{"own", "/v1/reports/revenue?locale=klingon!", 400, "invalid_parameter", "locale"},
		{"own", "/v1/reports/revenue?event=Festival", 400, "invalid_parameter", "UUID"},
		{"own", "/v1/reports/revenue?event=" + nobodysEvent, 404, "event_unknown", "no event " + nobodysEvent + " of eventpro"},
		{"own", "/v1/reports/revenue?event=" + rivalEvent, 404, "event_unknown", "no event " + rivalEvent + " of eventpro"},
		{"admin", "/v1/reports/revenue?event=" + nobodysEvent, 404, "event_unknown", "no event " + nobodysEvent + ":"},
	} {
		a := b.must(t, c.key, c.path)
		var p struct{ Code, Detail string }
		if err := json.Unmarshal([]byte(a.body), &p); err != nil {
			t.Errorf("%s: %v: %s", c.path, err, a.body)
		}
		if a.StatusCode != c.status || p.Code != c.code || !strings.Contains(p.Detail, c.detail) || a.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s with key %q: %d %s, want %d %s with %q", c.path, c.key, a.StatusCode, a.body, c.status, c.code, c.detail)
		}
	}
	resp, err := http.Post(b.URL+"/v1/reports/revenue", "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d, Allow %q", resp.StatusCode, resp.Header.Get("Allow"))
	}
}

// The list has every report with the parameters that it takes, and every format.
func TestList(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	a := b.must(t, "own", "/v1/reports")
	var got listing
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.StatusCode != http.StatusOK {
		t.Fatalf("%d %v %s", a.StatusCode, err, a.body)
	}
	var names []string
	for _, r := range got.Reports {
		names = append(names, r.Name)
		if r.Title == "" || r.About == "" || !slices.ContainsFunc(r.Parameters, func(p listedParameter) bool { return p.Name == "organiser" }) {
			t.Errorf("%+v lacks something", r)
		}
	}
	var formats []string
	for _, f := range got.Formats {
		formats = append(formats, f.Name)
	}
	if !slices.Equal(names, reports.Names()) || !slices.Equal(formats, render.Names()) {
		t.Errorf("listed %v and %v", names, formats)
	}
}

// An organiser's key sees nothing of another's sales, in any report; an admin's
// sees both, or whose it asks for.
func TestOrganisersSeeTheirOwn(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	for _, name := range reports.Names() {
		for _, query := range []string{"", "&organiser=eventpro", "&event=" + ownEvent} {
			path := "/v1/reports/" + name + "?format=csv" + query
			a := b.must(t, "own", path)
			if a.StatusCode == http.StatusBadRequest && strings.Contains(a.body, "cannot be limited by event") {
				continue
			}
			if a.StatusCode != http.StatusOK {
				t.Errorf("%s: %d %s", path, a.StatusCode, a.body)
			}
			for _, secret := range []string{"rival", "Rival", "7777", "77.77", "dead,"} {
				if strings.Contains(a.body, secret) {
					t.Errorf("%s shows %q of another organiser:\n%s", path, secret, a.body)
				}
			}
		}
	}
	if a := b.must(t, "own", "/v1/reports/revenue?format=csv"); !strings.Contains(a.body, "Festival") || !strings.Contains(a.body, "100.00") {
		t.Errorf("its own sales are missing: %s", a.body)
	}
	if a := b.must(t, "admin", "/v1/reports/revenue?format=csv"); !strings.Contains(a.body, "Festival") || !strings.Contains(a.body, "77.77") {
		t.Errorf("an admin does not see all: %s", a.body)
	}
	if a := b.must(t, "admin", "/v1/reports/revenue?format=csv&organiser=rival"); strings.Contains(a.body, "Festival") || !strings.Contains(a.body, "77.77") {
		t.Errorf("an admin does not see what it asks for: %s", a.body)
	}
}

// Each format comes with its type and the name of a file.
func TestFormats(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	for _, f := range render.Formats() {
		a := b.must(t, "own", "/v1/reports/revenue?period=2026-09&format="+f.Name)
		disposition := a.Header.Get("Content-Disposition")
		if a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != f.MediaType || a.ContentLength != int64(len(a.body)) || a.body == "" ||
			!strings.Contains(disposition, "revenue_from_2026-09-01_before_2026-10-01_as-of_2026-10-01T000000Z_") ||
			!strings.Contains(disposition, f.Extension) || strings.HasPrefix(disposition, "attachment") != (f.Binary || f.Name == "csv") {
			t.Errorf("%s: %d, %v, %d bytes", f.Name, a.StatusCode, a.Header, len(a.body))
		}
	}
	var made struct {
		ID   string
		AsOf string `json:"as_of"`
	}
	a := b.must(t, "own", "/v1/reports/revenue")
	if err := json.Unmarshal([]byte(a.body), &made); err != nil || a.Header.Get("ETag") != `W/"`+made.ID+`"` || made.AsOf != "2026-10-01T00:00:00.123Z" {
		t.Errorf("%v, ETag %s of %+v", err, a.Header.Get("ETag"), made)
	}
}

// While nothing was loaded, asking again costs no report; another question, or a
// newer record, gives a new one.
func TestNotModified(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	first := b.must(t, "own", "/v1/reports/revenue?period=2026-09")
	tag := first.Header.Get("ETag")
	again := b.must(t, "own", "/v1/reports/revenue?period=2026-09", "If-None-Match", `"other", `+tag)
	if again.StatusCode != http.StatusNotModified || again.body != "" || again.Header.Get("ETag") != tag {
		t.Errorf("again: %d %s %v", again.StatusCode, again.body, again.Header)
	}
	for name, a := range map[string]answer{
		"another period": b.must(t, "own", "/v1/reports/revenue?period=2026-08", "If-None-Match", tag),
		"another caller": b.must(t, "admin", "/v1/reports/revenue?period=2026-09", "If-None-Match", tag),
		"another tag":    b.must(t, "own", "/v1/reports/revenue?period=2026-09", "If-None-Match", `"00000000-0000-0000-0000-000000000000"`),
	} {
		if a.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", name, a.StatusCode)
		}
	}
}

// A question that would bring too many rows is refused, not cut short: half a
// report looks like a whole one.
func TestTooManyRows(t *testing.T) {
	t.Parallel()
	b := start(t, Config{RowsMax: 1})
	a := b.must(t, "admin", "/v1/reports/revenue")
	if a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, "report_too_large") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if a := b.must(t, "own", "/v1/reports/revenue"); a.StatusCode != http.StatusOK {
		t.Errorf("one row: %d %s", a.StatusCode, a.body)
	}
}

// running counts the endless queries that the engine works on.
func running(t *testing.T) (n int) {
	t.Helper()
	err := sales.QueryRow("SELECT count() FROM system.processes WHERE current_database = 'endless' AND query LIKE '%max(time)%' AND query NOT LIKE '%system.processes%'").Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not happen", what)
		}
	}
}

func (b *bench) making(t *testing.T) float64 {
	t.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == "boxoffice_reports_making" })
	return families[i].GetMetric()[0].GetGauge().GetValue()
}

// Reports that take for ever: no more than the limit are made, the next caller is
// told when to come back, and those whose callers leave end in the database too and
// make room. At the time limit the caller learns of it.
func TestLimits(t *testing.T) { // not parallel: it counts the engine's queries
	b := start(t, Config{DB: endless, Concurrent: 2, Timeout: time.Hour})
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	left := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := b.get(ctx, t, "own", "/v1/reports/revenue")
			left <- err
		}()
	}
	eventually(t, "two queries at work", func() bool { return running(t) == 2 })
	a := b.must(t, "own", "/v1/reports/revenue")
	if a.StatusCode != http.StatusServiceUnavailable || !strings.Contains(a.body, "reports_busy") || a.Header.Get("Retry-After") == "" {
		t.Errorf("the third: %d %s", a.StatusCode, a.body)
	}
	leave()
	for range 2 {
		if err := <-left; err == nil {
			t.Error("a caller that left has an answer")
		}
	}
	eventually(t, "the end of both queries", func() bool { return running(t) == 0 })
	eventually(t, "room for others", func() bool { return b.making(t) == 0 })

	hasty := start(t, Config{DB: endless, Timeout: 50 * time.Millisecond})
	a = hasty.must(t, "own", "/v1/reports/revenue", "If-None-Match", `"x"`)
	if a.StatusCode != http.StatusGatewayTimeout || !strings.Contains(a.body, "report_timed_out") {
		t.Errorf("at the time limit: %d %s", a.StatusCode, a.body)
	}
	eventually(t, "the end of the late query", func() bool { return running(t) == 0 })
}

// Without the database the caller is told to come back, and not how it failed.
func TestNoDatabase(t *testing.T) {
	t.Parallel()
	o, err := ch.ParseDSN("http://127.0.0.1:1/default")
	if err != nil {
		t.Fatal(err)
	}
	b := start(t, Config{DB: ch.OpenDB(o)})
	a := b.must(t, "own", "/v1/reports/revenue")
	if a.StatusCode != http.StatusServiceUnavailable || !strings.Contains(a.body, "reports_unavailable") || a.Header.Get("Retry-After") == "" || strings.Contains(a.body, "127.0.0.1:1") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if a := b.must(t, "own", "/v1/reports"); a.StatusCode != http.StatusOK {
		t.Errorf("the list needs no database: %d", a.StatusCode)
	}
}

// A path or parameter is added and the document forgotten: all stand in it.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../../views/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for _, pattern := range (&Server{}).Patterns() {
		if at = strings.Index(string(document), "\n  "+pattern+":\n    get:\n"); at < 0 {
			t.Fatalf("%s is not in the document", pattern)
		}
	}
	for _, p := range parameters {
		if !strings.Contains(string(document[at:]), "\n        - name: "+p.name+"\n          in: query\n") {
			t.Errorf("the parameter %s is not in the document", p.name)
		}
	}
}
