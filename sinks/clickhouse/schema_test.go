package clickhouse

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
	version, err := Migrate(t.Context(), serverURL(), name)
	if err != nil {
		t.Fatal(err)
	}
	if version != 2 {
		t.Errorf("schema version %d, want 2", version)
	}
	var ddl strings.Builder
	for _, table := range newBatch().tables() {
		var create string
		if err := db.QueryRow("SHOW CREATE TABLE " + table.name).Scan(&create); err != nil {
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
	if _, err := Migrate(t.Context(), serverURL(), name); err != nil {
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
		if _, err := Migrate(t.Context(), serverURL(), name); err != nil {
			t.Fatal(err)
		}
	}
}
