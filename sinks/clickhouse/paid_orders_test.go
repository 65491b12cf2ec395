package clickhouse

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/sinks/clickhouse/queries"
)

// openItems is what a query about open items shows.
func openItems(t *testing.T, db *sql.DB, query string, values map[string]string) string {
	t.Helper()
	args := make([]any, 0, len(values))
	for name, value := range values {
		if strings.Contains(query, "{"+name+":") {
			args = append(args, named(name, value))
		}
	}
	return lines(t, db, query, args...)
}

// nothingKept reads a query as if nothing were kept in paid_orders.
func nothingKept(query string) string {
	return strings.ReplaceAll(query, "FROM paid_orders_snapshots", "FROM (SELECT * FROM paid_orders_snapshots WHERE 0)")
}

// wantOpenItems holds the open items, which are taken from paid_orders as far as that
// goes, against those of a plain join of all orders and payments, and their list
// against itself with nothing kept.
func wantOpenItems(t *testing.T, db *sql.DB, rnd *rand.Rand) {
	t.Helper()
	sums, list := query(t, queries.OpenItems), query(t, queries.OpenItemsList)
	plain, err := os.ReadFile("testdata/open_items_plain.sql")
	if err != nil {
		t.Fatal(err)
	}
	pick := func(of ...string) string { return of[rnd.IntN(len(of))] }
	for range 2 {
		from := time.UnixMilli(noon + rnd.Int64N(100*24*60)*min1)
		to := from.Add(time.Duration(1+rnd.Int64N(60*24*60)) * time.Minute)
		values := map[string]string{
			"from": pick(queries.Time(from), queries.Time(queries.Beginning)), "to": pick(queries.Time(to), queries.Time(queries.End)),
			"basis": pick("booked", "occurred"), "organiser": pick(queries.All, "acme"), "currency": pick(queries.All, queries.All, "JPY"),
			"event":     pick(queries.All, queries.All, topology.EventID("acme", "one").String()),
			"test_mode": pick("false", "true"),
		}
		if got, want := openItems(t, db, sums, values), openItems(t, db, string(plain), values); got != want {
			t.Fatalf("open items with %v:\n%sof all orders joined:\n%s", values, got, want)
		}
		if got, want := openItems(t, db, list, values), openItems(t, db, nothingKept(list), values); got != want {
			t.Fatalf("list of open items with %v:\n%swith nothing kept:\n%s", values, got, want)
		}
	}
}

func query(t *testing.T, name string) string {
	t.Helper()
	q, err := queries.Get(name)
	if err != nil {
		t.Fatal(err)
	}
	return q.SQL
}

// keeper is a refresh of paid_orders that joins a few orders at a time and drops old
// snapshots at once.
func keeper(db *sql.DB, exec func(context.Context, string) error) *paidOrders {
	return &paidOrders{db: db, exec: exec, bucket: 7}
}

// Records come late, in any order, twice and all of them once more; parts are merged,
// rows are deleted, tables are exchanged for others, and the refresh crashes before or
// after any of its statements, or does not run. Whatever paid_orders has by then, the
// open items are those of a join of all orders with all payments.
func TestOpenItemsAreExactWhateverIsKept(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			name, db := newDatabase(t)
			if _, err := Migrate(t.Context(), engineURL, name); err != nil {
				t.Fatal(err)
			}
			s := &sales{rnd: rand.New(rand.NewPCG(seed, 7)), t: t}
			var known []*kgo.Record
			for round := range 4 {
				for i := range 20 {
					known = append(known, s.order(100*round+i)...)
				}
				known = s.mixed(known)[:len(known)]
				loadRecords(t, name, known[s.rnd.IntN(len(known)/2):])
				wantOpenItems(t, db, s.rnd)
				left := s.rnd.IntN(40)
				_, err := keeper(db, func(ctx context.Context, statement string) error {
					if left--; left < 0 {
						return errCrash
					}
					return executor(db)(ctx, statement)
				}).run(t.Context())
				if err != nil && !errors.Is(err, errCrash) {
					t.Fatal(err)
				}
				wantOpenItems(t, db, s.rnd)
				disturb(t, db, s.rnd)
				wantOpenItems(t, db, s.rnd)
			}
			if _, err := keeper(db, executor(db)).run(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantOpenItems(t, db, s.rnd)
		})
	}
}

