package clickhouse

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"

	"github.com/eventpro/boxoffice/sinks/clickhouse/migrations"
)

var update = flag.Bool("update", false, "rewrite the golden files")

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

// A schema that changed without a new golden file changed by accident.
func TestSchemaIsTheGoldenOne(t *testing.T) {
	t.Parallel()
	name, db := newDatabase(t)
	version, err := Migrate(t.Context(), engineURL, name)
	if err != nil {
		t.Fatal(err)
	}
	if version != 6 {
		t.Errorf("schema version %d, want 6", version)
	}
	var ddl strings.Builder
	for _, table := range slices.Concat(Tables(), Rollups(), []string{"rollup_refreshes", "paid_orders", "paid_orders_snapshots", "registration_lines", "refunds"}) {
		var create string
		if err := db.QueryRow("SHOW CREATE TABLE " + table).Scan(&create); err != nil {
			t.Fatal(err)
		}
		ddl.WriteString(strings.ReplaceAll(create, name+".", "") + ";\n\n")
	}
	golden(t, "schema.golden.sql", ddl.String())
}

// A column that the loader does not send would silently be its type's default.
func TestEveryColumnIsSent(t *testing.T) {
	t.Parallel()
	name, db := newDatabase(t)
	if _, err := Migrate(t.Context(), engineURL, name); err != nil {
		t.Fatal(err)
	}
	for _, table := range newBatch().tables() {
		sent := map[string]bool{}
		for _, w := range table.wire {
			sent[w.Name] = true
		}
		for column := range strings.FieldsSeq(lines(t, db, "SELECT name FROM system.columns WHERE database = {db:String} AND table = {table:String}",
			named("db", name), named("table", table.name))) {
			if !sent[column] {
				t.Errorf("%s.%s is not sent", table.name, column)
			}
		}
	}
}

// A start while another instance, or an earlier run, has migrated already changes nothing.
func TestMigrateTwice(t *testing.T) {
	t.Parallel()
	name, _ := newDatabase(t)
	for range 2 {
		if _, err := Migrate(t.Context(), engineURL, name); err != nil {
			t.Fatal(err)
		}
	}
}

// A figure that nobody can look up the meaning of is read wrongly.
func TestEveryColumnHasAComment(t *testing.T) {
	t.Parallel()
	name, db := newDatabase(t)
	if _, err := Migrate(t.Context(), engineURL, name); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, db, "SELECT table, name FROM system.columns WHERE database = {db:String} AND comment = '' AND table != 'goose_db_version'", named("db", name)); got != "" {
		t.Errorf("no comment on\n%s", got)
	}
	if got := lines(t, db, "SELECT name FROM system.tables WHERE database = {db:String} AND comment = '' AND name != 'goose_db_version'", named("db", name)); got != "" {
		t.Errorf("no comment on tables\n%s", got)
	}
}

// Going back to an earlier schema and forth again leaves the schema as it was.
func TestMigrateDown(t *testing.T) {
	t.Parallel()
	name, db := newDatabase(t)
	if _, err := Migrate(t.Context(), engineURL, name); err != nil {
		t.Fatal(err)
	}
	columns := func() string {
		return lines(t, db, "SELECT table, name, type FROM system.columns WHERE database = {db:String} ORDER BY table, position", named("db", name))
	}
	before := columns()
	p, err := goose.NewProvider(goose.DialectClickHouse, db, migrations.FS)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.DownTo(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if down := columns(); strings.Contains(down, "movements") || strings.Contains(down, "booked_at") {
		t.Errorf("version 2 has\n%s", down)
	}
	if _, err := Migrate(t.Context(), engineURL, name); err != nil {
		t.Fatal(err)
	}
	if got := columns(); got != before {
		t.Errorf("got\n%s\nwant\n%s", got, before)
	}
}
