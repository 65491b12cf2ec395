// Package clickhouse loads the event topics into ClickHouse: every
// registration, payment, seat block and event with its last version, and one
// narrow row for every record as the audit trail.
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
// jittered pauses and polls nothing, so memory stays bounded and order is kept. It
// never skips a batch. A record that cannot be decoded gets an audit row of the
// kind "undecodable" and is counted and logged: the topics are written by this
// product alone, under transactions, so there is one only when a program is
// wrong, and nobody should have to restart the loader for it.
//
// # Files
//
//	config.go       what can be configured
//	connect.go      connections, for the loader and for whoever reads
//	schema.go       migrations
//	column.go       columns and tables as they are sent
//	wire.go         ids and names of enum values
//	rows_*.go       one table each: Protobuf to columns
//	batch.go        which record becomes which row
//	writer.go       one insert a table
//	loader.go       the loop
//	progress.go     lag, freshness, being caught up
package clickhouse
