package reports

import (
	"context"
	"database/sql"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/eventpro/boxoffice/internal/embedded/clickhouse/clickhousetest"
	"github.com/eventpro/boxoffice/internal/goldensales"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var (
	// server is the engine's URL.
	server string
	// db is a database with the golden sales.
	db *sql.DB
)

func TestMain(m *testing.M) {
	os.Exit(clickhousetest.Main(m, func(url string) (err error) {
		server = url
		db, err = goldensales.Load(context.Background(), url, "golden", goldensales.Records())
		return err
	}))
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
