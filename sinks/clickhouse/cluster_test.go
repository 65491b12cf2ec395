package clickhouse

import (
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"

	"github.com/eventpro/boxoffice/sinks/clickhouse/distributed"
	"github.com/eventpro/boxoffice/sinks/clickhouse/migrations"
)

// There is no cluster to try the schema of a cluster on. What is held: it is the
// golden one, so that a change of a migration shows what becomes of it there; the
// engine's parser takes every statement; each table has its two halves.
func TestClusterSchemaIsTheGoldenOne(t *testing.T) {
	t.Parallel()
	target := distributed.Target{Cluster: "sales", Database: DefaultDatabase}
	files, err := distributed.Migrations(migrations.FS, target)
	if err != nil {
		t.Fatalf("a migration has no form for a cluster: %v", err)
	}
	plain, err := fs.Glob(migrations.FS, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	if names := slices.Sorted(maps.Keys(files)); !slices.Equal(names, plain) {
		t.Errorf("rewritten %v, want %v", names, plain)
	}
	ddl := "-- Before the migrations, unless they are there.\n\n" +
		target.CreateDatabase() + ";\n\n" + target.CreateVersions(goose.DefaultTablename) + ";\n"
	for _, name := range plain {
		ddl += "\n-- " + name + "\n\n" + string(files[name])
	}
	golden(t, "cluster.golden.sql", ddl)
	db, err := OpenDB(engineURL, "default")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	statements := strings.Split(strings.TrimSpace(ddl), ";\n")
	for _, s := range statements {
		if tree := lines(t, db, "EXPLAIN AST "+strings.TrimSuffix(s, ";")); tree == "" {
			t.Errorf("no syntax tree of\n%s", s)
		}
	}
	for _, table := range newBatch().tables() {
		for _, want := range []string{
			"CREATE TABLE IF NOT EXISTS boxoffice." + table.name + "_local ON CLUSTER 'sales'\n(",
			"CREATE TABLE IF NOT EXISTS boxoffice." + table.name + " ON CLUSTER 'sales' AS boxoffice." + table.name + "_local\nENGINE = Distributed(",
		} {
			if !strings.Contains(ddl, want) {
				t.Errorf("table %s: %q is missing", table.name, want)
			}
		}
	}
}
