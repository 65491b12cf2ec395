// Package clickhouse loads the event topics into ClickHouse: every
// registration, payment, seat block and event with its last version, the money
// that moved, and one narrow row for every record as the audit trail.
//
// # The way of a record
//
//	poll ─> batch.add      reads id, version and kind off the wire, keeps one
//	        │              audit row, and of every key only the last version
//	        ▼
//	batch.rows             decodes the versions that are left into columns
//	        ▼
//	writer.insert          one columnar insert a table, repeated until ClickHouse
//	        │              has answered
//	        ▼
//	commit                 the offsets of the batch (I6)
//
// # What holds
//
// I6: offsets are committed only after ClickHouse has answered for every record
// below them. A crash in between loads records again, which changes nothing.
//
// I8: every table is exact at read. Facts are ReplacingMergeTree on their
// version; the audit trail is keyed by topic, partition and offset. Inserts carry
// a deduplication token made from their offsets as well, so that a batch that
// was stored though its answer was lost does not even make work.
//
// While ClickHouse is away the loader repeats the same batch with growing,
// jittered pauses, at the next server if there are several, and polls nothing. So
// order is kept and memory stays bounded: by MaxBytes for the batch, and one fetch of
// 16 MB for each broker ahead of it (buffered_bytes). It never skips a batch. A record that cannot be decoded gets an audit row of the
// kind "undecodable" and is counted and logged: the topics are written by this
// product alone, under transactions, so there is one only when a program is
// wrong, and nobody should have to restart the loader for it.
//
// # Money
//
// I4: movements is the journal of money, one row a line of a captured charge or
// of a refund that is done. Sums over it are the provider's ledger to the cent, by
// the provider's day (occurred_at) or by the day of the booking (booked_at).
//
// # Rollups
//
// revenue_by_quarter_hour and orders_by_quarter_hour are sums of movements and
// registrations for figures over long times, read without FINAL. One member of the
// group recomputes the months whose facts have changed, every RollupInterval, and
// puts the new table in place as a whole. They are exact as of
// rollup_refreshes.as_of: everything that was loaded by then is in them, whatever
// came late, twice or in another order; what came later may be. Figures up to the
// second are read from the facts.
//
// # Servers
//
// One server, several ways to it, or a cluster of replicated shards, for which
// package distributed rewrites the migrations. README.md is the operators' page.
//
// # The books
//
// The loader compares tables that must tell the same, minute by minute, and exports
// how far they are apart and since when (conservation.go, queries/conservation.sql).
// MODEL.md tells what to read for which figure, sizes and times.
//
// # Files
//
//	config.go       what can be configured
//	connect.go      connections, for the loader and for whoever reads
//	transport.go    counts the bytes that are sent
//	schema.go       migrations, on one server or a cluster
//	column.go       columns and tables as they are sent
//	wire.go         ids and names of enum values
//	rows_*.go       one table each: Protobuf to columns
//	batch.go        which record becomes which row
//	writer.go       one insert a table
//	loader.go       the loop
//	conservation.go the books
//	bulk.go         the same without a group, for who rebuilds the database
//	rollup.go       the refresh of the rollups; rollups/*.sql are their figures
//	keep_rollups.go when the loader does that
//	retention.go    how long the audit trail is kept
//	progress.go     lag, freshness, being caught up
package clickhouse