// disturb does to the facts what can happen to them.
func disturb(t *testing.T, db *sql.DB, rnd *rand.Rand) {
	t.Helper()
	table := []string{"registrations", "payments"}[rnd.IntN(2)]
	switch rnd.IntN(5) {
	case 0:
		mutate(t, db, "OPTIMIZE TABLE "+table+" FINAL")
	case 1:
		mutate(t, db, "ALTER TABLE "+table+" DELETE WHERE cityHash64(registration_id) % 5 = 0 SETTINGS mutations_sync = 1")
	case 2:
		mutate(t, db, "DELETE FROM "+table+" WHERE cityHash64(registration_id) % 7 = 0")
	case 3: // another table with other rows, and parts of the same names
		mutate(t, db, "CREATE TABLE other AS "+table)
		mutate(t, db, "INSERT INTO other SELECT * FROM "+table+" WHERE cityHash64(registration_id) % 3 > 0")
		mutate(t, db, "EXCHANGE TABLES other AND "+table)
		mutate(t, db, "DROP TABLE other SYNC")
	}
}

// everythingJoined is a database with a few sales whose months are all joined.
func everythingJoined(t *testing.T) (name string, db *sql.DB, s *sales) {
	t.Helper()
	name, db = newDatabase(t)
	if _, err := Migrate(t.Context(), engineURL, name); err != nil {
		t.Fatal(err)
	}
	s = &sales{rnd: rand.New(rand.NewPCG(1, 7)), t: t}
	var records []*kgo.Record
	for i := range 60 {
		records = append(records, s.order(i)...)
	}
	loadRecords(t, name, records)
	if joined, err := RefreshPaidOrders(t.Context(), db, Restraint{}); err != nil || joined < 3 {
		t.Fatalf("joined %d months: %v", joined, err)
	}
	return name, db, s
}

func refreshed(t *testing.T, db *sql.DB, restraint Restraint) int {
	t.Helper()
	joined, err := RefreshPaidOrders(t.Context(), db, restraint)
	if err != nil {
		t.Fatal(err)
	}
	return joined
}

// allTime are the open items of all time, and what of them was confirmed.
func allTime(t *testing.T, db *sql.DB) (all, confirmed string) {
	t.Helper()
	all = openItems(t, db, query(t, queries.OpenItems), map[string]string{
		"from": queries.Time(queries.Beginning), "to": queries.Time(queries.End), "basis": "booked",
		"organiser": queries.All, "event": queries.All, "currency": queries.All, "test_mode": "false",
	})
	for line := range strings.Lines(all) {
		confirmed += strings.Split(line, "\t")[3] + " "
	}
	return all, confirmed
}

// A month that was joined is not joined again, and figures come from paid_orders: when
// its rows there are changed, they are. This shows that the comparison above is one of
// two different ways.
func TestOpenItemsAreReadFromWhatIsKept(t *testing.T) {
	t.Parallel()
	_, db, _ := everythingJoined(t)
	if again := refreshed(t, db, Restraint{}); again != 0 {
		t.Errorf("joined %d months again", again)
	}
	before, _ := allTime(t, db)
	mutate(t, db, "ALTER TABLE paid_orders UPDATE total_minor = 0 WHERE 1 SETTINGS mutations_sync = 1")
	if after, confirmed := allTime(t, db); confirmed != strings.Repeat("0 ", strings.Count(before, "\n")) {
		t.Errorf("with other totals in paid_orders:\n%sand before:\n%s", after, before)
	}
}

