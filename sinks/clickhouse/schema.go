package clickhouse

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/pressly/goose/v3"

	"github.com/eventpro/boxoffice/sinks/clickhouse/distributed"
	"github.com/eventpro/boxoffice/sinks/clickhouse/migrations"
)

// Migrate creates the database when it is missing and brings its schema up to
// date. It returns the schema's version. Running it again changes nothing.
func Migrate(ctx context.Context, url, database string) (version int64, err error) {
	return migrateServers(ctx, url, database, "")
}

// migrateServers does so on one server, or on every server of a cluster.
func migrateServers(ctx context.Context, url, database, cluster string) (version int64, err error) {
	var files fs.FS = migrations.FS
	if cluster == "" {
		err = errors.Join(checkOneServer(ctx, url), createDatabase(ctx, url, database))
	} else {
		target := distributed.Target{Cluster: cluster, Database: database}
		if files, err = distributed.Migrations(migrations.FS, target); err == nil {
			err = prepareCluster(ctx, url, target)
		}
	}
	if err != nil {
		return 0, err
	}
	db, err := openSchema(url, database)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return migrate(ctx, db, files)
}

// ddlPatience is how many seconds a change of a cluster's schema waits for servers
// that do not answer. They make up for it when they are back; all changes come to a
// server in one order.
const ddlPatience = 30

// openSchema opens a connection for changes of the schema.
func openSchema(url, database string) (*sql.DB, error) {
	o, err := options(url, database)
	if err != nil {
		return nil, err
	}
	preset(o, ch.Settings{
		"distributed_ddl_task_timeout": ddlPatience, "distributed_ddl_output_mode": "null_status_on_timeout",
		// A migration may fill one table from another. Its rows have to go to the
		// shards that their own keys choose.
		"distributed_foreground_insert": 1, "parallel_distributed_insert_select": 0,
	})
	return ch.OpenDB(o), nil
}

func createDatabase(ctx context.Context, url, database string) (err error) {
	if _, err := options(url, database); err != nil {
		return err
	}
	db, err := openSchema(url, "default")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, "CREATE DATABASE IF NOT EXISTS "+database); err != nil {
		return fmt.Errorf("creating database %s: %w", database, err)
	}
	return nil
}

// prepareCluster makes the database on every server, and goose's table, which goose
// would make on one. What is there is not made again: a statement for a cluster
// waits for servers that are away.
func prepareCluster(ctx context.Context, url string, to distributed.Target) (err error) {
	if _, err := options(url, to.Database); err != nil {
		return err
	}
	db, err := openSchema(url, "default")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, object := range []struct{ count, create string }{
		{"system.databases WHERE name = {db:String}", to.CreateDatabase()},
		{"system.tables WHERE database = {db:String} AND name = {table:String}", to.CreateVersions(goose.DefaultTablename)},
	} {
		var there uint64
		if err := db.QueryRowContext(ctx, "SELECT count() FROM "+object.count,
			ch.Named("db", to.Database), ch.Named("table", goose.DefaultTablename)).Scan(&there); err != nil {
			return fmt.Errorf("looking for database %s: %w", to.Database, err)
		}
		if there > 0 {
			continue
		}
		if _, err := db.ExecContext(ctx, object.create); err != nil {
			return fmt.Errorf("preparing cluster %s, %.60s: %w", to.Cluster, object.create, err)
		}
	}
	return nil
}

func migrate(ctx context.Context, db *sql.DB, files fs.FS) (int64, error) {
	p, err := goose.NewProvider(goose.DialectClickHouse, db, files)
	if err != nil {
		return 0, fmt.Errorf("reading the migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return 0, fmt.Errorf("migrating the database: %w", err)
	}
	version, err := p.GetDBVersion(ctx)
	if err != nil {
		return 0, fmt.Errorf("reading the schema's version: %w", err)
	}
	return version, nil
}

// askPatience is how long one of several servers may take to say which it is.
const askPatience = 5 * time.Second

// checkOneServer refuses several servers that are no cluster: each would have tables
// of its own, and every row would be in some of them only. Several ways to one
// server are fine. A server that does not answer cannot be asked.
func checkOneServer(ctx context.Context, url string) error {
	o, err := options(url, "default")
	if err != nil || len(o.Addr) < 2 {
		return err
	}
	first := map[string]string{} // by the server's own id
	for _, addr := range o.Addr {
		id, err := serverID(ctx, o, addr)
		if err != nil {
			continue
		}
		first[id] = addr
	}
	if len(first) > 1 {
		return fmt.Errorf("%v are different servers, and no cluster is named: name it (--clickhouse-cluster), or one server only", o.Addr)
	}
	return nil
}

func serverID(ctx context.Context, o *ch.Options, addr string) (id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	one := *o
	one.Addr = []string{addr}
	db := ch.OpenDB(&one)
	defer func() { err = errors.Join(err, db.Close()) }()
	return id, db.QueryRowContext(ctx, "SELECT toString(serverUUID())").Scan(&id)
}
