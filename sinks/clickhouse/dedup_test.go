package clickhouse

import (
	"testing"
	"time"
)

// An insert that was stored though its answer was lost is repeated with the same
// token: ClickHouse drops it before it makes a part, also from the audit trail,
// which has no versions. Other offsets are another insert.
func TestRepeatedInsertMakesNoRows(t *testing.T) {
	t.Parallel()
	name, db := newDatabase(t)
	schema, err := Migrate(t.Context(), engineURL, name)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := openWriter(engineURL, name, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	w := &writer{conn: conn, timeout: time.Minute, schema: schema}
	b := newBatch()
	for i, r := range story(t) {
		r.Offset = int64(i)
		b.add(r)
	}
	tables := b.rows()
	for _, table := range tables {
		if _, err := db.Exec("SYSTEM STOP MERGES " + table.name); err != nil {
			t.Fatal(err)
		}
	}
	for _, tokens := range []string{"one", "one", "two"} {
		for _, table := range tables {
			if err := w.insert(t.Context(), table, tokens); err != nil {
				t.Fatal(err)
			}
		}
	}
	for table, want := range map[string]string{"events": "26\n", "registrations": "4\n", "payments": "2\n", "movements": "4\n", "seat_blocks": "2\n"} {
		if got := lines(t, db, "SELECT count() FROM "+table); got != want {
			t.Errorf("%s has %s rows after two different inserts, one of them twice; want %s", table, got, want)
		}
	}
}
