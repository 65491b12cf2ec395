package distributed

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

var sales = Target{Cluster: "sales", Database: "boxoffice"}

const twoTables = `-- Facts; with a semicolon in the comment.

-- +goose NO TRANSACTION
-- +goose Up
CREATE TABLE IF NOT EXISTS facts
(
    id   UUID COMMENT 'The fact''s id; never changes',
    day  Date,
    note String
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(day)
ORDER BY (day, id)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'Facts; the last version wins, ORDER BY nothing';

CREATE TABLE IF NOT EXISTS trail (at DateTime) ENGINE = MergeTree ORDER BY toDate(at);

-- +goose Down
DROP TABLE IF EXISTS trail;
`

func rewritten(t *testing.T, later string) (string, error) {
	t.Helper()
	plain := fstest.MapFS{"00001_a.sql": {Data: []byte(twoTables)}, "00002_b.sql": {Data: []byte(later)}}
	files, err := Migrations(plain, sales)
	if err != nil {
		return "", err
	}
	first, err := fs.ReadFile(files, "00001_a.sql")
	if err != nil {
		t.Fatal(err)
	}
	second, err := fs.ReadFile(files, "00002_b.sql")
	if err != nil {
		t.Fatal(err)
	}
	return string(first) + string(second), nil
}

// Each kind of statement ends on every server, and on the right one of the two tables.
func TestEveryKindOfStatement(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, plain, want string }{
		{"table", "", "CREATE TABLE IF NOT EXISTS boxoffice.facts_local ON CLUSTER 'sales'\n(\n    id   UUID COMMENT 'The fact''s id; never changes',"},
		{"engine", "", "ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}', version)\nPARTITION BY toYYYYMM(day)"},
		{"engine without arguments", "", "ENGINE = ReplicatedMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')\nORDER BY toDate(at);"},
		{"key that is an expression", "", "cityHash64(toDate(at)));"},
		{"window", "", "\nSETTINGS replicated_deduplication_window = 1000\n"},
		{
			"distributed table", "",
			"CREATE TABLE IF NOT EXISTS boxoffice.facts ON CLUSTER 'sales' AS boxoffice.facts_local\n" +
				"ENGINE = Distributed('sales', 'boxoffice', 'facts_local', cityHash64(day, id))\nCOMMENT 'Facts; the last version wins, ORDER BY nothing';",
		},
		{"comments stay", "", "-- Facts; with a semicolon in the comment.\n\n-- +goose NO TRANSACTION\n-- +goose Up\n"},
		{"table is dropped", "", "DROP TABLE IF EXISTS boxoffice.trail ON CLUSTER 'sales' SYNC;\n\nDROP TABLE IF EXISTS boxoffice.trail_local ON CLUSTER 'sales' SYNC;"},
		{
			"column", "ALTER TABLE facts ADD COLUMN IF NOT EXISTS a Array(Decimal(9, 2)) AFTER note, ADD INDEX IF NOT EXISTS i note TYPE minmax;",
			"ALTER TABLE boxoffice.facts_local ON CLUSTER 'sales' ADD COLUMN IF NOT EXISTS a Array(Decimal(9, 2)) AFTER note, ADD INDEX IF NOT EXISTS i note TYPE minmax;\n\n" +
				"ALTER TABLE boxoffice.facts ON CLUSTER 'sales' ADD COLUMN IF NOT EXISTS a Array(Decimal(9, 2)) AFTER note;",
		},
		{
			"index only", "ALTER TABLE facts MATERIALIZE INDEX i;\n-- end\n",
			"\nALTER TABLE boxoffice.facts_local ON CLUSTER 'sales' MATERIALIZE INDEX i;\n-- end\n",
		},
		{
			"view", "CREATE VIEW IF NOT EXISTS v AS SELECT facts.id FROM facts FINAL ARRAY JOIN facts JOIN (SELECT 1 FROM other) AS o ON 1;",
			"CREATE VIEW IF NOT EXISTS boxoffice.v ON CLUSTER 'sales' AS SELECT facts.id FROM boxoffice.facts FINAL ARRAY JOIN facts JOIN (SELECT 1 FROM other) AS o ON 1;",
		},
		{
			"materialized view", "CREATE MATERIALIZED VIEW IF NOT EXISTS m TO trail AS SELECT at FROM facts;",
			"CREATE MATERIALIZED VIEW IF NOT EXISTS boxoffice.m ON CLUSTER 'sales' TO boxoffice.trail_local AS SELECT at FROM boxoffice.facts_local;",
		},
		{"view is dropped", "DROP VIEW IF EXISTS v;", "DROP VIEW IF EXISTS boxoffice.v ON CLUSTER 'sales' SYNC;"},
		{"rows", "INSERT INTO trail SELECT day FROM facts FINAL;", "INSERT INTO trail SELECT day FROM facts FINAL;"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := rewritten(t, c.plain)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(got, c.want) {
				t.Errorf("got\n%s\nwant in it\n%s", got, c.want)
			}
		})
	}
}

// A statement that has no rule, or that would go wrong when it is repeated, is an
// error that names it: passed on as it is it would change one server of many.
func TestWhatCannotBeRewrittenIsRefused(t *testing.T) {
	t.Parallel()
	for plain, want := range map[string]string{
		"RENAME TABLE facts TO old;":                                                 `"RENAME TABLE facts TO old": no rule`,
		"CREATE TABLE t (a Int8) ENGINE = MergeTree ORDER BY a;":                     "IF NOT EXISTS is missing",
		"CREATE TABLE IF NOT EXISTS t (a Int8) ENGINE = Memory;":                     "engine Memory has no replicated form",
		"CREATE TABLE IF NOT EXISTS t (a Int8) ENGINE = MergeTree ORDER BY tuple();": "without a sorting key",
		"CREATE TABLE IF NOT EXISTS t AS facts;":                                     "want columns in brackets",
		"CREATE TABLE IF NOT EXISTS a.t (a Int8) ENGINE = MergeTree ORDER BY a;":     "no plain name",
		"ALTER TABLE facts ADD COLUMN a Int8;":                                       "lacks IF [NOT] EXISTS",
		"ALTER TABLE fcts ADD COLUMN IF NOT EXISTS a Int8;":                          "fcts is no table",
		"CREATE MATERIALIZED VIEW IF NOT EXISTS m REFRESH EVERY 1 HOUR AS SELECT 1;": "must write TO a table",
		"DROP TABLE facts;":          "IF EXISTS is missing",
		"DROP TABLE IF EXISTS facts": "does not end with a semicolon",
		"-- +goose StatementBegin\nSELECT 1;\n-- +goose StatementEnd\n": "not known to the rewriting",
	} {
		if got, err := rewritten(t, plain); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "00002_b.sql") {
			t.Errorf("%s: %v, want %q of 00002_b.sql\n%s", plain, err, want, got)
		}
	}
}

// The cluster's name goes into statements as it is.
func TestClusterNames(t *testing.T) {
	t.Parallel()
	for name, good := range map[string]bool{
		"sales": true, "eu-1.sales": true, "{cluster}": true, "": false, "a'b": false, "{a": false, "a b": false,
	} {
		if err := (Target{Cluster: name, Database: "boxoffice"}).Validate(); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}
