package clickhouse

import (
	"database/sql"
	"fmt"
	"net/http"
	"regexp"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// DefaultDatabase is the database of the analytics model.
const DefaultDatabase = "boxoffice"

var databaseName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,62}$`)

// options reads a ClickHouse URL and puts the database in.
func options(url, database string) (*ch.Options, error) {
	if !databaseName.MatchString(database) {
		return nil, fmt.Errorf("database name %q: use letters, digits and underscores", database)
	}
	o, err := ch.ParseDSN(url)
	if err != nil {
		return nil, fmt.Errorf("reading the ClickHouse URL: %w", err)
	}
	o.Auth.Database = database
	return o, nil
}

// OpenDB opens the analytics database for queries. The server is not contacted
// yet.
func OpenDB(url, database string) (*sql.DB, error) {
	o, err := options(url, database)
	if err != nil {
		return nil, err
	}
	return ch.OpenDB(o), nil
}

// openWriter opens the connection for inserts and counts the bytes that it sends
// over HTTP.
func openWriter(url, database string, sent func(int)) (driver.Conn, error) {
	o, err := options(url, database)
	if err != nil {
		return nil, err
	}
	o.TransportFunc = func(t *http.Transport) (http.RoundTripper, error) {
		return countingTransport{next: t, sent: sent}, nil
	}
	return ch.Open(o)
}
