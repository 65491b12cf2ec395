package clickhouse

import (
	"database/sql"
	"fmt"
	"regexp"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// DefaultDatabase is the database of the analytics model.
const DefaultDatabase = "boxoffice"

var databaseName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,62}$`)

// options reads a ClickHouse URL and puts the database in. The URL may name several
// servers: http://a:8123,b:8123.
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

// preset gives settings a value where the URL gives none.
func preset(o *ch.Options, settings ch.Settings) {
	for name, value := range settings {
		if _, given := o.Settings[name]; !given {
			o.Settings[name] = value
		}
	}
}

// OpenDB opens the analytics database for queries. No server is contacted yet. Of
// several servers a connection takes the first that answers.
func OpenDB(url, database string) (*sql.DB, error) {
	o, err := options(url, database)
	if err != nil {
		return nil, err
	}
	return ch.OpenDB(o), nil
}

// openWriter opens the connection for inserts and counts the bytes that it sends.
//
// Of several servers each new connection takes the next one, and a connection on
// which an insert failed is closed. So the repetition goes to another server, also
// when the one before still answers but cannot write.
func openWriter(url, database string, sent func(int)) (driver.Conn, error) {
	o, err := options(url, database)
	if err != nil {
		return nil, err
	}
	o.ConnOpenStrategy = ch.ConnOpenRoundRobin
	o.DialContext = countingDial(o, sent)
	return ch.Open(o)
}

// clusterInserts are the settings of inserts into a cluster, but those that the URL
// sets itself. I6: an offset is committed on the strength of the answer.
//
//   - In the foreground: by default a Distributed table answers when the server that
//     took the rows has them in a queue on its own disk.
//   - By a majority of a shard's replicas: else the rows are gone with the one replica
//     that had them, and nobody loads them again.
func clusterInserts(url, database, cluster string) (ch.Settings, error) {
	if cluster == "" {
		return ch.Settings{}, nil
	}
	o, err := options(url, database)
	if err != nil {
		return nil, err
	}
	settings := ch.Settings{"distributed_foreground_insert": 1, "insert_quorum": "auto"}
	for name := range o.Settings {
		delete(settings, name)
	}
	return settings, nil
}
