package rebuild_test

import (
	"os"
	"testing"

	"github.com/eventpro/boxoffice/internal/embedded/clickhouse/clickhousetest"
)

// engineURL is the one ClickHouse of this process.
var engineURL string

func TestMain(m *testing.M) {
	os.Exit(clickhousetest.Main(m, func(url string) error { engineURL = url; return nil }))
}