// A power cut takes rows of paid_orders and leaves the note that they are there: the
// month does not stand, figures are right, and it is joined again.
func TestRowsThatAreLostFromWhatIsKept(t *testing.T) {
	t.Parallel()
	_, db, s := everythingJoined(t)
	before, _ := allTime(t, db)
	mutate(t, db, "ALTER TABLE paid_orders DELETE WHERE cityHash64(registration_id) % 2 = 0 SETTINGS mutations_sync = 1")
	if after, _ := allTime(t, db); after != before {
		t.Errorf("with half of the rows gone:\n%sand before:\n%s", after, before)
	}
	if joined := refreshed(t, db, Restraint{}); joined < 3 {
		t.Errorf("%d months were joined again", joined)
	}
	wantOpenItems(t, db, s.rnd)
}

// A month that is being loaded is left alone for a while, and a new snapshot is not used
// at once: a query that has begun may not see its rows.
func TestMonthsAreJoinedWithRestraint(t *testing.T) {
	t.Parallel()
	_, db, s := everythingJoined(t)
	rewritten := func() {
		// All rows come again, often enough to be more than a reader should join.
		for range 2 {
			mutate(t, db, "INSERT INTO registrations SELECT * REPLACE (version + 1 AS version) FROM registrations ARRAY JOIN range(20) AS n")
		}
		mutate(t, db, "OPTIMIZE TABLE registrations FINAL")
	}
	rewritten()
	if joined := refreshed(t, db, defaultRestraint); joined != 0 {
		t.Errorf("joined %d months that are being loaded", joined)
	}
	if joined := refreshed(t, db, Restraint{Calm: time.Hour, Notice: time.Hour}); joined != 0 {
		t.Errorf("joined %d months whose last snapshot is not used yet", joined)
	}
	if joined := refreshed(t, db, Restraint{Calm: time.Hour, BusyRows: 1_000_000}); joined != 0 {
		t.Errorf("joined %d small months that are being loaded", joined)
	}
	if joined := refreshed(t, db, Restraint{Calm: time.Hour}); joined < 3 {
		t.Errorf("joined %d months that were joined long ago", joined)
	}
	rewritten()
	for _, s := range []Restraint{{}, {Notice: time.Hour}} {
		if _, err := db.Exec("TRUNCATE TABLE paid_orders_snapshots"); err != nil {
			t.Fatal(err)
		}
		refreshed(t, db, s)
		stand := lines(t, db, "SELECT count() > 0 FROM ("+queries.SnapshotsThatStand()+")")
		if want := fmt.Sprintln(map[bool]int{true: 1}[s.Notice == 0]); stand != want {
			t.Errorf("with %+v there are snapshots that stand: %s", s, stand)
		}
	}
	wantOpenItems(t, db, s.rnd)
}

// Snapshots that were replaced, and those of a refresh that crashed, are dropped.
func TestOldSnapshotsAreDropped(t *testing.T) {
	t.Parallel()
	name, db := newDatabase(t)
	if _, err := Migrate(t.Context(), engineURL, name); err != nil {
		t.Fatal(err)
	}
	s := &sales{rnd: rand.New(rand.NewPCG(2, 7)), t: t}
	for i := range 20 {
		loadRecords(t, name, s.order(i))
	}
	for range 2 {
		refreshed(t, db, Restraint{})
		mutate(t, db, "INSERT INTO registrations SELECT * REPLACE (version + 1 AS version) FROM registrations")
		mutate(t, db, "OPTIMIZE TABLE registrations FINAL")
	}
	months := lines(t, db, "SELECT uniqExact(month) FROM paid_orders_snapshots")
	if got := lines(t, db, "SELECT uniqExact(snapshot) FROM paid_orders"); got == months {
		t.Fatalf("%s snapshots of %s months: nothing was replaced", got, months)
	}
	if _, err := keeper(db, executor(db)).run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := keeper(db, executor(db)).run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, db, "SELECT uniqExact(snapshot) FROM paid_orders"); got != months {
		t.Errorf("%s snapshots are left of %s months", got, months)
	}
}
