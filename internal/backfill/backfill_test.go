package backfill

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

var update = flag.Bool("update", false, "rewrite what the golden exports are read as")

func berlin(t testing.TB) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func settings(t testing.TB) Settings {
	t.Helper()
	return Settings{Currency: "EUR", Zone: berlin(t), Now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
}

var exports = map[string][]string{
	"eventbrite": {"testdata/eventbrite.csv"},
	"pretix":     {"testdata/pretix-orders.csv", "testdata/pretix-positions.csv"},
	"monolith":   {"testdata/monolith.ndjson"},
}

// An export of each layout, with everything that spreadsheets and people do to
// them, is read as it always was: orders, money and what is no sale.
func TestGoldenExports(t *testing.T) {
	t.Parallel()
	for name, files := range exports {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := Read(files, settings(t))
			if err != nil {
				t.Fatal(err)
			}
			p, err := NewPlan(r, Targets{Organiser: "acme", CreateEvents: true})
			if err != nil {
				t.Fatal(err)
			}
			for _, problem := range p.Problems {
				t.Error(problem)
			}
			got, err := json.MarshalIndent(struct {
				Summary Summary
				Orders  []*Order
			}{p.Summary(), r.Orders}, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name+".golden.json")
			if *update {
				if err := os.WriteFile(golden, append(got, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if string(got)+"\n" != string(want) {
				t.Errorf("it is read as\n%s", got)
			}
		})
	}
}

// write makes a file of a test's own.
func write(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t testing.TB, s Settings, name, content string) *Reading {
	t.Helper()
	r, err := Read([]string{write(t, name, content)}, s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Somebody has sorted the columns of an export, added some, translated one and
// saved it with semicolons: it is read as before.
func TestColumnsAreFoundByTheirHeadings(t *testing.T) {
	t.Parallel()
	s := settings(t)
	s.Columns = map[string]string{"ticket_type": "Ticketart"}
	r := read(t, s, "e.csv", "Note;total paid;Attendee status;ORDER NO.;Ticketart;Order date;Event ID\n"+
		"x;\"1.049,50\";Attending;77;Regular;2024-05-01 10:00:00+02:00;5\n")
	if len(r.Problems) > 0 || len(r.Orders) != 1 {
		t.Fatalf("%v, %d orders", r.Problems, len(r.Orders))
	}
	o := r.Orders[0]
	if o.ID != "77" || o.Event != "5" || o.Payment.CapturedMinor != 104_950 || !o.OrderedAt.Equal(time.Date(2024, 5, 1, 8, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v, %+v", o, o.Payment)
	}
}

// Each line that cannot be imported is named with its number and a reason, all of
// them at once, and takes its whole order with it; what is right stays.
func TestProblemsAreAllNamed(t *testing.T) {
	t.Parallel()
	const head = "Order #,Order Date,Email,Ticket Type,Total Paid,Attendee Status,Quantity,Currency\n"
	s := settings(t)
	s.Zone = nil
	for name, c := range map[string]struct {
		rows, says string
		orders     int
	}{
		"no zone":           {"1,2024-05-01 10:00:00,a@b.c,R,10.00,Attending,1,EUR\n", "e.csv:2: order 1: the order's time: \"2024-05-01 10:00:00\" has no time zone", 0},
		"two days":          {"1,03/04/2024,a@b.c,R,10.00,Attending,1,EUR\n", "say which with --date-order", 0},
		"the future":        {"1,2031-05-01T10:00:00Z,a@b.c,R,10.00,Attending,1,EUR\n", "not in the past", 0},
		"no order":          {",2024-05-01T10:00:00Z,a@b.c,R,10.00,Attending,1,EUR\n", "e.csv:2: there is no order number", 0},
		"an unknown status": {"1,2024-05-01T10:00:00Z,a@b.c,R,10.00,Levitating,1,EUR\n", "the status \"Levitating\"", 0},
		"no amount":         {"1,2024-05-01T10:00:00Z,a@b.c,R,ten,Attending,1,EUR\n", "cannot be read", 0},
		"too exact":         {"1,2024-05-01T10:00:00Z,a@b.c,R,10.005,Attending,1,EUR\n1,2024-05-01T10:00:00Z,a@b.c,R,1.0055,Attending,1,EUR\n", "e.csv:3", 0},
		"no currency":       {"1,2024-05-01T10:00:00Z,a@b.c,R,10.00,Attending,1,Taler\n", "the currency \"TALER\"", 0},
		"two currencies":    {"1,2024-05-01T10:00:00Z,a@b.c,R,10.00,Attending,1,EUR\n1,2024-05-01T10:00:00Z,a@b.c,R,10.00,Attending,1,USD\n", "e.csv:3: order 1: it is in EUR and in USD", 0},
		"no ticket type":    {"1,2024-05-01T10:00:00Z,a@b.c,,10.00,Attending,1,EUR\n", "there is no ticket type", 0},
		"too many tickets":  {"1,2024-05-01T10:00:00Z,a@b.c,R,10.00,Attending,5000,EUR\n", "lines: 1 to 32 are possible", 0},
		"one of two":        {"1,2024-05-01T10:00:00Z,a@b.c,R,10.00,?,1,EUR\n1,2024-05-01T10:00:00Z,a@b.c,R,10.00,Attending,1,EUR\n2,2024-05-01T10:00:00Z,a@b.c,R,10.00,Attending,1,EUR\n", "e.csv:2", 1},
		"broken quotes":     {"1,2024-05-01T10:00:00Z,a@b.c,R,10.00,Attending,1,EUR\n2,2024-05-01T10:00:00Z,\"a\"b,R,10.00,Attending,1,EUR\n", "e.csv:3: the file cannot be read from here on", 1},
		"another encoding":  {"1,2024-05-01T10:00:00Z,a@b.c,R\xfcck,10.00,Attending,1,EUR\n", "not UTF-8", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := read(t, s, "e.csv", head+c.rows)
			if len(r.Problems) == 0 || !strings.Contains(r.Problems[0].String(), c.says) || len(r.Orders) != c.orders {
				t.Errorf("%v with %d orders, want %q and %d", r.Problems, len(r.Orders), c.says, c.orders)
			}
		})
	}
}

// A file of another program is refused whole, and told what it lacks.
func TestUnknownLayouts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ content, says string }{
		"others":        {"Order #,Gross sales\n", "eventbrite lacks \"Ticket Type\""},
		"nothing":       {"", "no line of headings"},
		"no header":     {`{"type":"registration"}`, "first line must be a header"},
		"newer version": {`{"type":"header","version":2,"source":"m"}`, "has version 2"},
	} {
		if _, err := Read([]string{write(t, "f", c.content)}, settings(t)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	if _, err := Read(append(slices.Clone(exports["eventbrite"]), exports["monolith"]...), settings(t)); err == nil || !strings.Contains(err.Error(), "one after the other") {
		t.Errorf("two systems in one import: %v", err)
	}
	_, err := Read([]string{write(t, "f.csv", "a,b\n")}, settings(t))
	if !errors.Is(err, ErrFormat) {
		t.Errorf("%v is not ErrFormat", err)
	}
}

// The own format is strict: a mistyped field would be a lost amount.
func TestOwnFormatIsStrict(t *testing.T) {
	t.Parallel()
	const head = `{"type":"header","version":1,"source":"m"}` + "\n"
	const right = `{"type":"registration","id":"1","event":"e","ordered_at":"2024-05-01T10:00:00Z","attendee":{},"lines":[{"ticket_type":"r","quantity":1,"unit_price_minor":100}],"payment":{"captured_minor":100}}`
	for says, change := range map[string]func(string) string{
		"unknown field": func(s string) string { return strings.Replace(s, "captured_minor", "captured", 1) },
		"must be":       func(s string) string { return strings.Replace(s, `"quantity":1`, `"quantity":"1"`, 1) },
		"no JSON":       func(s string) string { return s[:20] },
		"of type":       func(s string) string { return strings.Replace(s, "registration", "refund", 1) },
		"were captured": func(s string) string { return strings.Replace(s, `"captured_minor":100`, `"captured_minor":101`, 1) },
		"no payment":    func(s string) string { return strings.Replace(s, `,"payment":{"captured_minor":100}`, "", 1) },
		"as well":       func(s string) string { return right + "\n" + s },
		"more than is left": func(s string) string {
			return strings.Replace(s, `"captured_minor":100`, `"captured_minor":100,"refunds":[{"amount_minor":101}]`, 1)
		},
		"before the capture": func(s string) string {
			return strings.Replace(s, `"captured_minor":100`, `"captured_minor":100,"refunds":[{"amount_minor":1,"refunded_at":"2024-04-01T10:00:00Z"}]`, 1)
		},
		"cancelled at": func(s string) string {
			return strings.Replace(strings.Replace(s, `"quantity":1`, `"quantity":1,"cancelled":true`, 1), `"attendee"`, `"cancelled_at":"2024-04-01T10:00:00Z","attendee"`, 1)
		},
	} {
		t.Run(says, func(t *testing.T) {
			t.Parallel()
			r := read(t, settings(t), "m.ndjson", head+change(right)+"\n")
			r.Events["e"] = &Event{Name: "E", StartsAt: time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC)}
			p, err := NewPlan(r, Targets{Organiser: "acme", CreateEvents: true})
			if err != nil || len(p.Problems) != 1 || !strings.Contains(p.Problems[0].Reason, says) {
				t.Errorf("%v, %v", p.Problems, err)
			}
		})
	}
}

// Amounts are written in many ways, and never guessed.
func TestAmounts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"": 0, "0": 0, "12": 1200, "12.5": 1250, "12,50": 1250, "1,234.50": 123_450, "1.234,50": 123_450, "1,234": 123_400, "1.234.567": 123_456_700,
		"EUR 49.00": 4900, "€ 49,00": 4900, "-3.20": -320, "49.000": 4_900_000, "1,234.500": 123_450,
	} {
		if got, err := amountOf(text, "EUR"); err != nil || got != want {
			t.Errorf("%q is %d (%v), want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"ten", "1.2345", "99999999999999999", "1.234,567"} {
		if got, err := amountOf(text, "EUR"); err == nil {
			t.Errorf("%q is taken for %d", text, got)
		}
	}
	if got, err := amountOf("1,500", "JPY"); err != nil || got != 1500 {
		t.Errorf("1,500 yen are %d (%v)", got, err)
	}
	if got, err := amountOf("1.500", "KWD"); err != nil || got != 1500 {
		t.Errorf("1.500 dinars are %d (%v)", got, err)
	}
}

func existing() *pb.Event {
	id := topology.EventID("acme", "fair")
	return &pb.Event{
		EventId: id[:], Organiser: "acme", Name: "Fair", Currency: "EUR", Status: pb.EventStatus_EVENT_STATUS_ON_SALE,
		TicketTypes: []*pb.TicketType{{Id: "standard", Name: "Regular", TaxRateBp: 1900, TaxMode: pb.TaxMode_TAX_MODE_ON_TOP}, {Id: "vip"}, {Id: "press"}},
	}
}

// The orders of an event that is being sold here already go to it: by its name, or
// by the map, and the tax is a part of what was paid.
func TestOrdersGoToAnEventThatExists(t *testing.T) {
	t.Parallel()
	e := existing()
	id := topology.UUID(e.EventId)
	r, err := Read(exports["eventbrite"], settings(t))
	if err != nil {
		t.Fatal(err)
	}
	targets := Targets{
		Organiser: "acme", EventID: id, Events: map[uuid.UUID]*pb.Event{id: e},
		Mapping: &Mapping{Events: map[string]Rule{"901": {TicketTypes: map[string]string{"VIP, front row": "vip"}}}},
	}
	p, err := NewPlan(r, targets)
	if err != nil || len(p.Problems) > 0 || p.Events[0].Create != nil {
		t.Fatalf("%v, %v", p.Problems, err)
	}
	first := p.Orders[0]
	if l := first.Lines[0]; l.TicketType != "standard" || l.TaxMinor != 1565 || l.TotalMinor != 9800 || l.TaxMode != pb.TaxMode_TAX_MODE_INCLUDED {
		t.Errorf("the line is %v", l)
	}
	if first.ID != topology.RegistrationID("acme", "import:eventbrite:1001") {
		t.Errorf("the id is %s", first.ID)
	}
	for says, spoil := range map[string]func(*Targets){
		"has no event":       func(t *Targets) { t.Organiser = "other" },
		"name it with":       func(t *Targets) { t.EventID, t.Mapping = uuid.UUID{}, nil },
		"has no ticket type": func(t *Targets) { t.Mapping = nil },
		"its event in":       func(t *Targets) { e := existing(); e.Currency = "USD"; t.Events = map[uuid.UUID]*pb.Event{id: e} },
		"was cancelled here": func(t *Targets) {
			e := existing()
			e.Status = pb.EventStatus_EVENT_STATUS_CANCELLED
			t.Events = map[uuid.UUID]*pb.Event{id: e}
		},
		"the event has no": func(t *Targets) {
			t.Mapping = &Mapping{Events: map[string]Rule{"901": {TicketTypes: map[string]string{"Regular": "stand"}}}}
		},
		"when it starts: say": func(t *Targets) {
			t.CreateEvents, t.Mapping = true, &Mapping{Events: map[string]Rule{"901": {Create: &Event{Name: "X"}}}}
		},
	} {
		changed := targets
		spoil(&changed)
		r, _ := Read(exports["eventbrite"], settings(t))
		for _, o := range r.Orders {
			o.starts = time.Time{}
		}
		p, err := NewPlan(r, changed)
		if err != nil || !slices.ContainsFunc(p.Problems, func(p Problem) bool { return strings.Contains(p.Reason, says) }) {
			t.Errorf("%q is not said: %v, %v", says, p.Problems, err)
		}
	}
}

// The files or the flags of an import have changed since it was killed: it does not
// go on from there. A torn or foreign file is named, and not overwritten.
func TestStateIsGuarded(t *testing.T) {
	t.Parallel()
	plan := func(organiser string, files ...string) *Plan {
		r, err := Read(files, settings(t))
		if err != nil {
			t.Fatal(err)
		}
		p, err := NewPlan(r, Targets{Organiser: organiser, CreateEvents: true})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	path := filepath.Join(t.TempDir(), "state.json")
	p := plan("acme", exports["eventbrite"]...)
	s, err := openState(path, p)
	if err != nil {
		t.Fatal(err)
	}
	s.Done = 3
	if err := s.save(path); err != nil {
		t.Fatal(err)
	}
	if again, err := openState(path, p); err != nil || again.Done != 3 {
		t.Errorf("it goes on from %+v, %v", again, err)
	}
	for _, other := range []*Plan{plan("other", exports["eventbrite"]...), plan("acme", exports["monolith"]...)} {
		if _, err := openState(path, other); !errors.Is(err, ErrChanged) {
			t.Errorf("another import goes on: %v", err)
		}
	}
	torn := write(t, "torn.json", `{"version":1,"digest":"`)
	if _, err := openState(torn, p); err == nil || errors.Is(err, ErrChanged) {
		t.Errorf("a torn file: %v", err)
	}
}

// However many tickets a row has, and whatever they cost together, the lines that
// are made of it add up to it, and each has one price.
func TestRowsAreSplitIntoLines(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		whole := ticket{
			ticketType: "r", quantity: rapid.Uint32Range(1, 1000).Draw(rt, "quantity"), total: rapid.Int64Range(0, 1_000_000).Draw(rt, "total"),
			taxed: true, rate: 1900,
		}
		whole.tax = whole.total / 7
		var sum ticket
		for _, part := range gather(nil, split(whole)) {
			if part.quantity == 0 || part.quantity > quantityMax || part.total%int64(part.quantity) != 0 || part.tax < 0 {
				rt.Fatalf("a part of %+v", part)
			}
			sum.quantity, sum.total, sum.tax = sum.quantity+part.quantity, sum.total+part.total, sum.tax+part.tax
		}
		if sum.quantity != whole.quantity || sum.total != whole.total || sum.tax != whole.tax {
			rt.Fatalf("%+v became %+v", whole, sum)
		}
	})
}
