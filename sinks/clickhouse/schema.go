package clickhouse

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/pressly/goose/v3"

	"github.com/eventpro/boxoffice/sinks/clickhouse/migrations"
)

// Migrate creates the database when it is missing and brings its schema up to
// date. It returns the schema's version. Running it again changes nothing.
func Migrate(ctx context.Context, url, database string) (version int64, err error) {
	if err := createDatabase(ctx, url, database); err != nil {
		return 0, err
	}
	db, err := OpenDB(url, database)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return migrate(ctx, db)
}

func migrate(ctx context.Context, db *sql.DB) (int64, error) {
	p, err := goose.NewProvider(goose.DialectClickHouse, db, migrations.FS)
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

func createDatabase(ctx context.Context, url, database string) (err error) {
	if _, err := options(url, database); err != nil {
		return err
	}
	db, err := OpenDB(url, "default")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, "CREATE DATABASE IF NOT EXISTS "+database); err != nil {
		return fmt.Errorf("creating database %s: %w", database, err)
	}
	return nil
}
